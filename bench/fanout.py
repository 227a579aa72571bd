"""How fast one event reaches many, what a subscriber costs, how fast the log is read again, and that one reader who
takes nothing costs the publishers nothing.

The load is in lock-step: the next publication is sent when every subscriber has the last one. So nothing queues up,
what is timed is the telling, and both programs write equally often.
"""

import resource
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection

from bench.audience import Audience
from bench.client import UnexpectedAnswer, ask, post
from bench.load import Job
from bench.report import Row
from bench.rounds import Bench
from bench.servers import Server, bare_streams, flockd
from bench.watchers import ENDED, PUBLISHED, Crowd, Delivered

SIZES = (100, 1_000, 5_000)
QUICK_SIZES = (20, 100)
EVENTS_PER_COMMIT = (1, 10)
REPLAYED = 34_000
"""Publications in the log that is replayed: 102,000 events."""
QUICK_REPLAYED = 2_000
BESIDE = 1_000
"""Subscribers that read on while one stalls."""
PUBLISHERS = 16
LEAST_RATIO = 0.7
MOST_IDLE_BYTES = 20_000

_BULK = 1_000
_SPARE_DESCRIPTORS = 500
_SETTLE_SECONDS = 0.5
"""Until the buffers of a reader that takes nothing are full."""
_TEXT = "a sentence of about the length that somebody would type into a form, " * 2


@dataclass(frozen=True)
class Transport:
    """A way to subscribe: where, and with which message, on flockd and on the bare server."""

    name: str
    path: str
    message: str | None
    bare_path: str
    bare_message: str | None
    replay_path: str
    replay_message: str | None
    """The whole log."""


TRANSPORTS = (
    Transport(
        name="SSE",
        path="/api/v1/events?kind=artifact.published",
        message=None,
        bare_path="/events",
        bare_message=None,
        replay_path="/api/v1/events?from=start",
        replay_message=None,
    ),
    Transport(
        name="WebSocket",
        path="/api/v1/ws",
        message='{"action":"subscribe","id":"s","filter":{"kind":"artifact.published"}}',
        bare_path="/ws",
        bare_message="go",
        replay_path="/api/v1/ws",
        replay_message='{"action":"subscribe","id":"s","after":0}',
    ),
)


@dataclass(frozen=True)
class Stage:
    """Both servers, and the process of the subscribers."""

    bench: Bench
    flockd: Server
    bare: Server
    audience: Audience


def measure_fanout(bench: Bench) -> list[Row]:
    """Deliveries, memory, replay and publishing beside a stalled reader."""
    sizes = [size for size in (QUICK_SIZES if bench.quick else SIZES) if _may_open(2 * size)]
    rows: list[Row] = []
    for transport in TRANSPORTS:
        for size in sizes:
            with _stage(bench, f"{transport.name}-{size}") as stage:
                rows += _measure_crowd(stage, transport, size)
    with _stage(bench, "replay") as stage:
        rows += _measure_replay(stage)
    with _stage(bench, "stalled") as stage:
        rows.append(_measure_stalled(stage, min(BESIDE, sizes[-1])))
    return rows


@contextmanager
def _stage(bench: Bench, part: str) -> Iterator[Stage]:
    """New servers for each crowd: memory that an earlier one left behind would hide what this one takes."""
    directory = bench.directory / "fanout" / part
    with (
        flockd(directory / "flockd") as ours,
        bare_streams(directory / "bare") as bare,
        Audience() as audience,
    ):
        _teach(ours, bare)
        yield Stage(bench, ours, bare, audience)


