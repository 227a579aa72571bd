"""Tools of MCP servers that are programs, and what is left of them."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp")

from mcp.client import stdio
from mcp_types import (
    AudioContent,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)

from flockd.engines.llm.mcp import Servers
from flockd.engines.llm.mcp_result import value_of
from flockd.engines.llm.thinking import McpServer
from flockd.engines.llm.tools import shown_name
from flockd.engines.outside import Outside
from flockd.errors import AgentFailed

from .attempts import Attempt, Kept
from .mcp_servers import (
    ENDED,
    LIMIT_SECONDS,
    SERVER,
    attempt,
    called,
    lives,
    noted,
    notes,
    pids,
    program,
    until,
)
from .scripted import Script

__all__ = ["notes"]


async def test_only_tools_on_the_list_are_shown_and_callable(notes: Path) -> None:
    script = Script([("test_add", {"a": 2, "b": 3})], [("test_fail", {})], [("fail", {})])
    this = attempt()
    assert await script.run(this.context, mcp=[program("add")]) == "done"
    assert list(script.tools) == ["test_add"]
    tool = script.tools["test_add"]
    assert tool.description == "Adds two numbers."
    assert tool.parameters_json_schema["required"] == ["a"]
    assert script.told[0] == [(5, "success")]
    assert [outcome for told in script.told[1:] for _, outcome in told] == ["retried", "retried"]  # unknown
    assert [(event["tool"], event["arguments"], event["outcome"]) for event in this.kept.tools] == [
        ("test_add", {"a": 2, "b": 3}, "ok")
    ]
    (pid,) = pids(notes)
    assert not lives(pid)


async def test_what_a_program_prints_beside_its_messages_costs_no_answer(notes: Path) -> None:
    told = await called(program("mumble", timeout_seconds=10), ("test_mumble", {}), ("test_mumble", {}))
    assert told == [("mumbled", "success")] * 2
    assert len(pids(notes)) == 1


async def test_a_recorded_call_is_not_made_again(notes: Path) -> None:
    kept = Kept()
    first = await called(program("add"), ("test_add", {"a": 1}), kept=kept)
    second = await called(program("add"), ("test_add", {"a": 1}), kept=kept)
    assert first == second == [(2, "success")]
    assert noted(notes).count("add 1 1") == 1
    assert len(kept.tools) == 1


async def test_a_program_gets_the_variables_that_are_named_and_no_other(
    notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k" * 20)
    monkeypatch.setenv("FILES_ROOT", "/")
    server = program("environment", env=("FILES_ROOT",))
    ((names, _),) = await called(server, ("test_environment", {}))
    assert "FILES_ROOT" in names
    assert "PATH" in names
    assert not {"OPENAI_API_KEY", "MCP_TEST_NOTES"} & set(names)


async def test_servers_are_there_beside_functions_and_each_other(notes: Path) -> None:
    async def add(a: int) -> int:
        return -a

    script = Script([("add", {"a": 1}), ("one_add", {"a": 1}), ("two_add", {"a": 1, "b": 2})])
    await script.run(attempt().context, add, mcp=[program("add", name="one"), program("add", name="two")])
    assert script.told == [[(-1, "success"), (2, "success"), (3, "success")]]
    assert list(script.tools) == ["add", "one_add", "two_add"]
    assert len(set(pids(notes))) == 2


async def test_two_tools_of_one_name_are_refused_and_nothing_is_left(notes: Path) -> None:
    async def test_add() -> None: ...

    with pytest.raises(AgentFailed, match="two tools are called test_add"):
        await Script().run(attempt().context, test_add, mcp=[program("add")])
    (pid,) = pids(notes)
    assert not lives(pid)


async def test_a_failure_is_told_to_the_model_in_the_words_of_the_server(notes: Path) -> None:
    kept = Kept()
    told = await called(program("fail", "add"), ("test_fail", {}), ("test_add", {"a": "x"}), kept=kept)
    assert [outcome for _, outcome in told] == ["failed", "failed"]
    assert "fail" in told[0][0]
    assert "valid integer" in told[1][0]
    assert [event["outcome"] for event in kept.tools] == ["error", "error"]
    assert (
        await called(program("fail", "add"), ("test_fail", {}), ("test_add", {"a": "x"}), kept=kept) == told
    )
    assert len(kept.tools) == 2, "what the model was told is recorded: neither call was made again"


async def test_a_call_that_takes_too_long_is_told_and_the_server_goes_on(notes: Path) -> None:
    server = program("wait", "add", timeout_seconds=3.0)
    told = await called(server, ("test_wait", {"seconds": 600}), ("test_add", {"a": 1}))
    assert told == [("the MCP server test did not answer within 3 s", "failed"), (2, "success")]


async def test_a_server_that_dies_is_told_and_its_last_words_are_in_the_log(
    notes: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG", "flockd.agent"):
        told = await called(program("die"), ("test_die", {}))
    assert told == [(ENDED, "failed")]
    assert "MCP server test: these are my last words" in caplog.text


async def test_what_a_server_was_given_is_neither_told_nor_logged_whatever_its_variable_is_called(
    notes: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TICKETS_AUTHORIZATION", "Bearer hunter2-hunter2")
    server = program("tell", env=("MCP_TEST_NOTES", "TICKETS_AUTHORIZATION"))
    kept = Kept()
    with caplog.at_level("DEBUG"):
        (told,) = await called(server, ("test_tell", {"variable": "TICKETS_AUTHORIZATION"}), kept=kept)
    assert told == ("Error executing tool tell: it is ***", "failed")
    assert kept.tools[0]["error"] == told[0]
    assert "MCP server test: it is ***" in caplog.text
    assert "Failed to parse" in caplog.text, "it is said that there was something"
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize(
    ("server", "sentence", "is_final"),
    [
        (
            program("add", command=("no-such-program",)),
            "the program of the MCP server test was not found: no-such-program",
            True,
        ),
        (
            program("add", command=("/",)),
            r"the program of the MCP server test cannot be run \(Permission denied\): /",
            True,
        ),
        (program("add", command=("false",)), "the MCP server test ended$", False),
        (
            program("add", command=(sys.executable, "-c", "raise SystemExit('there is no manual')")),
            r"the MCP server test ended \(its last words are in the daemon's log\)$",
            False,
        ),
        (
            program("add", how="mute", timeout_seconds=0.5),
            "the MCP server test was not ready within 0.5 s",
            False,
        ),
        (program("ad"), r"the MCP server test has no tool ad: did you mean add\?", True),
        (
            program("zzzzzz"),
            "the MCP server test has no tool zzzzzz: it has add, die, environment, fail, mumble, picture, pid, "
            "refuse, tell, wait",
            True,
        ),
        (
            program("add", env=("NO_SUCH_VARIABLE",)),
            "the environment variable NO_SUCH_VARIABLE, which the MCP server test gets, is not set",
            True,
        ),
    ],
    ids=[
        "not found",
        "not a program",
        "ends",
        "ends with words",
        "mute",
        "misspelt",
        "unknown",
        "no variable",
    ],
)
async def test_a_server_that_cannot_be_used_fails_the_run_with_a_sentence(
    server: McpServer, sentence: str, is_final: bool, notes: Path
) -> None:
    with pytest.raises(AgentFailed, match=sentence) as failed:
        await Script().run(attempt().context, mcp=[server])
    assert failed.value.is_final is is_final, "what is declared wrongly is not tried again"
    assert not any(lives(pid) for pid in pids(notes))


async def test_where_one_of_two_fails_the_other_is_not_left_behind(notes: Path) -> None:
    mute, wrong = program("add", how="mute"), program("ad", name="wrong")
    with pytest.raises(AgentFailed, match="the MCP server wrong has no tool ad"):
        await Script().run(attempt().context, mcp=[mute, wrong])
    assert len(pids(notes)) == 2
    assert not any(lives(pid) for pid in pids(notes))


async def test_a_server_of_which_nothing_is_allowed_is_not_started(notes: Path) -> None:
    script = Script()
    assert await script.run(attempt().context, mcp=[program()]) == "done"
    assert script.tools == {}
    assert pids(notes) == []


@pytest.mark.parametrize("how", ["stdio", "deaf"])
async def test_a_cancelled_run_leaves_no_process(
    how: str, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stdio, "PROCESS_TERMINATION_TIMEOUT", 0.2 if how == "deaf" else 10)
    monkeypatch.setattr(stdio, "FORCE_KILL_TIMEOUT", 0.2)
    script, this = Script([("test_wait", {"seconds": 600})]), attempt()
    run = asyncio.create_task(script.run(this.context, mcp=[program("wait", how=how)]))
    await until(lambda: "waiting" in noted(notes))
    (pid,) = pids(notes)
    assert lives(pid)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert not lives(pid)
    assert (this.kept.tools, this.kept.steps) == ([], {})


async def test_a_run_that_is_cancelled_while_its_server_is_reached_leaves_none(notes: Path) -> None:
    run = asyncio.create_task(Script().run(attempt().context, mcp=[program("add", how="mute")]))
    await until(lambda: pids(notes))
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert not lives(pids(notes)[0])


async def test_a_run_that_is_cancelled_twice_is_over_at_once_and_its_server_soon(
    notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stdio, "PROCESS_TERMINATION_TIMEOUT", 0.3)
    script = Script([("test_wait", {"seconds": 600})])
    run = asyncio.create_task(script.run(attempt().context, mcp=[program("wait", how="deaf")]))
    await until(lambda: "waiting" in noted(notes))
    (pid,) = pids(notes)
    run.cancel()
    closing = {task for task in asyncio.all_tasks() if task.get_name().startswith("mcp test")}
    await asyncio.sleep(0)
    while not run.done():
        run.cancel()
        await asyncio.sleep(0)
    assert run.cancelled()
    assert lives(pid)
    async with asyncio.timeout(LIMIT_SECONDS):
        await asyncio.wait(closing)
    assert not lives(pid)


async def test_a_daemon_that_ends_waits_for_programs_that_runs_left_in_a_hurry(
    notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stdio, "PROCESS_TERMINATION_TIMEOUT", 0.3)
    script, left = Script([("test_wait", {"seconds": 600})]), program("add", name="left", how="deaf")
    async with Outside() as outside:
        held = Servers([left], Attempt(outside).context)
        await held.open()
        run = asyncio.create_task(script.run(Attempt(outside).context, mcp=[program("wait", how="deaf")]))
        await until(lambda: "waiting" in noted(notes))
        while not run.done():
            run.cancel()
            await asyncio.sleep(0)
        assert all(lives(pid) for pid in pids(notes))
    assert len(pids(notes)) == 2
    assert not any(lives(pid) for pid in pids(notes))
    assert not outside.programs


HOLDS = """
import asyncio, sys
from flockd.engines.llm.mcp import Servers
from flockd.engines.llm.thinking import McpServer
from tests.engines.attempts import Attempt
from flockd.engines.outside import Outside

