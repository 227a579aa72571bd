"""How far something is that takes a while, on standard error: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import click

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

LINE_PERCENT = 10
"""A line is printed each time that this much more is done."""


class Progress(Protocol):
    """Told each time that more may be done."""

    def show(self, done: int, total: int, failed: int = 0) -> None: ...

    def say(self, sentence: str) -> None: ...


@contextmanager
def show_progress(noun: str) -> Iterator[Progress]:
    """A progress of so many `noun`, for as long as it is followed."""
    if not sys.stderr.isatty():
        yield Lines(noun)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as RichProgress

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with RichProgress(*columns, console=Console(stderr=True)) as bar:
        yield Bar(bar)


class Bar:
    """A bar that grows in place."""

    def __init__(self, bar: RichProgress) -> None:
        self._bar = bar
        self._task: TaskID = bar.add_task("", total=None)

    def show(self, done: int, total: int, failed: int = 0) -> None:
        words = f"{failed} failed" if failed else ""
        self._bar.update(self._task, total=total, completed=done, description=words)

    def say(self, sentence: str) -> None:
        self._bar.console.print(sentence, markup=False, highlight=False)


class Lines:
    """For files and pipes: nothing that moves."""

    def __init__(self, noun: str) -> None:
        self._noun = noun
        self._shown = -1

    def show(self, done: int, total: int, failed: int = 0) -> None:
        step = 100 * done // max(total, 1) // LINE_PERCENT
        if step > self._shown:
            self._shown = step
            words = f", {failed} failed" if failed else ""
            self.say(f"{done} of {total} {self._noun}{words}")

    def say(self, sentence: str) -> None:
        click.echo(sentence, err=True)
