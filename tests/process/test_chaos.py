"""SIGKILL at random moments under load: nothing acknowledged is lost, nothing doubled, no watcher misses out.

`FLOCKD_CHAOS_KILLS` sets the number of kills (20); `FLOCKD_CHAOS_SEED` repeats an earlier round's choices.
"""

import asyncio
import itertools
import os
import random
import signal
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from .client import Answer, Client, CutError, Json
from .daemon import Daemon
from .flocks import outcome
from .tail import ENDS, Event, Tail, read_log

KILLS = int(os.environ.get("FLOCKD_CHAOS_KILLS", "20"))
PUBLISHERS = 6
PUBLISHES_BETWEEN_KILLS = 40
SETTINGS = {"FLOCKD_LIMITS__RUN_CRASHES": "1000", "FLOCKD_LIMITS__OFFSET_MAX": "10000000"}
"""Honest work may be killed here more often than the default allows, and the list of runs is read to its end."""


@dataclass
class Request:
    """One request of a publisher: the items (one, or many in bulk) and what it was told about them."""

    items: list[Json]
    key: str | None
    answers: list[Answer] = field(default_factory=list)
    cut: bool = False

    @property
    def numbers(self) -> list[int]:
        return [item["payload"]["n"] for item in self.items]


class Load:
    """Publishers that never stop before they are told to, and remember every request and its answer."""

    def __init__(self, client: Client, seed: int) -> None:
        self.client = client
        self.requests: list[Request] = []
        self.stopping = False
        self.acknowledged = 0
        self._numbers = itertools.count(1)
        self._changed = asyncio.Condition()
        self._seed = seed

    async def acknowledgements(self, more: int) -> None:
        """Wait until this many more requests have been acknowledged."""
        goal = self.acknowledged + more
        async with asyncio.timeout(60), self._changed:
            await self._changed.wait_for(lambda: self.acknowledged >= goal)

    async def publisher(self, index: int) -> None:
        """Publish without pause. A keyed request is repeated until it is answered; any other is sent once."""
        choices = random.Random(f"{self._seed}/{index}")
        while not self.stopping:
            request = self._next(choices)
            how = choices.choice(("async", "async", "sync")) if len(request.items) == 1 else "bulk"
            self.requests.append(request)
            await self._send(request, how)
            while request.key is not None and not request.answers:
                await self._send(request, how)
            if request.key is not None and choices.random() < 0.2:
                await self._send(request, how)

    async def _send(self, request: Request, how: str) -> None:
        await self.client.daemon.up.wait()
        try:
            if how == "bulk":
                answer = await self.client.publish_bulk(request.items, key=request.key)
            else:
                send = self.client.publish_sync if how == "sync" else self.client.publish
                item = request.items[0]
                answer = await send(
                    item["type"], item["payload"], key=request.key, correlation_id=item["correlation_id"]
                )
        except CutError:
            request.cut = True
            return
        assert answer.status == 200, f"{request}: {answer.status} {answer.body}"
        request.answers.append(answer)
        async with self._changed:
            self.acknowledged += 1
            self._changed.notify_all()

    def _next(self, choices: random.Random) -> Request:
        key = str(uuid.UUID(int=choices.getrandbits(128), version=4)) if choices.random() < 0.5 else None
        size = choices.choice((1, 1, 1, 1, 2, 5))
        return Request([self._item(choices) for _ in range(size)], key)

    def _item(self, choices: random.Random) -> Json:
        n = next(self._numbers)
        kind = choices.choice(("A", "A", "A", "Word", "Many", "Slow", "Doomed", "Stubborn"))
        extra: dict[str, Json] = {
            "Word": {"text": f"word {n}"},
            "Many": {"count": choices.randint(0, 5)},
            "Slow": {"seconds": choices.choice((0.0, 0.05, 0.3))},
            "Stubborn": {"failures": 1},
        }
        correlation_id = str(uuid.UUID(int=choices.getrandbits(128), version=4))
        return {"type": kind, "payload": {"n": n} | extra.get(kind, {}), "correlation_id": correlation_id}


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


