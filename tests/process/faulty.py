"""Run flockd on a disk that fails at will: `python -m tests.process.faulty CODE FLAG serve …`.

While the file FLAG exists, every COMMIT of a write raises what SQLite raises with the result CODE, such as
`SQLITE_FULL`.
For machines where a test may neither mount a small disk nor trace a process.
"""

import functools
import os
import sqlite3
import sys
from typing import Any

MESSAGES = {
    "SQLITE_FULL": "database or disk is full",
    "SQLITE_READONLY": "attempt to write a readonly database",
    "SQLITE_IOERR_FSYNC": "disk I/O error",
}
"""What SQLite says with each."""


class FaultyCursor(sqlite3.Cursor):
    """A cursor whose COMMIT fails while the flag is there."""

    def execute(self, sql: str, parameters: Any = (), /) -> "FaultyCursor":
        fail(self.connection, sql)
        super().execute(sql, parameters)
        return self


class FaultyConnection(sqlite3.Connection):
    """A connection whose COMMIT, by whatever name, fails while the flag is there."""

    def cursor(self, factory: Any = FaultyCursor) -> Any:
        return super().cursor(factory)

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        fail(self, sql)
        return super().execute(sql, parameters)

    def commit(self) -> None:
        fail(self, "COMMIT")
        super().commit()


def fail(connection: sqlite3.Connection, sql: str) -> None:
    """Raise the chosen error in place of the COMMIT of an open transaction."""
    if (
        connection.in_transaction
        and sql.strip().upper().startswith(("COMMIT", "END"))
        and os.path.exists(sys.argv[2])
    ):
        name = sys.argv[1]
        error = sqlite3.OperationalError(MESSAGES[name])
        error.sqlite_errorname, error.sqlite_errorcode = name, getattr(sqlite3, name)
        raise error


if __name__ == "__main__":
    sqlite3.connect = functools.partial(sqlite3.connect, factory=FaultyConnection)  # type: ignore[assignment]
    from flockd.cli import main

    main(sys.argv[3:], prog_name="flockd")
