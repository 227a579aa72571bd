-- Artifacts that no agent sees before their time (visibility After).

ALTER TABLE artifacts ADD COLUMN was_hidden TEXT;  -- JSON of that visibility, once its time is over: what the log said

CREATE TABLE hidden (
    seq         INTEGER PRIMARY KEY,    -- of the artifact
    correlation BLOB    NOT NULL,       -- which is held open
    depth       INTEGER NOT NULL,       -- of the runs that it will make
    due_at      INTEGER NOT NULL
);
CREATE INDEX hidden_due ON hidden (due_at, seq);
CREATE INDEX hidden_by_correlation ON hidden (correlation);
