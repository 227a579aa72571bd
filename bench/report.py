"""The result: rows, the table in the terminal, bench/RESULTS.md and JSON."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from bench.machine import Machine

_READING = (
    "A ratio of 1.00 is the ceiling itself, higher is better: our rate by its rate, its time by our time. "
    "It is the median of the rounds, which measure both one after the other; (lowest–highest) shows the "
    "noise. Absolute numbers are medians too, and only good for this machine."
)


@dataclass(frozen=True)
class Row:
    """One measure. `met` is None where there is no aim."""

    part: str
    measure: str
    unit: str
    flockd: float
    ceiling: float | None = None
    ratios: tuple[float, ...] = ()
    note: str = ""
    aim: str = ""
    met: bool | None = None

    @property
    def ratio(self) -> float | None:
        """The median of the rounds."""
        return statistics.median(self.ratios) if self.ratios else None

    def cells(self) -> list[str]:
        """The row as it is printed."""
        ratio = ""
        if self.ratio is not None:
            ratio = f"{self.ratio:.2f} ({min(self.ratios):.2f}–{max(self.ratios):.2f})"
        met = {None: "", True: "yes", False: "**no**"}[self.met]
        ceiling = "" if self.ceiling is None else _number(self.ceiling, self.unit)
        return [self.measure, _number(self.flockd, self.unit), ceiling, ratio, self.aim, met, self.note]


_HEADINGS = ["measure", "flockd", "ceiling", "ratio", "aim", "met", "note"]


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table whose columns line up in a terminal."""
    lines = [_HEADINGS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADINGS))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join("| " + " | ".join(_padded(line, widths)) + " |" for line in lines)


def markdown(rows: Sequence[Row], machine: Machine, command: str) -> str:
    """The whole of RESULTS.md."""
    missed = [row.measure for row in rows if row.met is False]
    verdict = "Every aim is met." if not missed else f"Aims not met: {'; '.join(missed)}."
    paragraphs = [
        "# What flockd does, against its ceilings",
        f"`{command}` on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        _listed(machine.lines()),
        verdict,
        table(rows),
        f"{_READING} What each ceiling is: `bench/ceiling.py`, and `bench/bare_streams.py` of streams.",
    ]
    return "\n\n".join(paragraphs) + "\n"


def text(rows: Sequence[Row], machine: Machine) -> str:
    """What is printed at the end of a run."""
    return f"{_listed(machine.lines())}\n\n{table(rows)}\n\n{_READING}"


def json(rows: Sequence[Row], machine: Machine) -> str:
    """The same as one JSON object: `machine`, and `rows` with every field and the ratio."""
    content = {"machine": machine, "rows": [{**vars(row), "ratio": row.ratio} for row in rows]}
    return orjson.dumps(content, option=orjson.OPT_INDENT_2).decode()


def _listed(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _padded(line: list[str], widths: list[int]) -> list[str]:
    return [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]


def _number(value: float, unit: str) -> str:
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f} {unit}"
