"""`python -m flockd` is the console script `flockd`."""

from __future__ import annotations

from flockd.cli import main

if __name__ == "__main__":
    main(prog_name="flockd")
