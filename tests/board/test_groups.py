"""Several verbs in one transaction: each sees what those before it did, and together they leave a legal board."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from typing import Any

import orjson
import pytest

from flockd.board.control import CancelCorrelation, CancelRun
from flockd.board.memory import Answer
from flockd.board.pause import PauseAgent, PauseCorrelation
from flockd.board.redrive import Redrive
from flockd.board.start import Wake
from flockd.domain.agent import Agent
from flockd.domain.gathering import JoinSpec
from flockd.domain.rate import Rate
from flockd.domain.subscription import Subscription
from flockd.domain.visibility import After
from flockd.engines.base import Context, Output, Threads
from flockd.errors import FlockdError
from flockd.store.command import Command
from flockd.store.occupancy import Limits

from ..rig import Rig, Rigs, agent, publication


def join(*types: str) -> Agent:
    """An agent that pairs these by `n`, whatever workflows they are of."""
    return Agent("j", Subscription(types, gathering=JoinSpec(by="n", within="1h")), ("D",))


class Asker:
    """An engine whose runs ask one question, which waits for a minute."""

    kind = "test"

    async def run(self, inputs: Sequence[Any], context: Context, threads: Threads) -> list[Output]:
        await context.ask("n?", type=int, key="n", timeout=60, default=0)
        return []


async def try_to(rig: Rig, command: Command) -> None:
    """A verb that may be refused, by those before it."""
    with suppress(FlockdError):
        await rig.writer.submit(command)


def starts_of(rig: Rig, agent: str) -> int:
    return sum(event.kind == "run.started" and event.agent == agent for event in rig.events)


# -- joins ----------------------------------------------------------------------------------------------------


async def test_an_expiry_and_a_pairing(rigs: Rigs) -> None:
    """The oldest has just waited in vain; its partner comes in the same transaction and finds the next."""
    rig = await rigs(join("A", "B"))
    oldest = await rig.publish("A", 1)
    rig.clock.advance(1800)
    await rig.publish("A", 1)
    rig.clock.advance(1800)
    async with rig.one_group():
        rig.soon(rig.board.wake(rig.clock()))
        rig.soon(rig.publish("B", 1))
    assert rig.data("join.expired") == [{"key": "1", "artifacts": [oldest.artifact_id]}]
    await rig.call("j")


async def test_a_cancel_and_a_pairing(rigs: Rigs) -> None:
    """The oldest is withdrawn; its partner finds the next."""
    rig = await rigs(join("A", "B"))
    oldest = await rig.publish("A", 1)
    second = await rig.publish("A", 1)
    async with rig.one_group():
        rig.soon(rig.board.cancel_correlation(oldest.correlation_id))
        rig.soon(rig.publish("B", 1))
    call = await rig.call("j")
    assert (await rig.run(call.run_id)).inputs[0] == second.artifact_id
    assert await rig.state(oldest.correlation_id) == "cancelled"


@pytest.mark.parametrize("partners", [1, 2])
async def test_a_limit_and_a_pairing(rigs: Rigs, partners: int) -> None:
    """A workflow that may have no more runs meets others in the transaction that ends it: nothing stays open."""
    rig = await rigs(agent("e", "E"), join("A", "B"), limits=Limits(correlation_runs=1))
    limited = (await rig.publish("E")).correlation_id
    other = (await rig.publish("A", 1)).correlation_id
    async with rig.one_group():
        rig.soon(rig.publish("E", 2, limited))
        for _ in range(partners):
            rig.soon(rig.publish("B", 1, limited))
    await rig.event("correlation.failed", correlation_id=limited)
    await rig.until(lambda: len(rig.data("correlation.failed")) == 2)  # what they met in counts its run, too
    assert rig.verify() == []
    assert await rig.state(other) == "completed"
    await rig.publish("A", 2)
    await rig.publish("B", 2)
    await rig.until(lambda: starts_of(rig, "j") == 1)


# -- batches --------------------------------------------------------------------------------------------------


async def test_items_cancelled_one_by_one_and_their_batch_paused(rigs: Rigs) -> None:
    """What their ends let begin is paused with the batch, and goes on with it."""
    rig = await rigs(agent("a", "A"))
    items = [[publication("A", n)] for n in range(6)]
    batch_id = (await rig.board.start_batch(rig.board.agents["a"], items, width=3)).correlation_id
    calls = [await rig.call("a", n) for n in range(3)]
    async with rig.one_group():
        for call in calls:
            rig.soon(rig.board.cancel_correlation(call.context.correlation_id))
        rig.soon(rig.board.cancel_run(calls[0].run_id))
        rig.soon(rig.board.pause_correlation(batch_id, True))
    await rig.until(lambda: not any(call.inputs[0] < 3 for call in rig.working))
    assert rig.verify() == []
    await rig.board.pause_correlation(batch_id, False)
    for n in (3, 4, 5):
        (await rig.call("a", n)).give(B=1)
    await rig.event("correlation.completed", correlation_id=batch_id)
    batch = await rig.reads.batch(batch_id)
    assert batch is not None and (batch.completed, batch.failed) == (6, 3)


# -- questions --------------------------------------------------------------------------------------------------

VERBS = ("answer", "cancel_run", "cancel", "wake", "pause", "resume", "pause_agent", "retry")


@pytest.mark.parametrize("first", VERBS)
async def test_every_order_of_three_verbs_on_one_question(rigs: Rigs, first: str) -> None:
    """Whoever comes first: the run has one outcome, and neither a place nor its turn in the queue is lost."""
    rig = await rigs(agent("a", "A"), engines={"a": Asker()})
    occupancy = rig.writer.occupancy
    for others in itertools.permutations([verb for verb in VERBS if verb != first], 2):
        published = await rig.publish("A")
        asked = await rig.event("question.asked", correlation_id=published.correlation_id)
        await rig.until(lambda: rig.supervisor.working == 0)
        rig.clock.advance(61)
        assert asked.run_id is not None
        commands: dict[str, Command] = {
            "answer": Answer(orjson.loads(asked.data)["question_id"], b"1", "x"),
            "cancel_run": CancelRun(asked.run_id, lambda _: None),
            "cancel": CancelCorrelation(published.correlation_id, lambda _: None),
            "wake": Wake(rig.clock()),
            "pause": PauseCorrelation(published.correlation_id, True),
            "resume": PauseCorrelation(published.correlation_id, False),
            "pause_agent": PauseAgent("a", True),
            "retry": Redrive((asked.run_id,), lambda _: b"", strict=True),
        }
        async with rig.one_group():
            for verb in (first, *others):
                rig.soon(try_to(rig, commands[verb]))
        await rig.until(lambda: rig.supervisor.working == 0)
        await rig.passed()
        run = await rig.run(asked.run_id)
        queued = run.state == "ready" and not run.paused
        assert (occupancy.busy.total, occupancy.ready.total) == (0, queued), (first, *others)
        await rig.board.cancel_correlation(published.correlation_id)
        await rig.board.pause_agent(rig.board.agents["a"], False)
    assert rig.verify() == []


# -- everything ---------------------------------------------------------------------------------------------------


async def test_a_reset_among_everything_else(rigs: Rigs) -> None:
    """What is queued before it is gone with all the rest; what comes after it begins on an empty board."""
    rig = await rigs(
        agent("asks", "A"),
        agent("often", "D", rate=Rate(1, 60_000)),
        join("B", "C"),
        engines={"asks": Asker()},
    )
    asks = rig.board.agents["asks"]
    await rig.board.start_batch(asks, [[publication("A", n)] for n in range(3)], width=1)
    await rig.event("question.asked")
    await rig.publish("B", 1)
    await rig.publish("A", visibility=After(ttl=3600))
    for _ in range(2):
        await rig.publish("D")
    await rig.board.pause_agent(asks, True)
    async with rig.one_group():
        rig.soon(rig.board.reset())
        rig.soon(rig.publish("C", 1))
        rig.soon(rig.publish("B", 1))
    call = await rig.call("j")
    assert call.inputs == (1, 1)
    with closing(sqlite3.connect(rig.path)) as connection:
        for table in ("batches", "batch_items", "questions", "paused_agents", "hidden", "pools"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table
    await rig.publish("A")
    await rig.until(lambda: len(rig.data("question.asked")) == 2)
    call.give()
    await call.ended.wait()
    await rig.until(lambda: rig.supervisor.working == 0)
    await rig.passed()
    assert (rig.writer.occupancy.busy.total, rig.writer.occupancy.ready.total) == (0, 0)
