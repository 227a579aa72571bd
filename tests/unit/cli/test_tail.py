"""`flockd tail`: what is printed, and that a lost connection costs no event."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from click.testing import Result

from flockd.cli import tail
from flockd.cli.daemon import DaemonError, Unreachable, connect
from flockd.cli.event_lines import JsonLines, Lines, event_line
from flockd.cli.sse import Block, BlockParser
from flockd.cli.tail import Follower
from tests.unit.cli.answering import Answering

LIMIT_SECONDS = 20.0
Asked = tuple[dict[str, str], str | None]


def event(seq: int, kind: str = "run.completed", **fields: Any) -> dict[str, Any]:
    empty = {"correlation_id": "c-1", "agent": None, "run_id": None, "artifact": None, "data": {}}
    return {"seq": seq, "kind": kind, "at": "2026-11-21T10:11:12.345Z", **empty, **fields}


def frame(document: dict[str, Any]) -> bytes:
    return f"id: {document['seq']}\nevent: {document['kind']}\ndata: {json.dumps(document)}\n\n".encode()


def control(kind: str, position: int) -> bytes:
    data = {"log_id": "l", "head": position, "complete_from": 4, "position": position}
    return f"event: {kind}\ndata: {json.dumps({'kind': kind, 'at': None, 'data': data})}\n\n".encode()


class Streams:
    """A daemon whose n-th connection gets the n-th list of bytes; `over` is set at the one after the last."""

    def __init__(self, *streams: Sequence[bytes] | int) -> None:
        self.streams = list(streams)
        self.asked: list[Asked] = []
        self.over = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if len(self.asked) == len(self.streams):
            self.over.set()
            return web.Response(status=503)
        stream = self.streams[len(self.asked)]
        self.asked.append((dict(request.query), request.headers.get("Last-Event-ID")))
        if isinstance(stream, int):
            return web.json_response({"message": f"refused with {stream}"}, status=stream)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for part in stream:
            await response.write(part)
        return response


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No wait before a reconnect."""
    monkeypatch.setattr(tail, "RETRY_BASE_SECONDS", 0.0)


async def follow(streams: Streams, follower: Follower) -> None:
    """Follow until the server has given all of its streams, or until the follower gives up."""
    app = web.Application()
    app.router.add_get("/api/v1/events", streams.handle)
    async with TestServer(app) as server, connect(str(server.make_url("/"))) as daemon:
        following = asyncio.create_task(follower.follow(daemon))
        over = asyncio.create_task(streams.over.wait())
        async with asyncio.timeout(LIMIT_SECONDS):
            await asyncio.wait({following, over}, return_when=asyncio.FIRST_COMPLETED)
        over.cancel()
        following.cancel()
        await asyncio.gather(over, return_exceptions=True)
        try:
            await following
        except asyncio.CancelledError:
            return


async def test_it_resumes_where_the_connection_was_lost(capsys: pytest.CaptureFixture[str]) -> None:
    streams = Streams(
        [control("hello", 5), frame(event(6)), frame(event(7)), b"id: 9\n\n"],
        [control("hello", 9), frame(event(10))[:20]],
        503,
        [frame(event(10))],
    )
    await follow(streams, Follower([("kind", "run.completed")], [("after", "5")], JsonLines()))
    printed = capsys.readouterr()
    assert [json.loads(line)["seq"] for line in printed.out.splitlines()] == [6, 7, 10]
    assert printed.err.count("Reconnecting.") >= 1
    kind = {"kind": "run.completed"}
    assert streams.asked == [({**kind, "after": "5"}, None), (kind, "9"), (kind, "9"), (kind, "9")]


async def test_a_stream_that_ends_before_its_first_event_resumes_where_it_began(
    capsys: pytest.CaptureFixture[str],
) -> None:
    streams = Streams([control("hello", 5)], [frame(event(6))])
    await follow(streams, Follower([], [], JsonLines()))
    assert streams.asked == [({}, None), ({}, "5")]
    assert json.loads(capsys.readouterr().out)["seq"] == 6


