"""MCP servers that end in the middle of an attempt: the next call reaches them again, and no program is left."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp")

from .mcp_servers import (
    ENDED,
    SERVER,
    Served,
    attempt,
    both_protocols,
    lives,
    notes,
    pids,
    program,
    serve,
    until,
)
from .scripted import Script

__all__ = ["notes", "serve"]


async def test_a_program_that_died_is_started_again_by_the_next_call_and_the_last_one_is_not_repeated(
    notes: Path,
) -> None:
    server = program("die", "add")
    script = Script(
        [("test_die", {})],
        [("test_add", {"a": 1}), ("test_add", {"a": 2})],
        [("test_die", {})],
        [("test_add", {"a": 3})],
    )
    await script.run(attempt().context, mcp=[server])
    assert script.told == [
        [(ENDED, "failed")],
        [(2, "success"), (3, "success")],
        [(ENDED, "failed")],
        [(4, "success")],
    ]
    assert len(set(pids(notes))) == 3, "calls at once start one"
    assert not any(lives(pid) for pid in pids(notes))


async def test_a_program_that_answers_with_any_error_is_not_taken_for_one_that_ended(notes: Path) -> None:
    script = Script([("test_refuse", {})], [("test_add", {"a": 1})])
    await script.run(attempt().context, mcp=[program("refuse", "add")])
    assert script.told == [
        [("the MCP server test: the database is locked", "failed")],
        [(2, "success")],
    ]
    assert len(pids(notes)) == 1


MUTE = """
import os, time
with open(os.environ["MCP_TEST_NOTES"], "a") as notes:
    notes.write(f"pid {os.getpid()}\\n")
time.sleep(600)
"""
PROGRAM = Path(SERVER[-1]).read_text()


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The program, in a place where a test may change it."""
    path = tmp_path / "server.py"
    path.write_text(PROGRAM)
    return path


async def test_a_program_that_cannot_be_started_again_is_told_each_time(notes: Path, copied: Path) -> None:
    def remove() -> None:
        copied.unlink()

    def restore() -> None:
        copied.write_text(PROGRAM)

    server = program("die", "add", command=(*SERVER[:-1], str(copied), "stdio"))
    calls = ["remove", "test_die", "test_add", "test_add", "restore", "test_add"]
    arguments: dict[str, dict[str, Any]] = {"test_add": {"a": 1}}
    script = Script(*[[(name, arguments.get(name, {}))] for name in calls])
    await script.run(attempt().context, remove, restore, mcp=[server])
    told = [one for (one,) in script.told]
    assert [outcome for _, outcome in told] == ["success", "failed", "failed", "failed", "success", "success"]
    assert (
        told[2] == told[3] == ("the MCP server test ended (its last words are in the daemon's log)", "failed")
    )
    assert not any(lives(pid) for pid in pids(notes))


async def test_calls_that_wait_for_a_program_that_does_not_come_wait_together(
    notes: Path, copied: Path
) -> None:
    def silence() -> None:
        copied.write_text(MUTE)

    server = program("die", "add", command=(*SERVER[:-1], str(copied), "stdio"), timeout_seconds=4)
    together = [("test_add", {"a": n}) for n in range(3)]
    script = Script([("silence", {})], [("test_die", {})], together)
    await script.run(attempt().context, silence, mcp=[server])
    assert sorted(script.told[2]) == [
        ("the MCP server test could not be started again", "failed"),
        ("the MCP server test could not be started again", "failed"),
        ("the MCP server test was not ready within 4 s", "failed"),
    ]
    assert len(pids(notes)) == 2, "it was started again once"
    assert not any(lives(pid) for pid in pids(notes))


async def test_a_run_that_is_cancelled_while_its_server_is_started_again_leaves_none(
    notes: Path, copied: Path
) -> None:
    def silence() -> None:
        copied.write_text(MUTE)

    server = program("die", command=(*SERVER[:-1], str(copied), "stdio"))
    script = Script([("silence", {})], [("test_die", {})], [("test_die", {})])
    run = asyncio.create_task(script.run(attempt().context, silence, mcp=[server]))
    await until(lambda: len(pids(notes)) == 2)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    await until(lambda: not any(lives(pid) for pid in pids(notes)))


FORGOTTEN = "the MCP server web ended its session: it forgot what it knew, and the next call begins another"


@both_protocols
async def test_a_server_over_http_that_forgot_its_sessions_is_given_another_one(
    old: bool, serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    if old:  # the new protocol has no sessions
        monkeypatch.setenv("MCP_TEST_OLD", "1")
    first = serve()

    def restart() -> None:
        first.end()
        serve(first.port)

    script = Script(
        *[[("web_add", {"a": 1})], [("restart", {})], [("web_add", {"a": 2})], [("web_add", {"a": 3})]]
    )
    await script.run(attempt().context, restart, mcp=[first.server("add")])
    told = [one for (one,) in script.told]
    assert told[2:] == [(FORGOTTEN, "failed") if old else (3, "success"), (4, "success")]