def _may_open(descriptors: int) -> bool:
    """Whether a process may hold so many sockets. Raises the soft limit, which children inherit, to the hard one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard == resource.RLIM_INFINITY or hard >= descriptors + _SPARE_DESCRIPTORS


def _teach(ours: Server, bare: Server) -> None:
    """Has the bare server tell the very event that flockd tells."""
    ask(ours, "POST", "/api/v1/artifacts", _publication())
    connection = HTTPConnection(ours.host, ours.port, timeout=60)
    connection.request("GET", "/api/v1/events?from=start&kind=artifact.published")
    answer = connection.getresponse()
    while PUBLISHED not in (line := answer.readline().decode()):
        if not line:
            raise UnexpectedAnswer("flockd's stream ended before it told what was published")
    connection.close()
    connection = HTTPConnection(bare.host, bare.port, timeout=60)
    connection.request("POST", "/frame", line.removeprefix("data: ").strip())
    if connection.getresponse().status != 200:
        raise UnexpectedAnswer("the bare server did not learn the frame")
    connection.close()


# -- deliveries and memory -----------------------------------------------------------------------------------


def _measure_crowd(stage: Stage, transport: Transport, size: int) -> list[Row]:
    bench, audience = stage.bench, stage.audience
    bench.progress(f"{size:,} subscribers over {transport.name}")
    ours_bytes = _open(stage.flockd, audience, "ours", transport.path, transport.message, size)
    bare_bytes = _open(stage.bare, audience, "bare", transport.bare_path, transport.bare_message, size)
    memory = _memory_row(transport, size, ours_bytes, bare_bytes)
    return [memory, *(_measure_deliveries(stage, transport, size, events) for events in EVENTS_PER_COMMIT)]


def _open(server: Server, audience: Audience, name: str, path: str, message: str | None, size: int) -> float:
    """Opens a crowd; gives what each of it takes of the server's memory."""
    before = server.resident_bytes()
    audience.open(name, Crowd(server.host, server.port, path, message, size))
    return (server.resident_bytes() - before) / size


def _measure_deliveries(stage: Stage, transport: Transport, size: int, events: int) -> Row:
    body: object = _publication()
    path = "/api/v1/artifacts"
    if events > 1:
        body, path = {"items": [body] * events}, "/api/v1/artifacts/bulk"
    ours_wire, bare_wire = post(stage.flockd, path, body), post(stage.bare, f"/tell/{events}", body)
    ours, bare = _in_turn(
        stage.bench,
        lambda seconds: stage.audience.deliver("ours", ours_wire, events, seconds),
        lambda seconds: stage.audience.deliver("bare", bare_wire, events, seconds),
    )
    ratios = tuple(our.rate / their.rate for our, their in zip(ours, bare, strict=True))
    aimed_at = (
        events == 1
    )  # more of them are also more to validate and to store, which is not the streams' part
    share = f", {events} events a commit" if events > 1 else ""
    return Row(
        part="fanout",
        measure=f"{transport.name}, {size:,} subscribers{share}",
        unit="/s",
        flockd=statistics.median(outcome.rate for outcome in ours),
        ceiling=statistics.median(outcome.rate for outcome in bare),
        ratios=ratios,
        note=f"commit to byte {_times(ours)}; the ceiling {_times(bare)}",
        aim=f"ratio ≥ {LEAST_RATIO}" if aimed_at else "",
        met=statistics.median(ratios) >= LEAST_RATIO if aimed_at else None,
    )


def _in_turn(
    bench: Bench, ours: Callable[[float], Delivered], bare: Callable[[float], Delivered]
) -> tuple[list[Delivered], list[Delivered]]:
    """Both, round by round, after a warm-up; who is first changes."""
    for measure in (ours, bare):
        measure(min(1.0, bench.seconds))
    by_ours, by_bare = [], []
    for number in range(bench.rounds):
        pair = [(ours, by_ours), (bare, by_bare)]
        for measure, outcomes in pair if number % 2 == 0 else reversed(pair):
            outcomes.append(measure(bench.seconds))
    return by_ours, by_bare


def _times(outcomes: list[Delivered]) -> str:
    p50 = statistics.median(outcome.p50_ms for outcome in outcomes)
    p99 = statistics.median(outcome.p99_ms for outcome in outcomes)
    return f"p50 {p50:.1f} ms, p99 {p99:.1f} ms"


def _memory_row(transport: Transport, size: int, ours: float, bare: float) -> Row:
    """Of few connections the server's own ups and downs are a large part: the aim is for a thousand and more."""
    aimed_at = transport.name == "SSE" and size >= 1_000
    return Row(
        part="fanout",
        measure=f"{transport.name}, memory of one of {size:,} idle subscribers",
        unit="KB",
        flockd=ours / 1e3,
        ceiling=bare / 1e3,
        ratios=(bare / ours,) if ours > 0 else (),
        aim=f"< {MOST_IDLE_BYTES / 1e3:.0f} KB" if aimed_at else "",
        met=ours < MOST_IDLE_BYTES if aimed_at else None,
    )


