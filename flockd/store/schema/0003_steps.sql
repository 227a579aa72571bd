-- What a run has settled once and takes as settled when it starts again: its steps, and the answers to its questions.

CREATE TABLE steps (
    run   BLOB    NOT NULL,
    name  TEXT    NOT NULL,
    value BLOB    NOT NULL,             -- JSON
    at    INTEGER NOT NULL,
    PRIMARY KEY (run, name)
) WITHOUT ROWID;

CREATE TABLE questions (
    seq         INTEGER PRIMARY KEY,    -- of its question.asked event
    id          BLOB    NOT NULL UNIQUE,
    tenant      TEXT    NOT NULL,
    run         BLOB    NOT NULL,
    agent       TEXT    NOT NULL,
    correlation BLOB    NOT NULL,
    key         TEXT    NOT NULL,       -- names it within its run
    text        TEXT    NOT NULL,
    schema      BLOB    NOT NULL,       -- JSON Schema of the answer
    state       TEXT    NOT NULL,
    attempt     INTEGER NOT NULL,
    asked_at    INTEGER NOT NULL,
    due_at      INTEGER,
    answered_at INTEGER,
    answer      BLOB,                   -- JSON
    answered_by TEXT
);
CREATE INDEX questions_by_state ON questions (tenant, state, seq);
CREATE INDEX questions_by_run ON questions (run, seq);
