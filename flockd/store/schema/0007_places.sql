-- Where runs queue and are counted: at their agent, or at one key of it. And the latest starts of agents with a rate.

ALTER TABLE runs ADD COLUMN place TEXT NOT NULL DEFAULT '';
UPDATE runs SET place = agent;
ALTER TABLE runs ADD COLUMN of_error INTEGER NOT NULL DEFAULT 0;   -- it consumes an AgentError

DROP INDEX runs_ready;
CREATE INDEX runs_ready ON runs (place, priority, vtime, ord) WHERE state = 'ready' AND NOT paused;

CREATE INDEX runs_waiting ON runs (ord) WHERE state = 'waiting';

CREATE TABLE starts (
    agent TEXT    NOT NULL,
    at    INTEGER NOT NULL,
    n     INTEGER NOT NULL,
    PRIMARY KEY (agent, at)
) WITHOUT ROWID;
