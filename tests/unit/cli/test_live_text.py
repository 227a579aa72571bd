"""What agents write while they run, as it appears in a pipe and on a terminal."""

from typing import Any

import pytest

from flockd.cli import live_text
from flockd.cli.event_lines import Lines, event_line
from flockd.cli.live_text import LiveText

ERASE = "\r\x1b[K"


def output(
    text: str, offset: int, *, agent: str = "writer", attempt: int = 1, fence: int = 1
) -> dict[str, Any]:
    """A `run.output`; each agent has one run."""
    return {
        "seq": None,
        "kind": "run.output",
        "at": "2026-11-21T10:11:12.345Z",
        "correlation_id": "c-1",
        "agent": agent,
        "run_id": f"run of {agent}",
        "artifact": None,
        "data": {"text": text, "offset": offset, "attempt": attempt, "fence": fence},
    }


def ended(kind: str = "run.completed", agent: str = "writer") -> dict[str, Any]:
    return output("", 0, agent=agent) | {"seq": 9, "kind": kind, "data": {"attempt": 1}}


def printed(capsys: pytest.CaptureFixture[str], *events: dict[str, Any]) -> list[str]:
    """The lines in a pipe."""
    lines = Lines()
    for one in events:
        lines.event(one, "")
    return capsys.readouterr().out.splitlines()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> LiveText:
    """Of 32 columns: 20 for the text of `writer`."""
    monkeypatch.setenv("COLUMNS", "32")
    return LiveText(on_terminal=True)


def test_tokens_become_lines(capsys: pytest.CaptureFixture[str]) -> None:
    tokens = ["Roses ", "are ", "red,\nviolets", " are", " blue,\n\nand"]
    offsets = [sum(map(len, tokens[:number])) for number in range(len(tokens))]
    events = [output(text, offset) for text, offset in zip(tokens, offsets, strict=True)]
    assert printed(capsys, *events) == [
        "  writer │ Roses are red,",
        "  writer │ violets are blue,",
        "  writer │ ",
    ]


@pytest.mark.parametrize(
    "kind",
    ["artifact.published", "run.completed", "run.failed", "run.cancelled", "run.retrying", "run.waiting"],
)
def test_the_last_line_comes_when_the_run_ends(capsys: pytest.CaptureFixture[str], kind: str) -> None:
    end = ended(kind)
    assert printed(capsys, output("no line break", 0), end) == ["  writer │ no line break", event_line(end)]


def test_agents_that_write_at_once_do_not_mix(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(
        capsys,
        output("one ", 0),
        output("uno ", 0, agent="scrittore"),
        output("two\n", 4),
        output("due\n", 4, agent="scrittore"),
    )
    assert lines == ["  writer │ one two", "  scrittore │ uno due"]


def test_the_text_so_far_is_not_printed_again(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(
        capsys,
        output("first\nsec", 0),
        output("first\nsecond\nth", 0),  # after a reconnect
        output("ird\n", 15),
    )
    assert lines == ["  writer │ first", "  writer │ second", "  writer │ third"]


def test_a_new_attempt_begins_anew(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(
        capsys,
        output("half of ", 0),
        output("all\n", 0, attempt=2, fence=2),
        output("of the one before", 8),
    )
    assert lines == [
        "  writer │ half of ",
        "  writer │ (from the beginning, attempt 2)",
        "  writer │ all",
    ]


def test_what_is_missing_is_marked(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, output("end of a long text, ", 70_000), output("after a gap\n", 70_100))
    assert lines == ["  writer │ …end of a long text, …after a gap"]


def test_what_a_terminal_would_obey_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, output("a\x1b[2Jb\x9b1mc\r\td\n", 0)) == ["  writer │ a[2Jb1mc\td"]


def test_a_line_without_end_is_broken(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_text, "LINE_CHARS", 12)
    assert printed(capsys, output("so much to say, and" + "!" * 30, 0)) == [
        "  writer │ so much to",
        "  writer │ say,",
        "  writer │ and!!!!!!!!!",
        "  writer │ !!!!!!!!!!!!",
    ]


def test_runs_that_never_seem_to_end_are_not_kept_for_ever(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_text, "RUNS_MAX", 2)
    assert printed(capsys, *(output(f"{name}…", 0, agent=name) for name in "abc")) == ["  a │ a…"]


def test_a_terminal_shows_the_line_that_grows(terminal: LiveText, capsys: pytest.CaptureFixture[str]) -> None:
    terminal.take(output("Roses", 0))
    terminal.take(output(" are", 5))
    terminal.hide()
    assert capsys.readouterr().out == f"  writer │ Roses{ERASE}  writer │ Roses are{ERASE}"


def test_a_terminal_shows_whom_wrote_last(terminal: LiveText, capsys: pytest.CaptureFixture[str]) -> None:
    terminal.take(output("Roses", 0))
    terminal.take(output("Rose", 0, agent="scrittore"))
    terminal.close()
    assert capsys.readouterr().out == (
        f"  writer │ Roses{ERASE}  scrittore │ Rose{ERASE}  writer │ Roses\n"
        f"  scrittore │ Rose{ERASE}  scrittore │ Rose\n"
    )


def test_a_terminal_breaks_lines_at_its_width(terminal: LiveText, capsys: pytest.CaptureFixture[str]) -> None:
    terminal.take(output("Roses are red, violets are blue", 0))
    assert capsys.readouterr().out == "  writer │ Roses are red,\n  writer │ violets are blue"
    terminal.take(output("漢字" * 11, 31))
    assert capsys.readouterr().out.startswith(f"{ERASE}  writer │ violets are\n")
