-- Batches: one correlation for the whole, one for each item. An item's begins in the transaction in which an earlier
-- one's ends, so that a batch needs nobody to drive it.

ALTER TABLE correlations ADD COLUMN batch BLOB;          -- whose item this is; NULL for most
ALTER TABLE correlations ADD COLUMN batch_item INTEGER;

CREATE TABLE batches (
    id        BLOB    PRIMARY KEY,  -- of its correlation
    agent     TEXT    NOT NULL,
    width     INTEGER NOT NULL,     -- items in flight at most
    total     INTEGER NOT NULL,
    completed INTEGER NOT NULL,     -- items that ended, the failed ones too
    failed    INTEGER NOT NULL,
    next_item INTEGER NOT NULL,     -- every item before this one has begun or was refused
    options   BLOB    NOT NULL,     -- JSON of whoever started it
    unwritten INTEGER NOT NULL      -- its results are still to be written into a file
) WITHOUT ROWID;
CREATE INDEX batches_unwritten ON batches (id) WHERE unwritten;

CREATE TABLE batch_items (
    batch       BLOB    NOT NULL,
    item        INTEGER NOT NULL,
    state       TEXT    NOT NULL,
    correlation BLOB,
    error       TEXT,
    inputs      BLOB,               -- until it begins: then they are artifacts
    PRIMARY KEY (batch, item)
) WITHOUT ROWID;
CREATE INDEX batch_items_running ON batch_items (batch, item) WHERE state = 'running';
