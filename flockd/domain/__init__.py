"""Frozen values and pure rules. Nothing here waits, reads a clock of its own accord, or knows HTTP or SQL."""