async def test_a_start_that_was_never_served_is_asked_for_again(capsys: pytest.CaptureFixture[str]) -> None:
    streams = Streams([], [frame(event(1))])
    await follow(streams, Follower([], [("from", "start")], JsonLines()))
    assert streams.asked == [({"from": "start"}, None), ({"from": "start"}, None)]
    assert json.loads(capsys.readouterr().out)["seq"] == 1


async def test_a_gap_and_a_goodbye_are_told_apart_from_events(capsys: pytest.CaptureFixture[str]) -> None:
    streams = Streams([control("gap", 3), frame(event(4)), control("goodbye", 4)])
    await follow(streams, Follower([], [("after", "1")], Lines()))
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [event_line(event(4))]
    assert printed.err.splitlines()[:2] == [
        "Events are missing: the log is complete from 4 on.",
        "The daemon is ending.",
    ]


async def test_a_refused_start_is_an_error() -> None:
    with pytest.raises(DaemonError, match="refused with 400"):
        await follow(Streams(400), Follower([], [("after", "9")], Lines()))


async def test_a_daemon_that_was_never_there_is_an_error() -> None:
    with pytest.raises(Unreachable, match="refused with 503"):
        await follow(Streams(503), Follower([], [], Lines()))


def test_the_options_become_the_query(flockd: Callable[..., Result], daemon: Answering) -> None:
    daemon.refuse("GET /api/v1/events", 400, "no")
    asked = [
        *(("kind", "a"), ("kind", "b"), ("agent", "g"), ("correlation_id", "c"), ("type", "T")),
        *(("produced_by", "p"), ("tag", "x"), ("tag", "y"), ("partition_key", "k"), ("where", "n > `1`")),
    ]
    options = [word for name, value in asked for word in (f"--{name.replace('_', '-')}", value)]
    assert flockd("tail", *options, "--url", daemon.url).stderr == "Error: no\n"
    assert daemon.requests[-1].query == asked
    flockd("tail", "--from-start", "--url", daemon.url)
    assert daemon.requests[-1].query == [("from", "start")]
    flockd("tail", "--after", "7", "--url", daemon.url)
    assert daemon.requests[-1].query == [("after", "7")]


def test_a_workflow_begins_at_its_beginning_by_itself(
    flockd: Callable[..., Result], daemon: Answering
) -> None:
    daemon.refuse("GET /api/v1/correlations/c-1/events", 400, "no")
    flockd("tail", "c-1", "--from-start", "--kind", "k", "--url", daemon.url)
    assert daemon.requests[-1].query == [("kind", "k")]
    flockd("tail", "c-1", "--after", "7", "--url", daemon.url)
    assert daemon.requests[-1].query == [("after", "7")]


@pytest.mark.parametrize("options", [("--after", "1", "--from-start"), ("c-1", "--correlation-id", "c-1")])
def test_options_that_exclude_each_other(flockd: Callable[..., Result], options: tuple[str, ...]) -> None:
    outcome = flockd("tail", *options)
    assert (outcome.exit_code, "exclude each other" in outcome.stderr) == (2, True)


# -- one workflow ----------------------------------------------------------------------------------------------------


