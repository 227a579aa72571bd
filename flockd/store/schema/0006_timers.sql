-- Timers: how far the schedule of each has come. What a timer does is declared, not stored.

CREATE TABLE timers (
    name          TEXT    PRIMARY KEY,
    spec          BLOB    NOT NULL,     -- digest of its declaration: another one begins afresh
    since         INTEGER NOT NULL,     -- the log's next seq when it began: its firings are in the log from here on
    anchor        INTEGER NOT NULL,     -- when it began: intervals count from here
    planned_at    INTEGER,              -- the moment of its schedule that comes next; NULL: it is over
    due_at        INTEGER,              -- the same with its jitter
    fired         INTEGER NOT NULL,
    last_fired_at INTEGER
) WITHOUT ROWID;
CREATE INDEX timers_due ON timers (due_at) WHERE due_at IS NOT NULL;
