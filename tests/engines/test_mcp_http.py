"""Tools of MCP servers over HTTP."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("mcp")


from flockd.errors import AgentFailed

from .attempts import Kept
from .mcp_servers import (
    LIMIT_SECONDS,
    Served,
    attempt,
    both_protocols,
    called,
    noted,
    notes,
    serve,
    until,
)
from .scripted import Script

__all__ = ["notes", "serve"]


@both_protocols
async def test_a_server_over_http(
    old: bool, serve: Callable[[], Served], notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if old:
        monkeypatch.setenv("MCP_TEST_OLD", "1")
    kept = Kept()
    told = await called(
        serve().server("add", "fail"),
        ("web_add", {"a": 1}),
        ("web_fail", {}),
        ("web_add", {"a": 2}),
        kept=kept,
    )
    assert told[0] == (2, "success")
    assert told[1][1] == "failed"
    assert told[2] == (3, "success")
    assert ("DELETE" in noted(notes)) is old  # an old one keeps a session, which is ended
    assert [event["outcome"] for event in kept.tools] == ["ok", "error", "ok"]


@both_protocols
async def test_a_call_over_http_that_takes_too_long_is_told_and_the_connection_stays(
    old: bool, serve: Callable[[], Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    if old:
        monkeypatch.setenv("MCP_TEST_OLD", "1")
    server = serve().server("wait", "add", timeout_seconds=2.0)
    told = await called(server, ("web_wait", {"seconds": 600}), ("web_add", {"a": 1}))
    assert told == [("the MCP server web did not answer within 2 s", "failed"), (2, "success")]


async def test_headers_come_from_the_environment(
    serve: Callable[[], Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCP_TEST_TOKEN", "good")
    served = serve()
    monkeypatch.setenv("WEB_AUTHORIZATION", "Bearer good\n")
    headers = {"Authorization": "WEB_AUTHORIZATION"}
    assert await called(served.server("add", headers=headers), ("web_add", {"a": 1})) == [(2, "success")]
    with pytest.raises(AgentFailed, match=r"the MCP server web answered HTTP 401 \(see its headers\)"):
        await called(served.server("add"), ("web_add", {"a": 1}))
    monkeypatch.setenv("WEB_AUTHORIZATION", "Bearer wrong-but-secret")
    with pytest.raises(AgentFailed, match="HTTP 401") as refused:
        await called(served.server("add", headers=headers), ("web_add", {"a": 1}))
    assert "secret" not in str(refused.value)
    assert refused.value.is_final
    monkeypatch.setenv("WEB_AUTHORIZATION", "Bearer se\ncret")
    with pytest.raises(AgentFailed, match="WEB_AUTHORIZATION holds what no header can") as refused:
        await called(served.server("add", headers=headers), ("web_add", {"a": 1}))
    assert "cret" not in str(refused.value).replace("secret", "")


async def test_a_server_that_is_not_there_is_said(serve: Callable[[], Served]) -> None:
    served = serve()
    served.end()
    with pytest.raises(AgentFailed, match="the MCP server web cannot be reached: ConnectError") as failed:
        await called(served.server("add"), ("web_add", {"a": 1}))
    assert not failed.value.is_final


async def test_a_server_that_goes_in_the_middle_of_a_call_is_told(
    serve: Callable[[], Served], notes: Path
) -> None:
    served, this = serve(), attempt()
    script = Script([("web_wait", {"seconds": 600})], [("web_add", {"a": 1})])
    run = asyncio.create_task(script.run(this.context, mcp=[served.server("wait", "add")]))
    await until(lambda: "waiting" in noted(notes))
    served.end()
    async with asyncio.timeout(LIMIT_SECONDS):
        assert await run == "done"
    assert [outcome for (told,) in script.told for outcome in told[1:]] == ["failed", "failed"]
    assert all("the MCP server web" in told[0] for (told,) in script.told)


async def test_a_cancelled_call_over_http_leaves_no_task(serve: Callable[[], Served], notes: Path) -> None:
    script = Script([("web_wait", {"seconds": 600})])
    run = asyncio.create_task(script.run(attempt().context, mcp=[serve().server("wait")]))
    await until(lambda: "waiting" in noted(notes))
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(LIMIT_SECONDS):
            await run
    assert not [task for task in asyncio.all_tasks() if "mcp" in task.get_name()]