class Workflow:
    """A daemon with one workflow: a stream for each connection (none: 204), a state for each time it is asked."""

    def __init__(self, streams: Sequence[Sequence[bytes]], states: Sequence[str]) -> None:
        self.streams = list(streams)
        self.states = list(states)
        self.asked: list[Asked] = []

    async def events(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((dict(request.query), request.headers.get("Last-Event-ID")))
        if not self.streams:
            return web.Response(status=204)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for part in self.streams.pop(0):
            await response.write(part)
        return response

    async def status(self, request: web.Request) -> web.Response:
        return web.json_response({"state": self.states.pop(0)})

    async def follow(self, follower: Follower) -> str:
        app = web.Application()
        app.router.add_get("/api/v1/correlations/c-1/events", self.events)
        app.router.add_get("/api/v1/correlations/c-1/status", self.status)
        async with (
            asyncio.timeout(LIMIT_SECONDS),
            TestServer(app) as server,
            connect(str(server.make_url("/"))) as daemon,
        ):
            return await follower.follow(daemon)


async def test_a_workflow_is_followed_to_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    workflow = Workflow([[control("hello", 0), frame(event(1)), frame(event(2))]], ["failed"])
    assert await workflow.follow(Follower([], [], JsonLines(), "c-1")) == "failed"
    assert [json.loads(line)["seq"] for line in capsys.readouterr().out.splitlines()] == [1, 2]
    assert workflow.asked == [({}, None)]


async def test_a_workflow_that_outlives_its_stream_is_followed_further(
    capsys: pytest.CaptureFixture[str],
) -> None:
    first = [control("hello", 0), frame(event(1)), control("goodbye", 1)]
    workflow = Workflow([first, [frame(event(2))]], ["active", "active", "completed"])
    assert await workflow.follow(Follower([], [], JsonLines(), "c-1")) == "completed"
    printed = capsys.readouterr()
    assert [json.loads(line)["seq"] for line in printed.out.splitlines()] == [1, 2]
    assert printed.err == "The daemon is ending.\n"
    assert [last for _, last in workflow.asked] == [None, "1", "2"]


@pytest.mark.parametrize(("state", "code"), [("completed", 0), ("failed", 1), ("not_found", 1)])
def test_the_exit_code_says_how_a_workflow_ended(
    flockd: Callable[..., Result], daemon: Answering, state: str, code: int
) -> None:
    daemon.answer("GET /api/v1/correlations/c-1/events", frame(event(1)))
    daemon.answer("GET /api/v1/correlations/c-1/status", {"state": state})
    outcome = flockd("tail", "c-1", "--url", daemon.url)
    assert (outcome.exit_code, outcome.stdout) == (code, event_line(event(1)) + "\n")


def test_a_workflow_that_there_is_not_is_an_error(flockd: Callable[..., Result], daemon: Answering) -> None:
    daemon.refuse("GET /api/v1/correlations/c-1/events", 404, "Correlation not found: c-1")
    outcome = flockd("tail", "c-1", "--url", daemon.url)
    assert (outcome.exit_code, outcome.stderr) == (1, "Error: Correlation not found: c-1\n")


# -- how it ends -----------------------------------------------------------------------------------------------------


@pytest.fixture
async def endless() -> AsyncIterator[str]:
    """The URL of a daemon that sends one event and then stays silent."""
    stop = asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(frame(event(1)))
        await stop.wait()
        return response

    app = web.Application()
    app.router.add_get("/api/v1/events", handle)
    app.router.add_get("/api/v1/correlations/c-1/events", handle)
    async with TestServer(app) as server:
        yield str(server.make_url("/"))
        stop.set()


@asynccontextmanager
async def tailing(*arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, asyncio.StreamReader]]:
    """`flockd tail` as a process that has printed its first event."""
    command = [sys.executable, "-m", "flockd", "tail", "--json", *arguments]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(LIMIT_SECONDS):
            assert json.loads(await process.stdout.readline())["seq"] == 1
            yield process, process.stdout
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.parametrize(("workflow", "code"), [((), 0), (("c-1",), 130)])
async def test_ctrl_c_is_quiet(endless: str, workflow: tuple[str, ...], code: int) -> None:
    async with tailing(*workflow, "--url", endless) as (process, _):
        process.send_signal(signal.SIGINT)
        _, errors = await process.communicate()
        assert (process.returncode, errors) == (code, b"")