async def hold():
    server = McpServer("test", command=tuple(sys.argv[1:]), allow=("add",), env=("MCP_TEST_NOTES",))
    await Servers([server], Attempt(Outside()).context).open()
    print("open", flush=True)
    await asyncio.sleep(600)

asyncio.run(hold())
"""


async def test_a_daemon_that_is_killed_leaves_no_process(notes: Path) -> None:
    daemon = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDS, *SERVER, "stdio",
        stdout=subprocess.PIPE, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            assert daemon.stdout is not None
            assert await daemon.stdout.readline() == b"open\n"
        (pid,) = pids(notes)
        assert lives(pid)
    finally:
        daemon.send_signal(signal.SIGKILL)
        await daemon.wait()
    await until(lambda: not lives(pid))


# -- values and names ----------------------------------------------------------------------------------------------


def text(said: str) -> TextContent:
    return TextContent(text=said)


@pytest.mark.parametrize(
    ("result", "value"),
    [
        (CallToolResult(content=[text("a")]), "a"),
        (CallToolResult(content=[text("a"), text("b")]), ["a", "b"]),
        (CallToolResult(content=[]), []),
        (CallToolResult(content=[text("1")], structured_content={"result": 1}), 1),
        (CallToolResult(content=[text("…")], structured_content={"n": 1, "m": 2}), {"n": 1, "m": 2}),
        (
            CallToolResult(
                content=[ImageContent(data="AAAA", mime_type="image/png")], structured_content={"n": 1}
            ),
            {"type": "image", "mime_type": "image/png"},
        ),
        (
            CallToolResult(content=[text("look"), AudioContent(data="AAAA", mime_type="audio/wav")]),
            ["look", {"type": "audio", "mime_type": "audio/wav"}],
        ),
        (
            CallToolResult(content=[ResourceLink(uri="file:///a", name="a")]),
            {"type": "resource_link", "uri": "file:///a", "name": "a"},
        ),
        (
            CallToolResult(
                content=[EmbeddedResource(resource=TextResourceContents(uri="file:///a", text="said"))]
            ),
            {"uri": "file:///a", "text": "said"},
        ),
    ],
)
def test_a_result_is_plain_json(result: CallToolResult, value: Any) -> None:
    assert value_of(result) == value


async def test_a_picture_is_named_and_not_shown(notes: Path) -> None:
    assert await called(program("picture"), ("test_picture", {})) == [
        ({"type": "image", "mime_type": "image/png"}, "success")
    ]


def test_names_are_what_providers_take_and_stay_apart() -> None:
    assert shown_name("files", "read") == "files_read"
    assert shown_name("files", "read.all/now") == "files_read_all_now"
    long = [shown_name("files", "read_" + "x" * 80 + end) for end in "ab"]
    assert len(set(long)) == 2
    assert all(len(name) <= 64 for name in long)


def test_nothing_of_mcp_is_imported_before_it_is_used() -> None:
    code = (
        "import sys, flockd.engines.llm.tools, flockd.engines.llm.seen\n"
        "from flockd.engines.llm.tool_function import read_tools\n"
        "assert 'mcp' not in sys.modules, 'mcp'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=LIMIT_SECONDS * 3)


async def test_servers_that_were_never_opened_can_be_left() -> None:
    await Servers([program("add")], attempt().context).close()
