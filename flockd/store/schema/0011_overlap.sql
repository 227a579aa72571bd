-- Timers whose firings do not overlap: the correlation of the last one, and how many were skipped while it was open.

ALTER TABLE timers ADD COLUMN correlation BLOB;
ALTER TABLE timers ADD COLUMN skipped INTEGER NOT NULL DEFAULT 0;
