"""How far a batch is, on standard error: a bar on a terminal, a line now and then anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import click

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

LINE_PERCENT = 10
"""A line is printed each time that this much more is done."""


class Progress(Protocol):
    """Shown the batch each time that it was asked for."""

    def show(self, batch: Mapping[str, Any]) -> None: ...

    def say(self, sentence: str) -> None: ...


@contextmanager
def show_progress() -> Iterator[Progress]:
    """A progress for as long as the batch is followed."""
    if not sys.stderr.isatty():
        yield Lines()
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

    def show(self, batch: Mapping[str, Any]) -> None:
        failed = f"{batch['failed_items']} failed" if batch["failed_items"] else ""
        self._bar.update(
            self._task, total=batch["total_items"], completed=batch["completed_items"], description=failed
        )

    def say(self, sentence: str) -> None:
        self._bar.console.print(sentence, markup=False, highlight=False)


class Lines:
    """For files and pipes: nothing that moves."""

    def __init__(self) -> None:
        self._shown = -1

    def show(self, batch: Mapping[str, Any]) -> None:
        step = int(batch["progress_percentage"]) // LINE_PERCENT
        if step > self._shown:
            self._shown = step
            failed = f", {batch['failed_items']} failed" if batch["failed_items"] else ""
            self.say(f"{batch['completed_items']} of {batch['total_items']} items{failed}")

    def say(self, sentence: str) -> None:
        click.echo(sentence, err=True)
