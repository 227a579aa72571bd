"""`serve --reload`: the daemon as a child that is started again when a source file changes. For development.

It looks at file times instead of asking the system: that needs no library and sees changes through mounts.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import click

SUFFIXES = (".py", ".toml")
SKIPPED = frozenset({"__pycache__", "node_modules", "site-packages"})
LOOK_SECONDS = 0.5

Snapshot = dict[str, int]


class Reloader:
    """Runs `command` until it ends well or this process is told to stop; a changed file starts it again."""

    def __init__(self, command: Sequence[str], root: Path, config_file: Path | None = None) -> None:
        self._command = list(command)
        self._root = root
        self._config_file = config_file
        self._child: subprocess.Popen[bytes] | None = None
        self._signals = 0

    def run(self) -> int:
        """The child's exit code, once it ended well or this process got a signal. For the main thread."""
        click.echo(
            f"Watching {self._root} for changes. --reload is for development: it costs time and starts over.",
            err=True,
        )
        before = {number: signal.signal(number, self._forward) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            return self._run()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _run(self) -> int:
        while True:
            seen = self._snapshot()
            code = self._until_change(seen)
            if code is None:
                continue
            if code == 0 or self._signals:
                return code if code >= 0 else 128 - code
            click.echo(f"It ended with {code}; it starts again when a file changes.", err=True)
            if not self._change_after(seen):
                return 0

    def _until_change(self, seen: Snapshot) -> int | None:
        """Run a child. Its exit code if it ended (by itself or our signal), None if a change stopped it."""
        # A group of its own: a Ctrl-C of the terminal reaches only this process, which passes it on. Twice
        # would be the signal to end at once.
        child = self._child = subprocess.Popen(self._command, process_group=0)
        if self._signals:  # that came before there was a child to pass it on to
            child.terminate()
        while True:
            try:
                return child.wait(LOOK_SECONDS)
            except subprocess.TimeoutExpired:
                changed = seen.items() ^ self._snapshot().items()
            if changed and self._signals == 0:
                click.echo(f"{min(path for path, _ in changed)} changed: starting again.", err=True)
                child.terminate()
                code = child.wait()
                return code if self._signals > 0 else None

    def _change_after(self, seen: Snapshot) -> bool:
        """Wait for a change. False if a signal came first."""
        while not self._signals:
            if self._snapshot() != seen:
                return True
            time.sleep(LOOK_SECONDS)
        return False

    def _forward(self, number: int, _frame: FrameType | None) -> None:
        self._signals += 1
        if self._child is not None:
            self._child.send_signal(number)

    def _snapshot(self) -> Snapshot:
        """Every watched file with its time of change, in nanoseconds."""
        found: Snapshot = {}
        files = [str(self._config_file)] if self._config_file else []
        for folder, folders, names in os.walk(self._root):
            folders[:] = [name for name in folders if name not in SKIPPED and not name.startswith(".")]
            files += [os.path.join(folder, name) for name in names if name.endswith(SUFFIXES)]
        for file in files:
            try:
                found[file] = os.stat(file).st_mtime_ns
            except OSError:  # gone since it was listed
                continue
        return found
