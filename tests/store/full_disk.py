"""A disk that is full for some groups of commands and not for others."""

import sqlite3
from collections.abc import Callable

import pytest

from flockd.store import writer

from .test_writer import Wrapped


class Disk:
    """Is full for the groups with commands of one name, so many times."""

    def __init__(self, connection: Wrapped, command: str, times: int) -> None:
        self.refused = 0
        self.on_refusal: Callable[[], object] = lambda: None
        """Called by the writer's thread right before the commit that is refused."""
        self._connection = connection
        self._command = command
        self._times = times

    def probe(self, step: str, commands: tuple[str, ...]) -> None:
        if step == "taken":
            self._connection.heal()
        elif step == "applied" and self._command in commands and self.refused < self._times:
            self.refused += 1
            self.on_refusal()
            self._connection.fail(sqlite3.SQLITE_FULL, "COMMIT")


def full_for(monkeypatch: pytest.MonkeyPatch, connection: Wrapped, command: str, *, times: int = 1) -> Disk:
    """The disk below the writer's connection."""
    disk = Disk(connection, command, times)
    monkeypatch.setattr(writer, "probe", disk.probe)
    return disk
