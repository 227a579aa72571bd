"""SIGKILL at random moments under load: nothing acknowledged is lost, nothing doubled, no watcher misses out.

Joins, batches, timers, questions, steps, retries, pauses, keys, errors and hidden artifacts are all in play.
`FLOCKD_CHAOS_KILLS` sets the number of kills (20); `FLOCKD_CHAOS_SEED` repeats an earlier round's choices.
"""

import asyncio
import itertools
import os
import random
import signal
from collections import Counter
from collections.abc import Iterator

import pytest

from .client import Client, Json
from .daemon import Daemon
from .people import Listener, People
from .promises import (
    Board,
    check_answers,
    check_batches,
    check_errors,
    check_gathered,
    check_hidden,
    check_pauses,
    check_places,
    check_steps,
    check_timers,
)
from .publishers import Load, Request
from .scheduled import GATHERED, STEPS, outcome
from .tail import ENDS, Event, read_log

KILLS = int(os.environ.get("FLOCKD_CHAOS_KILLS", "20"))
PUBLISHERS = 6
ANSWERERS = 3
PAUSERS = 2
PUBLISHES_BETWEEN_KILLS = 30
SETTINGS = {"FLOCKD_LIMITS__RUN_CRASHES": "1000", "FLOCKD_LIMITS__OFFSET_MAX": "10000000"}
"""Honest work may be killed here more often than the default allows, and the list of runs is read to its end."""
TIMED = "tests.process.scheduled:flock"
UNTIMED = "tests.process.scheduled:untimed"


async def kill_and_restart(daemon: Daemon, load: Load, choices: random.Random) -> None:
    """One kill: mostly under load, at times while the daemon is still recovering from the kill before."""
    await load.acknowledgements(choices.randint(1, PUBLISHES_BETWEEN_KILLS))
    await moment(choices, 0.05)
    assert await daemon.kill() == -signal.SIGKILL, "it had ended by itself"
    if choices.random() < 0.2:
        await daemon.launch(settings=SETTINGS)
        await moment(choices, 2.0)
        assert await daemon.kill() == -signal.SIGKILL, "it had ended by itself"
    await daemon.start(settings=SETTINGS)


async def moment(choices: random.Random, most_seconds: float) -> None:
    """Let a random time pass. Nothing is waited for here: the time itself is what is tried."""
    await asyncio.sleep(choices.random() * most_seconds)


@pytest.mark.timeout(180 + 15 * KILLS)
async def test_nothing_is_lost_or_doubled_by_sigkill(daemon: Daemon, client: Client) -> None:
    seed = int(os.environ.get("FLOCKD_CHAOS_SEED", random.randrange(2**32)))
    print(f"FLOCKD_CHAOS_SEED={seed}")
    daemon.flock = TIMED
    async with Listener(daemon) as tail:
        await daemon.start(settings=SETTINGS)
        load = Load(client, seed)
        people = People(client, tail, load, seed)
        async with asyncio.TaskGroup() as background:
            answerers = [background.create_task(people.answerer(index)) for index in range(ANSWERERS)]
            await work_and_kill(daemon, load, people, random.Random(seed))
            await without_timers(daemon)
            await tail.quiet(limit=120)
            for answerer in answerers:
                answerer.cancel()
        log = await read_log(daemon)
        assert not tail.gaps
        assert tail.events == log, first_difference(tail.events, log)

    board = await Board.read(client, log)
    check_requests(load.requests, board.artifacts)
    check_outcomes(load.requests, board)
    check_log(board)
    check_gathered(board)
    check_batches(board, [await client.get(f"/batch/{one}") for one in ids(board.correlations, "batches")])
    check_answers(board, people.attempts)
    check_steps(board, daemon.folder / STEPS)
    check_timers(board)
    check_hidden(board)
    check_pauses(board)
    check_places(board)
    check_errors(board)

    await daemon.verify()
    daemon.terminate()
    assert await daemon.wait() == 0
    await daemon.verify()
    cut = sum(request.cut for request in load.requests)
    kinds = Counter(event["kind"] for event in log)
    print(f"{len(load.requests)} requests, {cut} cut, {people.pauses} pauses; {dict(kinds)}")


async def work_and_kill(daemon: Daemon, load: Load, people: People, choices: random.Random) -> None:
    """All kills, under all of the load; at its end nothing is paused."""
    async with asyncio.TaskGroup() as work:
        for index in range(PAUSERS):
            work.create_task(people.pauser(index), name=f"pauser {index}")
        for index in range(PUBLISHERS):
            work.create_task(load.publisher(index), name=f"publisher {index}")
        for _ in range(KILLS):
            await kill_and_restart(daemon, load, choices)
        await load.acknowledgements(PUBLISHERS)
        load.stopping = True


async def without_timers(daemon: Daemon) -> None:
    """Stop it in the midst of its work, as its administrator would, and serve the flock that has no timers."""
    daemon.up.clear()
    daemon.terminate()
    assert await daemon.wait() == 0
    daemon.flock = UNTIMED
    await daemon.start(settings=SETTINGS)


def ids(correlations: list[Json], dialect: str) -> list[str]:
    return [one["id"] for one in correlations if one["dialect"] == dialect]


