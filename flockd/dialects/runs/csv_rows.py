"""CSV as batches take it: commas, a line of headings, UTF-8. No other form is guessed."""

from __future__ import annotations

import csv
import io
from collections import Counter

from flockd.errors import InvalidInput, TooLarge

Row = dict[str, str]
"""Cells by heading; what is empty or not there is left out."""

_FIELD = "batch_inputs"
_SHOWN_CHARS = 100
"""Of a heading, in an error."""


def decode(raw: bytes) -> str:
    """The text of a file, with or without a byte order mark. Raises InvalidInput."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput.field(_FIELD, f"The CSV is not UTF-8 (byte {error.start})", "encoding") from None


def parse_csv(text: str, rows_max: int) -> tuple[list[str], list[Row]]:
    """The headings and the rows; empty lines do not count, nor does a column without a heading.

    Raises InvalidInput for what is no CSV, or has no rows; TooLarge past `rows_max` (batch.items).
    """
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    rows: list[Row] = []
    try:
        headings = [heading.strip() for heading in next(reader, [])]
        _check_headings(headings)
        for cells in reader:
            if len(cells) > len(headings):
                issue = f"Line {reader.line_num} has {len(cells)} cells for {len(headings)} headings"
                raise InvalidInput.field(_FIELD, issue, "csv_invalid")
            if cells:
                rows.append(
                    {name: cell for name, cell in zip(headings, cells, strict=False) if name and cell}
                )
            if len(rows) > rows_max:
                raise too_many(rows_max)
    except csv.Error as error:
        raise InvalidInput.field(
            _FIELD, f"Line {reader.line_num} is no CSV: {error}", "csv_invalid"
        ) from None
    if not rows:
        raise InvalidInput.field(_FIELD, "The CSV has no rows under its headings", "too_short")
    return headings, rows


def too_many(items_max: int) -> TooLarge:
    return TooLarge(f"At most {items_max} items (batch.items)", details={"field": _FIELD, "limit": items_max})


def _check_headings(headings: list[str]) -> None:
    counts = Counter(heading for heading in headings if heading)
    if not counts:
        raise InvalidInput.field(_FIELD, "The CSV needs a first line of headings", "csv_invalid")
    heading, count = counts.most_common(1)[0]
    if count > 1:
        raise InvalidInput.field(_FIELD, f"The heading {heading[:_SHOWN_CHARS]} stands twice", "csv_invalid")
