"""Names of agents and flows: what they may be, and when two of them are one."""

from __future__ import annotations

import re

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
"""What agents and flows may be called."""


def fold(name: str) -> str:
    """Two names that differ only in case or in `-`/`_` are one name."""
    return name.lower().replace("-", "_")