async def test_it_ends_quietly_when_its_reader_leaves_although_nothing_happens(endless: str) -> None:
    read, write = os.pipe()
    command = [sys.executable, "-m", "flockd", "tail", "--json", "--url", endless]
    process = await asyncio.create_subprocess_exec(*command, stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            assert await asyncio.to_thread(os.read, read, 1)
            os.close(read)
            _, errors = await process.communicate()
        assert (process.returncode, errors) == (1, b"")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_broken_pipe_is_not_taken_for_a_lost_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise BrokenPipeError

    printer = JsonLines()
    monkeypatch.setattr(printer, "event", broken)
    with pytest.raises(tail.ReaderLeftError):
        await follow(Streams([frame(event(1))]), Follower([], [], printer))


# -- what is printed ---------------------------------------------------------------------------------------------------


ARTIFACT = {"type": "CodeReview", "produced_by": "code_reviewer", "id": "a-1", "payload": None}


@pytest.mark.parametrize(
    ("shown", "line"),
    [
        (
            event(7, agent="a", data={"attempt": 1, "duration_ms": 5}),
            "     #7  run.completed           a  5 ms",
        ),
        (
            event(8, "artifact.published", artifact=ARTIFACT, agent="code_reviewer"),
            "     #8  artifact.published      CodeReview by code_reviewer (a-1)",
        ),
        (
            event(9, "run.retrying", agent="a", data={"attempt": 2, "reason": "error", "error": "no\nluck"}),
            "     #9  run.retrying            a  attempt 2  error  no luck",
        ),
        (
            event(9, "run.failed", agent="a", data={"error": {"code": "X", "message": "no luck"}}),
            "     #9  run.failed              a  no luck",
        ),
        (
            event(9, "run.progress", agent="a", data={"fraction": 0.5, "phase": "plan", "message": None}),
            "     #9  run.progress            a  50%  plan",
        ),
        (
            event(9, "correlation.failed", data={"reason": "limit"}),
            "     #9  correlation.failed      c-1  limit",
        ),
        (
            event(9, "run.progress", agent="a", data={"fraction": None, "message": "x" * 200}),
            f"     #9  run.progress            a  {'x' * 119}…",
        ),
        (
            event(9, "run.progress", agent="a", data={"message": "\x1b[2Jgone\x07"}),
            "     #9  run.progress            a  [2Jgone",
        ),
        (
            event(9, "question.asked", agent="a", data={"key": "k", "text": "Which one?"}),
            "     #9  question.asked          a  Which one?",
        ),
        (
            event(9, "batch.progress", data={"total": 4, "completed": 3, "failed": 1}),
            "     #9  batch.progress          3 of 4",
        ),
        (
            event(
                9,
                "tool.called",
                agent="a",
                data={"tool": "refund", "duration_ms": 184, "outcome": "ok", "error": None},
            ),
            "     #9  tool.called             a  refund  ok  184 ms",
        ),
        (
            event(
                9,
                "tool.called",
                agent="a",
                data={"tool": "refund", "duration_ms": 1, "outcome": "error", "error": "no"},
            ),
            "     #9  tool.called             a  refund  error  no  1 ms",
        ),
        (
            event(9, "timer.fired", data={"timer": "nightly", "fired": 3}),
            "     #9  timer.fired             nightly",
        ),
        (
            event(9, "timer.skipped", data={"timer": "nightly", "skipped": 3}),
            "     #9  timer.skipped           nightly",
        ),
        (
            event(9, "question.answered", agent="a", data={"key": "k", "state": "expired", "answer": None}),
            "     #9  question.answered       a  expired",
        ),
        (
            event(9, "join.expired", agent="a", data={"key": '"7-1"', "artifacts": ["a-1"]}),
            '     #9  join.expired            a  key "7-1"  1 artifact',
        ),
        (
            event(
                9,
                "budget.exceeded",
                agent="a",
                data={"scope": "agent", "subject": "a", "unit": "requests", "limit": 200, "spent": 199},
            ),
            "     #9  budget.exceeded         a  budget of agent a  199 of 200 requests spent",
        ),
        (
            event(
                9,
                "budget.exceeded",
                agent="a",
                data={"scope": "run", "subject": "r-1", "unit": "usd", "limit": 0.5, "spent": 0.4},
            ),
            "     #9  budget.exceeded         a  budget of run  0.4 of 0.5 usd spent",
        ),
    ],
)
def test_an_event_is_a_line(shown: dict[str, Any], line: str) -> None:
    assert event_line(shown) == f"10:11:12.345  {line}"


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_blocks_come_whole_however_the_bytes_are_cut(size: int) -> None:
    text = 'id: 1\nevent: a\ndata: {"é": 1}\n\n: comment\n\nid:2\r\n\r\n'
    text += "data: x\ndata:y\n\nevent: a\n\ndata: lost"
    stream = text.encode()
    parser = BlockParser()
    chunks = [stream[start : start + size] for start in range(0, len(stream), size)]
    blocks = [block for chunk in chunks for block in parser.feed(chunk)]
    assert blocks == [
        Block("1", "a", '{"é": 1}'),
        Block("2", "message", None),
        Block(None, "message", "x\ny"),
    ]