# -- replay --------------------------------------------------------------------------------------------------


def _measure_replay(stage: Stage) -> list[Row]:
    """The whole log, read by one client, against the same number of stored frames, read page by page and sent."""
    publications = QUICK_REPLAYED if stage.bench.quick else REPLAYED
    head = _fill(stage.flockd, publications)
    connection = HTTPConnection(stage.bare.host, stage.bare.port, timeout=60)
    connection.request("POST", f"/keep/{head}")
    connection.getresponse().read()
    connection.close()
    return [_replay_row(stage, transport, head, publications) for transport in TRANSPORTS]


def _replay_row(stage: Stage, transport: Transport, head: int, publications: int) -> Row:
    """Every publication is followed by its correlation's end: the last of these is the end of the log."""
    name, ours_at, bare_at = transport.name, stage.flockd, stage.bare
    stage.bench.progress(f"replay of {head:,} events over {name}")
    crowd = Crowd(ours_at.host, ours_at.port, transport.replay_path, transport.replay_message, needle=ENDED)
    bare_crowd = Crowd(bare_at.host, bare_at.port, "/replay", None)
    ours, bare = [], []
    for _ in range(stage.bench.rounds):
        ours.append(head / stage.audience.replay(crowd, publications).seconds)
        bare.append(head / stage.audience.replay(bare_crowd, head).seconds)
    return Row(
        part="fanout",
        measure=f"{name}, replay of {head:,} events by one client",
        unit="/s",
        flockd=statistics.median(ours),
        ceiling=statistics.median(bare),
        ratios=tuple(our / their for our, their in zip(ours, bare, strict=True)),
        note="the ceiling sends stored frames as they are",
    )


def _fill(server: Server, publications: int) -> int:
    """Publishes in bulk what wakes nobody; gives the number of events in the log."""
    for first in range(0, publications - 1, _BULK):
        items = [_publication()] * min(_BULK, publications - 1 - first)
        ask(server, "POST", "/api/v1/artifacts/bulk", {"items": items})
    newest = ask(server, "GET", "/api/v1/artifacts?order=desc&limit=1")["items"][0]
    return int(newest["seq"]) + 1


# -- a reader that stalls ------------------------------------------------------------------------------------


def _measure_stalled(stage: Stage, size: int) -> Row:
    """Publishes by 16 clients before a crowd that reads, without and with one more that reads nothing, in turn."""
    bench, server, audience = stage.bench, stage.flockd, stage.audience
    bench.progress(f"publishes with {size:,} readers and one that stalls")
    _fill(server, QUICK_REPLAYED)
    audience.open("readers", Crowd(server.host, server.port, TRANSPORTS[0].path, None, size))
    job = Job(
        server.host,
        server.port,
        (post(server, "/api/v1/artifacts", _publication()),),
        PUBLISHERS,
        seconds=bench.seconds,
        expect='"accepted"',
    )
    bench.client.run(job)
    alone, beside = [], []
    for number in range(2 * bench.rounds):
        stalled = number % 4 in (1, 2)  # without, with, with, without: a drift of the machine weighs on both
        if stalled:
            audience.stall("stalled", server, "/api/v1/events?from=start")
            time.sleep(_SETTLE_SECONDS)
        (beside if stalled else alone).append(bench.client.run(job).rate)
        if stalled:
            audience.close("stalled")
    return Row(
        part="fanout",
        measure=f"publishes, {size:,} readers, one more stalled",
        unit="/s",
        flockd=statistics.median(beside),
        ceiling=statistics.median(alone),
        ratios=tuple(one / other for one, other in zip(beside, alone, strict=True)),
        note=f"the ceiling is without it, {min(alone):,.0f}–{max(alone):,.0f} /s",
        aim="within the noise",
        met=statistics.median(beside) >= min(alone),
    )


def _publication() -> dict[str, object]:
    return {"type": "Ping", "payload": {"n": 1, "text": _TEXT}}
