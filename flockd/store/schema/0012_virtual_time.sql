-- The order of a lane is kept by the lane: a correlation has no virtual time, and a run has one only while it waits there.

ALTER TABLE correlations DROP COLUMN vtime;
UPDATE runs SET vtime = 0 WHERE vtime <> 0 AND (state IN ('running', 'waiting', 'dead') OR state = 'ready' AND paused);
