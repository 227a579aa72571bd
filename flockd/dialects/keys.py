"""What the application hands to the dialects, as typed keys."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from aiohttp import web

from flockd.domain.workflow import Workflow


class BatchSettings(NamedTuple):
    """The settings of these names in `[batch]`."""

    dir: Path | None
    items: int
    workers: int
    file_bytes: int


BATCH: web.AppKey[BatchSettings] = web.AppKey("BATCH", BatchSettings)
WORKFLOWS: web.AppKey[Mapping[str, Workflow]] = web.AppKey("WORKFLOWS", Mapping[str, Workflow])
"""The workflows that are declared, by name, in the order of declaration."""