def check_requests(requests: list[Request], artifacts: list[Json]) -> None:
    """What was acknowledged is there as it was said; what was cut is there wholly or not; a key acts once."""
    published = published_by_number(artifacts)
    for request in requests:
        counts = [len(published.get(n, ())) for n in request.numbers]
        assert all(count == counts[0] <= 1 for count in counts), f"{request} made {counts}"
        if not request.answers:
            assert request.cut
            continue
        assert counts[0] == 1, f"{request} was acknowledged and is not there"
        for answer in request.answers:
            assert answer.body == request.answers[0].body
        assert [a.replayed for a in request.answers[1:]] == [True] * (len(request.answers) - 1)
        inputs = [published[n][0] for n in request.numbers]
        check_answer(request.how, request.answers[0].body, inputs, artifacts)
    assert sum(map(len, published.values())) == sum(1 for r in requests for n in r.numbers if n in published)


def published_by_number(artifacts: list[Json]) -> dict[int, list[Json]]:
    """What clients published, by its number; what timers did has none."""
    published: dict[int, list[Json]] = {}
    for artifact in artifacts:
        if artifact["produced_by"] == "external" and artifact["payload"]["n"]:
            published.setdefault(artifact["payload"]["n"], []).append(artifact)
    return published


def check_answer(how: str, body: Json, inputs: list[Json], artifacts: list[Json]) -> None:
    """The ids that an answer gave are those of what is on the board."""
    if how == "batch":
        assert body["total_items"] == len(inputs)
        return
    if how == "sync":
        assert body["completed"] is True
        assert body["correlation_id"] == inputs[0]["correlation_id"]
        mine = [a for a in artifacts if a["correlation_id"] == body["correlation_id"]]
        ids = {a["id"] for a in mine if a["type"] != "AgentError"} - {inputs[0]["id"]}
        assert {a["id"] for a in body["artifacts"]} == ids
        return
    told = body.get("items", [body])
    assert [item["status"] for item in told] == ["accepted"] * len(inputs)
    assert [item["artifact_id"] for item in told] == [a["id"] for a in inputs]
    assert [item["correlation_id"] for item in told] == [a["correlation_id"] for a in inputs]
    assert [item["seq"] for item in told] == [a["seq"] for a in inputs]


def check_outcomes(requests: list[Request], board: Board) -> None:
    """Every publication that is there came to exactly what its type says, and nothing else is there."""
    apart = {*GATHERED.values(), "sweeper", "ticker"}
    outputs: dict[str, Counter[str]] = {}
    states: dict[str, Counter[tuple[str, str]]] = {}
    for artifact in board.artifacts:
        if artifact["produced_by"] not in {"external", *apart}:
            outputs.setdefault(artifact["correlation_id"], Counter())[artifact["type"]] += 1
    for run in board.runs:
        if run["agent"] not in apart:
            states.setdefault(run["correlation_id"], Counter())[run["agent"], run["state"]] += 1
    published = published_by_number(board.artifacts)
    for item in (item for request in requests for item in request.items):
        for artifact in published.pop(item["payload"]["n"], ()):
            correlation_id = artifact["correlation_id"]
            assert correlation_id == item.get("correlation_id", correlation_id)
            expected = outcome(item["type"], item["payload"])
            assert outputs.pop(correlation_id, Counter()) == expected.artifacts, item
            assert states.pop(correlation_id, Counter()) == expected.runs, item
    assert not published
    assert not outputs
    assert not states


def check_log(board: Board) -> None:
    """The log rises strictly and tells the same story as the lists."""
    assert all(one["seq"] < two["seq"] for one, two in itertools.pairwise(board.log))
    published = board.of("artifact.published")
    assert [(e["seq"], e["artifact"]["id"]) for e in published] == [
        (a["seq"], a["id"]) for a in board.artifacts
    ]
    by_time = {run["id"] for run in board.runs if run["agent"] in {"packer", "sweeper"}}
    woke = Counter(woken(board.of("artifact.published", "artifact.visible")))
    assert set(woke.values()) <= {1}
    assert {run["id"] for run in board.runs} - by_time <= set(woke) <= {run["id"] for run in board.runs}
    ended = {"run.completed": "completed", "run.failed": "dead", "run.cancelled": "cancelled"}
    told = Counter((e["run_id"], ended[e["kind"]]) for e in board.of(*ended))
    assert told == Counter((run["id"], run["state"]) for run in board.runs)
    begun = Counter(e["correlation_id"] for e in board.of("correlation.started"))
    over = Counter(e["correlation_id"] for e in board.of(*ENDS))
    assert begun == over == Counter(one["id"] for one in board.correlations)
    assert {a["correlation_id"] for a in board.artifacts} <= set(begun)


def woken(events: list[Event]) -> Iterator[str]:
    """The runs that artifacts woke, as the events of those name them."""
    return itertools.chain.from_iterable(event["data"]["woke"] for event in events)


def first_difference(seen: list[Event], log: list[Event]) -> str:
    """The place where what a watcher saw and the log part."""
    for index, (one, two) in enumerate(itertools.zip_longest(seen, log)):
        if one != two:
            return f"at {index}: saw {one}, the log has {two}"
    return "none"
