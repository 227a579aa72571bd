"""What holds for the project as a whole: who imports whom, what is vendored, packaged and built."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
