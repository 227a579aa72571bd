-- What an AND holds, by its type: one workflow may hold ten thousand of one type, and a run takes the oldest of each.

CREATE TABLE slots_by_type (
    correlation BLOB    NOT NULL,
    agent       TEXT    NOT NULL,
    type        TEXT    NOT NULL,
    seq         INTEGER NOT NULL,       -- of the artifact
    artifact    BLOB    NOT NULL,
    depth       INTEGER NOT NULL,
    PRIMARY KEY (correlation, agent, type, seq)
) WITHOUT ROWID;
INSERT INTO slots_by_type SELECT correlation, agent, type, seq, artifact, depth FROM slots;
DROP TABLE slots;
ALTER TABLE slots_by_type RENAME TO slots;
