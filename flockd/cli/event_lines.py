"""Events as `flockd tail` prints them: a line each for people, or the JSON as it came."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import click

from flockd.cli.live_text import LiveText, harmless, is_terminal
from flockd.cli.show import error_text

TEXT_CHARS = 120
"""How much of a message or an error a line shows; --json shows all."""

_ENDS = frozenset(
    {"artifact.published", "run.completed", "run.failed", "run.cancelled", "run.retrying", "run.waiting"}
)
"""The kinds after which a run's attempt writes no more; what it published is told with its end, and before it."""


class Printer(Protocol):
    """Where the events go. Raises BrokenPipeError when nobody reads them any more."""

    def event(self, event: Mapping[str, Any], raw: str) -> None:
        """One event of the log, or live text; `raw` is its JSON as it came."""
        ...

    def gap(self, event: Mapping[str, Any], raw: str) -> None:
        """Events are missing here."""
        ...

    def notice(self, sentence: str) -> None:
        """Something about the connection, for people, on standard error."""
        ...

    def close(self) -> None:
        """Nothing more comes."""
        ...


class JsonLines:
    """Each event, also a gap, as one line of JSON."""

    def event(self, event: Mapping[str, Any], raw: str) -> None:
        click.echo(raw)

    def gap(self, event: Mapping[str, Any], raw: str) -> None:
        self.notice(_gap_sentence(event))
        click.echo(raw)

    def notice(self, sentence: str) -> None:
        click.echo(sentence, err=True)

    def close(self) -> None:
        return


class Lines:
    """Each event as a line, and between them what agents write."""

    def __init__(self) -> None:
        self._live = LiveText(on_terminal=is_terminal())

    def event(self, event: Mapping[str, Any], raw: str) -> None:
        kind = str(event["kind"])
        if kind == "run.output":
            self._live.take(event)
            return
        if kind in _ENDS:
            self._live.end(event["run_id"])
        self._live.hide()
        failed = kind.endswith(".failed")
        click.secho(
            event_line(event), bold=kind == "artifact.published" or None, fg="red" if failed else None
        )
        self._live.show()

    def gap(self, event: Mapping[str, Any], raw: str) -> None:
        self.notice(_gap_sentence(event))

    def notice(self, sentence: str) -> None:
        self._live.hide()
        click.echo(sentence, err=True)
        self._live.show()

    def close(self) -> None:
        self._live.close()


def event_line(event: Mapping[str, Any]) -> str:
    """One event as a line: time, seq, kind, who, and what matters of its kind."""
    at = str(event["at"] or "").partition("T")[2].removesuffix("Z")
    seq = f"#{event['seq']}" if event.get("seq") is not None else ""
    kind = str(event["kind"])
    words = [at, f"{seq:>7}", f"{kind:<22}"]
    artifact = event.get("artifact")
    if artifact is not None:
        words.append(f"{artifact['type']} by {artifact['produced_by']} ({artifact['id']})")
    elif event.get("agent"):
        words.append(str(event["agent"]))
    if kind.startswith("correlation."):
        words.append(str(event["correlation_id"]))
    words += _of_kind(kind, event.get("data") or {})
    words += _details(event.get("data") or {})
    return harmless("  ".join(words).rstrip())


def _gap_sentence(event: Mapping[str, Any]) -> str:
    return f"Events are missing: the log is complete from {event['data']['complete_from']} on."


def _of_kind(kind: str, data: Mapping[str, Any]) -> list[str]:
    """What is said only of events of some kinds."""
    if kind == "tool.called":
        return [str(data["tool"]), str(data["outcome"])]
    if kind in ("timer.fired", "timer.skipped"):
        return [str(data["timer"])]
    if kind == "question.answered":
        return [str(data["state"])]
    if kind == "join.expired":
        artifacts = len(data["artifacts"])
        return [_clip(f"key {data['key']}"), f"{artifacts} artifact{'' if artifacts == 1 else 's'}"]
    if kind == "budget.exceeded":
        whose = "" if data["scope"] in ("run", "correlation") else f" {data['subject']}"
        return [
            f"budget of {data['scope']}{whose}",
            f"{data['spent']} of {data['limit']} {data['unit']} spent",
        ]
    return []


def _details(data: Mapping[str, Any]) -> list[str]:
    """The parts of an event's data that say something to people."""
    words = []
    if data.get("attempt", 1) > 1:
        words.append(f"attempt {data['attempt']}")
    if data.get("fraction") is not None:
        words.append(f"{data['fraction']:.0%}")
    if data.get("total") is not None:
        words.append(f"{data.get('completed', 0)} of {data['total']}")
    words += [_clip(str(data[name])) for name in ("phase", "message", "reason", "text") if data.get(name)]
    if data.get("error"):
        words.append(_clip(error_text(data["error"])))
    if data.get("duration_ms") is not None:
        words.append(f"{data['duration_ms']} ms")
    return words


def _clip(text: str) -> str:
    """A text on one line."""
    line = " ".join(text.split())
    return line if len(line) <= TEXT_CHARS else line[: TEXT_CHARS - 1] + "…"
