"""Work: which ready run starts next, and what happens to a run until its outcome is on the board."""
