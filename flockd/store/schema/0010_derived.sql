-- A correlation that was gathered from others counts, for limits.correlation_runs, the runs of the largest of them, too.

ALTER TABLE correlations ADD COLUMN inherited_runs INTEGER NOT NULL DEFAULT 0;
