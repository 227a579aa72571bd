"""A daemon of its own and a client for each test of those who watch."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.browser.conftest import browser
from tests.process.client import Client
from tests.process.daemon import Daemon

__all__ = ["browser"]


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    """A daemon that the test starts. What it printed is shown if the test fails."""
    daemon = Daemon(tmp_path)
    yield daemon
    await daemon.close()
    print(daemon.output)


@pytest.fixture
async def client(daemon: Daemon) -> AsyncIterator[Client]:
    """A client of that daemon."""
    async with Client(daemon) as client:
        yield client
