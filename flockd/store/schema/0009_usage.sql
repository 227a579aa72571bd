-- What calls of language models took, and what budgets have left. All of it outlives a reset of the board, but for the
-- ledgers of runs and correlations: what was spent is spent.

CREATE TABLE calls (
    id            BLOB    PRIMARY KEY,
    tenant        TEXT    NOT NULL,
    run           BLOB    NOT NULL,
    correlation   BLOB    NOT NULL,
    agent         TEXT    NOT NULL,
    model         TEXT    NOT NULL,
    began_at      INTEGER NOT NULL,
    input_most    INTEGER NOT NULL,     -- tokens that it may take at most: reserved while it is open
    output_most   INTEGER NOT NULL,
    cost_most     INTEGER,              -- billionths of a US dollar; NULL where the price is not known
    requests      INTEGER,              -- what it took; NULL while it is open
    input_tokens  INTEGER,
    output_tokens INTEGER,
    cost          INTEGER,
    ms            INTEGER,
    estimated     INTEGER NOT NULL      -- nobody knows what it took, so it was charged the most
) WITHOUT ROWID;
CREATE INDEX calls_by_moment ON calls (tenant, began_at);
CREATE INDEX calls_by_correlation ON calls (tenant, correlation);
CREATE INDEX calls_open ON calls (id) WHERE requests IS NULL;

-- Sums over settled calls: of all time, and by the hour in which they began.
CREATE TABLE usage (
    tenant        TEXT    NOT NULL,
    agent         TEXT    NOT NULL,
    model         TEXT    NOT NULL,
    requests      INTEGER NOT NULL,
    input_tokens  INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cost          INTEGER NOT NULL,
    ms            INTEGER NOT NULL,
    PRIMARY KEY (tenant, agent, model)
) WITHOUT ROWID;

CREATE TABLE usage_hours (
    tenant        TEXT    NOT NULL,
    hour          INTEGER NOT NULL,     -- its first moment
    agent         TEXT    NOT NULL,
    model         TEXT    NOT NULL,
    requests      INTEGER NOT NULL,
    input_tokens  INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cost          INTEGER NOT NULL,
    ms            INTEGER NOT NULL,
    PRIMARY KEY (tenant, hour, agent, model)
) WITHOUT ROWID;

-- Sums over the calls of one subject that began in one window, by which budgets are decided. One that is not here is made
-- from the calls when it is needed, so those of windows and workflows that are over may go.
CREATE TABLE ledgers (
    scope             TEXT    NOT NULL,
    subject           BLOB    NOT NULL, -- the id of a run or correlation; the name, a text, of an agent or tenant
    agent             TEXT    NOT NULL, -- of a run or correlation: only the calls of this agent; empty: of all
    per               TEXT    NOT NULL, -- empty: the window is all time
    began_at          INTEGER NOT NULL, -- the first moment of the window
    ends_at           INTEGER,          -- the first moment after it
    spent_requests    INTEGER NOT NULL,
    spent_tokens      INTEGER NOT NULL,
    spent_cost        INTEGER NOT NULL,
    reserved_requests INTEGER NOT NULL, -- by calls that are open
    reserved_tokens   INTEGER NOT NULL,
    reserved_cost     INTEGER NOT NULL,
    PRIMARY KEY (scope, subject, agent, per, began_at)
) WITHOUT ROWID;
CREATE INDEX ledgers_over ON ledgers (ends_at) WHERE ends_at IS NOT NULL;

-- Under which rules the ledgers are kept: under others, calls would stand in others.
CREATE TABLE ledger_rules (
    digest BLOB NOT NULL
);

-- JSON [requests, input tokens, output tokens, cost, milliseconds] of its settled calls; NULL: it made none.
ALTER TABLE runs ADD COLUMN usage TEXT;
ALTER TABLE correlations ADD COLUMN usage TEXT;
