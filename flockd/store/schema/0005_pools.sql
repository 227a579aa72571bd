-- What joins over a key and batches have gathered so far: one pool for each tenant, agent and key.

CREATE TABLE pools (
    tenant      TEXT    NOT NULL,
    agent       TEXT    NOT NULL,
    key         TEXT    NOT NULL,   -- JSON of the key; empty for a batch without one
    type        TEXT    NOT NULL,
    seq         INTEGER NOT NULL,   -- of the artifact
    artifact    BLOB    NOT NULL,
    correlation BLOB    NOT NULL,   -- of the artifact, which is held open
    depth       INTEGER NOT NULL,
    due_at      INTEGER NOT NULL,
    place       TEXT    NOT NULL,   -- where a run that it completes queues
    is_batch    INTEGER NOT NULL,   -- at due_at: 1 a run takes what is there, 0 the artifact has waited in vain
    PRIMARY KEY (tenant, agent, key, type, seq)
) WITHOUT ROWID;
CREATE INDEX pools_due ON pools (due_at);
CREATE INDEX pools_by_correlation ON pools (correlation);

ALTER TABLE correlations ADD COLUMN causes TEXT;    -- JSON list of ids; NULL for most
