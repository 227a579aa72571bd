-- What is paused: a correlation, whose ready runs stand outside of the queue meanwhile, or an agent.

ALTER TABLE correlations ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;  -- ready, but its correlation is paused

DROP INDEX runs_ready;
CREATE INDEX runs_ready ON runs (agent, priority, vtime, ord) WHERE state = 'ready' AND NOT paused;
DROP INDEX runs_ready_age;
CREATE INDEX runs_ready_age ON runs (created_at) WHERE state = 'ready' AND NOT paused;

CREATE TABLE paused_agents (
    agent TEXT    PRIMARY KEY,
    at    INTEGER NOT NULL
) WITHOUT ROWID;