@pytest.mark.timeout(120 + 15 * KILLS)
async def test_nothing_is_lost_or_doubled_by_sigkill(daemon: Daemon, client: Client, tail: Tail) -> None:
    seed = int(os.environ.get("FLOCKD_CHAOS_SEED", random.randrange(2**32)))
    print(f"FLOCKD_CHAOS_SEED={seed}")
    choices = random.Random(seed)
    await daemon.start(settings=SETTINGS)
    load = Load(client, seed)
    async with asyncio.TaskGroup() as publishers:
        for index in range(PUBLISHERS):
            publishers.create_task(load.publisher(index), name=f"publisher {index}")
        for _ in range(KILLS):
            await kill_and_restart(daemon, load, choices)
        await load.acknowledgements(PUBLISHERS)
        load.stopping = True

    await tail.quiet(limit=120)
    assert (await client.get("/api/v1/correlations", state="active"))["total"] == 0
    artifacts = await client.artifacts()
    runs = await client.runs()
    log = await read_log(daemon)

    check_requests(load.requests, artifacts)
    check_outcomes(load.requests, artifacts, runs)
    check_log(log, artifacts, runs)
    assert not tail.gaps
    assert tail.events == log, first_difference(tail.events, log)

    await daemon.verify()
    daemon.terminate()
    assert await daemon.wait() == 0
    await daemon.verify()
    cut = sum(request.cut for request in load.requests)
    print(f"{len(load.requests)} requests, {cut} cut, {len(artifacts)} artifacts, {len(log)} events")


def check_requests(requests: list[Request], artifacts: list[Json]) -> None:
    """What was acknowledged is there as it was said; what was cut is there wholly or not; a key acts once."""
    published: dict[int, list[Json]] = {}
    for artifact in artifacts:
        if artifact["produced_by"] == "external":
            published.setdefault(artifact["payload"]["n"], []).append(artifact)
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
        check_answer(request.answers[0].body, [published[n][0] for n in request.numbers], artifacts)
    assert sum(map(len, published.values())) == sum(1 for r in requests for n in r.numbers if n in published)


def check_answer(body: Json, inputs: list[Json], artifacts: list[Json]) -> None:
    """The ids that an answer gave are those of what is on the board."""
    if "completed" in body:
        assert body["completed"] is True
        assert body["correlation_id"] == inputs[0]["correlation_id"]
        ids = {a["id"] for a in artifacts if a["correlation_id"] == body["correlation_id"]} - {
            inputs[0]["id"]
        }
        assert {a["id"] for a in body["artifacts"]} == ids
        return
    told = body.get("items", [body])
    assert [item["status"] for item in told] == ["accepted"] * len(inputs)
    assert [item["artifact_id"] for item in told] == [a["id"] for a in inputs]
    assert [item["correlation_id"] for item in told] == [a["correlation_id"] for a in inputs]
    assert [item["seq"] for item in told] == [a["seq"] for a in inputs]


def check_outcomes(requests: list[Request], artifacts: list[Json], runs: list[Json]) -> None:
    """Every publication that is there came to exactly what its type says, and nothing else is there."""
    outputs: dict[str, Counter[str]] = {}
    states: dict[str, Counter[tuple[str, str]]] = {}
    started: set[str] = set()
    for artifact in artifacts:
        if artifact["produced_by"] == "external":
            started.add(artifact["correlation_id"])
        else:
            outputs.setdefault(artifact["correlation_id"], Counter())[artifact["type"]] += 1
    for run in runs:
        states.setdefault(run["correlation_id"], Counter())[run["agent"], run["state"]] += 1
    for item in (item for request in requests for item in request.items):
        correlation_id = item["correlation_id"]
        if correlation_id in started:
            started.remove(correlation_id)
            expected = outcome(item["type"], item["payload"])
            assert outputs.pop(correlation_id, Counter()) == expected.artifacts, item
            assert states.pop(correlation_id, Counter()) == expected.runs, item
    assert not started
    assert not outputs
    assert not states


def check_log(log: list[Event], artifacts: list[Json], runs: list[Json]) -> None:
    """The log rises strictly and tells the same story as the lists."""
    assert all(one["seq"] < two["seq"] for one, two in itertools.pairwise(log))
    published = [e for e in log if e["kind"] == "artifact.published"]
    assert [(e["seq"], e["artifact"]["id"]) for e in published] == [(a["seq"], a["id"]) for a in artifacts]
    assert Counter(woken(published)) == Counter(run["id"] for run in runs)
    ended = {"run.completed": "completed", "run.failed": "dead", "run.cancelled": "cancelled"}
    told = Counter((e["run_id"], ended[e["kind"]]) for e in log if e["kind"] in ended)
    assert told == Counter((run["id"], run["state"]) for run in runs)
    begun = Counter(e["correlation_id"] for e in log if e["kind"] == "correlation.started")
    over = Counter(e["correlation_id"] for e in log if e["kind"] in ENDS)
    assert begun == over == Counter({a["correlation_id"] for a in artifacts})


def woken(published: list[Event]) -> Iterator[str]:
    """The runs that publications woke, as their events name them."""
    return itertools.chain.from_iterable(event["data"]["woke"] for event in published)


def first_difference(seen: list[Event], log: list[Event]) -> str:
    """The place where what a watcher saw and the log part."""
    for index, (one, two) in enumerate(itertools.zip_longest(seen, log)):
        if one != two:
            return f"at {index}: saw {one}, the log has {two}"
    return "none"
