"""The text that agents write while they run, as lines that people read.

A line is printed when it is whole: at its line break, where it is as wide as the terminal, or when its run ends. So a
pipe gets lines, never a line for each token. On a terminal what is not whole yet stands below everything else, and
grows there; with several agents writing it is that of the one who wrote last.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from typing import Any

import click

RUNS_MAX = 1000
"""Runs whose text is followed at once. Filters may hide the events by which a run ends."""

LINE_CHARS = 2000
"""Where a line is broken that ends nowhere, if there is no terminal to say so."""

_ERASE_LINE = "\r\x1b[K"
_CONTROL = dict.fromkeys([*range(9), *range(11, 32), *range(127, 160)])


def harmless(text: str) -> str:
    """The text without what a terminal would obey: whoever wrote it is not the one who watches."""
    return text.translate(_CONTROL)


def is_terminal() -> bool:
    """Whether standard output is one that can take a line back."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


class _Writing:
    """What one attempt of a run has written."""

    def __init__(self, agent: str, fence: int) -> None:
        self.agent = agent
        self.fence = fence
        self.position = 0
        """Code points that have been taken."""
        self.rest = ""
        """What is not printed yet."""


class LiveText:
    """Takes `run.output` events and prints them. Whoever prints something else calls `hide` before and `show` after."""

    def __init__(self, *, on_terminal: bool) -> None:
        self._writings: dict[str, _Writing] = {}
        self._on_terminal = on_terminal
        self._latest: _Writing | None = None
        """Whose line is the last one on the terminal."""
        self._shown = False

    def take(self, event: Mapping[str, Any]) -> None:
        """One chunk. One at offset 0 replaces all before it: of the same attempt, only what is new is printed."""
        self.hide()
        run_id, data = str(event["run_id"]), event["data"]
        text, offset, fence = data["text"], data["offset"], data["fence"]
        writing = self._writings.get(run_id)
        if writing is None or fence > writing.fence:
            writing = self._begin(run_id, str(event["agent"]), data)
        if fence == writing.fence:
            if offset > writing.position:
                writing.rest += "…"
            writing.rest += harmless(text[max(0, writing.position - offset) :])
            writing.position = max(writing.position, offset + len(text))
            self._print_whole_lines(writing)
            self._latest = writing
        self.show()

    def end(self, run_id: str | None) -> None:
        """The run writes no more: print what is left of it."""
        writing = self._writings.pop(run_id or "", None)
        if writing is None:
            return
        self.hide()
        if writing.rest:
            click.echo(_line(writing, writing.rest))
        if self._latest is writing:
            self._latest = None
        self.show()

    def close(self) -> None:
        """Print what is left of every run."""
        for run_id in list(self._writings):
            self.end(run_id)

    def hide(self) -> None:
        """Take the line that is not whole off the terminal."""
        if self._shown:
            self._shown = False
            click.echo(_ERASE_LINE, nl=False, color=True)

    def show(self) -> None:
        """Put it back."""
        if self._on_terminal and self._latest is not None and self._latest.rest:
            self._shown = True
            click.echo(_line(self._latest, self._latest.rest), nl=False)

    def _begin(self, run_id: str, agent: str, data: Mapping[str, Any]) -> _Writing:
        before = self._writings.get(run_id)
        self.end(run_id)
        while len(self._writings) >= RUNS_MAX:
            self.end(next(iter(self._writings)))
        writing = self._writings[run_id] = _Writing(harmless(agent), data["fence"])
        if before is not None:
            click.echo(_line(writing, f"(from the beginning, attempt {data['attempt']})"))
        return writing

    def _print_whole_lines(self, writing: _Writing) -> None:
        *lines, rest = writing.rest.split("\n")
        for line in lines:
            for piece in self._wrapped(writing, line):
                click.echo(_line(writing, piece))
        *lines, writing.rest = self._wrapped(writing, rest)
        for line in lines:
            click.echo(_line(writing, line))

    def _wrapped(self, writing: _Writing, text: str) -> list[str]:
        """The text in pieces that fit, broken at spaces where there are any. At least one, which may be empty."""
        from rich.cells import chop_cells

        room = LINE_CHARS
        if self._on_terminal:
            room = max(20, shutil.get_terminal_size().columns - len(_prefix(writing)) - 1)
        pieces = []
        while len(fitting := chop_cells(text, room)) > 1:
            at = fitting[0].rfind(" ")
            at = len(fitting[0]) if at <= 0 else at + 1
            pieces.append(text[:at].rstrip())
            text = text[at:]
        return [*pieces, text]


def _prefix(writing: _Writing) -> str:
    return f"  {writing.agent} │ "


def _line(writing: _Writing, text: str) -> str:
    return click.style(_prefix(writing), fg="cyan") + text
