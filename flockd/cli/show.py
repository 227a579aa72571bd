"""What the verbs print: JSON, and artifacts as text that people read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import click
import orjson

LINE_CHARS = 100
"""A flat value that fits into this is written on one line."""

ITEMS_MAX = 50
"""Items of one list that are written out; --json shows all."""


def print_json(document: object) -> None:
    click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())


def print_artifacts(artifacts: Iterable[Mapping[str, Any]]) -> None:
    """Each artifact as its type, its producer and its payload."""
    for artifact in artifacts:
        click.echo(f"{click.style(artifact['type'], bold=True)} by {artifact['produced_by']}")
        click.echo("\n".join(f"  {line}" for line in readable(artifact["payload"])))
        click.echo()


def error_text(error: Any) -> str:
    """An error of an agent as a sentence: itself, or the message of its object."""
    return str(error.get("message", error)) if isinstance(error, Mapping) else str(error)


def readable(value: Any) -> Iterator[str]:
    """The lines of a JSON value: one for each field or item, indented where it has parts of its own."""
    if isinstance(value, Mapping) and value:
        for key, part in value.items():
            yield from _labelled(f"{key}:", part)
    elif isinstance(value, list) and value:
        for item in value[:ITEMS_MAX]:
            yield from _labelled("-", item)
        if len(value) > ITEMS_MAX:
            yield f"… and {len(value) - ITEMS_MAX} more (--json shows all)"
    else:
        yield from _scalar(value).splitlines() or [""]


def _labelled(label: str, value: Any) -> Iterator[str]:
    one_line = _one_line(value)
    if one_line is not None:
        yield f"{label} {one_line}".rstrip()
        return
    first, *rest = readable(value)
    yield from [f"{label} {first}"] if label == "-" else [label, f"  {first}"]
    yield from (f"  {line}" for line in rest)


def _one_line(value: Any) -> str | None:
    """A scalar, or an object or list of scalars, as one line; None where that is no pleasure to read."""
    if isinstance(value, Mapping) and value:
        parts = [f"{key}: {_scalar(part)}" for key, part in value.items() if part is not None]
        nested = any(isinstance(part, (Mapping, list)) and part for part in value.values())
    elif isinstance(value, list) and value:
        parts = [_scalar(item) for item in value]
        nested = any(isinstance(item, (Mapping, list)) for item in value)
    else:
        text = _scalar(value)
        return None if "\n" in text else text
    text = ", ".join(parts)
    return None if nested or not text or "\n" in text or len(text) > LINE_CHARS else text


def _scalar(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
