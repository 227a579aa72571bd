"""Document 004: workflows that are asked for by name, and sessions by which their progress is followed."""
