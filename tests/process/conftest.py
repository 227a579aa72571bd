"""A daemon of its own, a client and a tail for each test of the process; a machine for each page that is tried."""

import importlib.util
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from .client import Client
from .daemon import Daemon
from .machine import Machine
from .tail import Tail

collect_ignore = [] if importlib.util.find_spec("crewai") else ["test_crewai.py"]
"""The one optional test: CrewAI is a heavy extra, and pins what it needs too closely for everybody's environment."""


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


@pytest.fixture
async def tail(daemon: Daemon) -> AsyncIterator[Tail]:
    """A watcher of that daemon's log, over all its lives."""
    async with Tail(daemon) as tail:
        yield tail


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """Where the commands of a page are tried."""
    machine = Machine(tmp_path)
    yield machine
    machine.close()
