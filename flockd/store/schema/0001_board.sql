-- The board. Ids are 16-byte blobs (UUIDv7, so that inserts go to the right edge of each tree); moments are milliseconds
-- since the epoch; payloads, event bodies and errors are JSON as it is sent. Every index that serves a read begins with
-- the tenant.

-- One row: where the log is.
CREATE TABLE log (
    one           INTEGER PRIMARY KEY CHECK (one = 1),
    log_id        BLOB    NOT NULL,   -- new after a restore: cursors of another log are not cursors of this one
    next_seq      INTEGER NOT NULL,   -- durable, so that an emptied table never gives a number out again
    next_run      INTEGER NOT NULL,
    complete_from INTEGER NOT NULL,   -- every event from this seq on is still here
    last_at       INTEGER NOT NULL    -- created_at never goes back
);

CREATE TABLE artifacts (
    seq           INTEGER PRIMARY KEY,  -- of its artifact.published event
    id            BLOB    NOT NULL UNIQUE,
    tenant        TEXT    NOT NULL,
    type          TEXT    NOT NULL,
    producer      TEXT    NOT NULL,
    visibility    TEXT    NOT NULL,     -- the kind
    visible_to    TEXT,                 -- the whole value as JSON; NULL for Public
    correlation   BLOB    NOT NULL,
    run           BLOB,                 -- that produced it; NULL for what a client published
    partition_key TEXT,
    tags          TEXT,                 -- JSON list; NULL for none
    version       INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    payload       BLOB    NOT NULL
);
CREATE INDEX artifacts_by_type ON artifacts (tenant, type, seq);
CREATE INDEX artifacts_by_producer ON artifacts (tenant, producer, seq);
CREATE INDEX artifacts_by_type_producer ON artifacts (tenant, type, producer, seq);
CREATE INDEX artifacts_by_correlation ON artifacts (tenant, correlation, seq);
CREATE INDEX artifacts_by_moment ON artifacts (tenant, created_at, seq);
CREATE INDEX artifacts_by_partition ON artifacts (tenant, partition_key, seq) WHERE partition_key IS NOT NULL;
CREATE INDEX artifacts_by_visibility ON artifacts (tenant, visibility, seq) WHERE visibility <> 'Public';

CREATE TABLE artifact_tags (
    tenant TEXT    NOT NULL,
    tag    TEXT    NOT NULL,
    seq    INTEGER NOT NULL,
    PRIMARY KEY (tenant, tag, seq)
) WITHOUT ROWID;

CREATE TABLE runs (
    ord           INTEGER PRIMARY KEY,  -- order of creation
    id            BLOB    NOT NULL UNIQUE,
    tenant        TEXT    NOT NULL,
    agent         TEXT    NOT NULL,
    correlation   BLOB    NOT NULL,
    state         TEXT    NOT NULL,
    reason        TEXT,
    due_at        INTEGER,
    priority      INTEGER NOT NULL,
    vtime         INTEGER NOT NULL,
    depth         INTEGER NOT NULL,
    cascade       INTEGER NOT NULL,
    attempt       INTEGER NOT NULL,
    first_attempt INTEGER NOT NULL,
    fence         INTEGER NOT NULL,
    crashes       INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    started_at    INTEGER,
    completed_at  INTEGER,
    ended_round   INTEGER,              -- the round of its correlation in which it ended
    inputs        TEXT    NOT NULL,     -- JSON list of artifact ids
    outputs       TEXT    NOT NULL,
    error         BLOB,
    output_text   TEXT
);
CREATE INDEX runs_by_agent ON runs (tenant, agent, ord);
CREATE INDEX runs_by_agent_state ON runs (tenant, agent, state, ord);
CREATE INDEX runs_by_state ON runs (tenant, state, ord);
CREATE INDEX runs_by_correlation ON runs (tenant, correlation, ord);
-- The queue: one lane per agent and priority class, each in its order.
CREATE INDEX runs_ready ON runs (agent, priority, vtime, ord) WHERE state = 'ready';
CREATE INDEX runs_running ON runs (ord) WHERE state = 'running';
CREATE INDEX runs_due ON runs (due_at) WHERE state = 'waiting';
CREATE INDEX runs_ready_age ON runs (created_at) WHERE state = 'ready';

CREATE TABLE consumptions (
    artifact    INTEGER NOT NULL,       -- seq
    run         BLOB    NOT NULL,
    tenant      TEXT    NOT NULL,
    consumer    TEXT    NOT NULL,
    consumed_at INTEGER NOT NULL,
    PRIMARY KEY (artifact, run)
) WITHOUT ROWID;
CREATE INDEX consumptions_by_consumer ON consumptions (tenant, consumer, artifact);

CREATE TABLE correlations (
    seq              INTEGER PRIMARY KEY,  -- of the event that first started it
    id               BLOB    NOT NULL UNIQUE,
    tenant           TEXT    NOT NULL,
    state            TEXT    NOT NULL,
    dialect          TEXT    NOT NULL,
    name             TEXT    NOT NULL,
    priority         INTEGER,
    round            INTEGER NOT NULL,
    round_seq        INTEGER NOT NULL,
    open             INTEGER NOT NULL,
    runs             INTEGER NOT NULL,
    vtime            INTEGER NOT NULL,
    artifact_count   INTEGER NOT NULL,
    error_count      INTEGER NOT NULL,
    round_outputs    INTEGER NOT NULL,
    round_errors     INTEGER NOT NULL,
    round_cancelled  INTEGER NOT NULL,
    reason           TEXT,
    started_at       INTEGER NOT NULL,
    last_activity_at INTEGER NOT NULL,
    completed_at     INTEGER
);
CREATE INDEX correlations_by_state ON correlations (tenant, state, seq);
CREATE INDEX correlations_by_name ON correlations (tenant, name, seq) WHERE name <> '';
CREATE INDEX correlations_by_dialect ON correlations (tenant, dialect, seq) WHERE dialect <> 'native';

-- What an AND holds until its other artifacts come.
CREATE TABLE slots (
    correlation BLOB    NOT NULL,
    agent       TEXT    NOT NULL,
    seq         INTEGER NOT NULL,       -- of the artifact
    artifact    BLOB    NOT NULL,
    type        TEXT    NOT NULL,
    depth       INTEGER NOT NULL,
    PRIMARY KEY (correlation, agent, seq)
) WITHOUT ROWID;

CREATE TABLE events (
    seq         INTEGER PRIMARY KEY,
    tenant      TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    at          INTEGER NOT NULL,
    correlation BLOB,
    agent       TEXT,
    run         BLOB,
    artifact    INTEGER,                -- seq of the artifact that it carries; its payload is stored once, there
    data        BLOB    NOT NULL
);
CREATE INDEX events_by_correlation ON events (correlation, seq);

CREATE TABLE idempotency (
    digest      BLOB    PRIMARY KEY,    -- of caller, method, path and key
    body_hash   BLOB    NOT NULL,
    created_at  INTEGER NOT NULL,
    results     TEXT    NOT NULL,       -- JSON: what the first request put on the board
    answer      BLOB                    -- the final answer; NULL while there is none
) WITHOUT ROWID;
CREATE INDEX idempotency_by_age ON idempotency (created_at);

-- Counts that users ask for, so that nobody scans for them.
CREATE TABLE counters (
    tenant TEXT    NOT NULL,
    kind   TEXT    NOT NULL,
    a      TEXT    NOT NULL,
    b      TEXT    NOT NULL,
    c      TEXT    NOT NULL,
    n      INTEGER NOT NULL,
    PRIMARY KEY (tenant, kind, a, b, c)
) WITHOUT ROWID;
