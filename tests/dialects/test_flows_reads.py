"""Executions as they are read: every page and total against what real verbs did, along an index."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from flockd.board.publication import Prepared, Published
from flockd.board.publish import RunAgent
from flockd.board.start import Claim, Release
from flockd.domain.agent import Agent
from flockd.domain.artifact import EXTERNAL, Draft
from flockd.domain.identity import new_id
from flockd.domain.run import Run
from flockd.domain.subscription import Subscription
from flockd.store.occupancy import Limits
from flockd.store.reads import Execution, ExecutionStatus, Reads
from flockd.store.sqlite import Readers
from tests.store.small_board import SmallBoard

FLOWS = ("poem_flow", "song_flow")
STATUSES = tuple(ExecutionStatus)


def flow(name: str, **options: int) -> Agent:
    return Agent(name, Subscription((f"{name}_request",)), (f"{name}_result",), kind="flow", **options)


class Flows(SmallBoard):
    """A board on which flows are executed."""

    def execute(self, name: str, dialect: str = "flows") -> Published:
        agent = self._agents[name]
        draft = Draft(new_id(), agent.subscription.types[0], b"{}", EXTERNAL)
        prepared = Prepared(draft, (), new_id(), None, True)
        published: Published = self.do(RunAgent(agent, [prepared], False, dialect))
        return published

    def run_of(self, published: Published) -> Run:
        return next(run for run in self.runs() if run.id == published.run_id)

    def claim(self) -> None:
        """Start what has a place now."""
        self.do(Claim([run.id for run in self.runs("state = 'ready'")]))


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Flows]:
    """Two flows and an agent; two runs at once, so that others wait."""
    made = Flows(
        tmp_path / "board.db",
        *(flow(name) for name in FLOWS),
        flow("fickle", retries=1),
        Agent("reviewer", Subscription(("Code",)), ()),
        limits=Limits(running=4),
    )
    yield made
    made.close()


@pytest.fixture
async def reads(board: Flows) -> AsyncIterator[Reads]:
    async with Readers(board.path, connections=2) as readers:
        yield Reads(readers, count_max=5)


async def found(reads: Reads, published: Published) -> Execution:
    execution = await reads.execution(published.correlation_id)
    assert execution is not None
    return execution


async def test_an_execution_from_its_start_to_its_result(board: Flows, reads: Reads) -> None:
    executed = board.execute("poem_flow")
    assert (await found(reads, executed)).status == "running"  # there was a place for it
    board.finish(board.run_of(executed), "poem_flow_result", cascade=False)
    execution = await found(reads, executed)
    assert (execution.status, execution.result, execution.error) == ("completed", b"{}", None)
    assert (execution.correlation.id, execution.run.id) == (executed.correlation_id, executed.run_id)


async def test_what_waits_for_a_place_is_pending_and_what_was_begun_never_again(
    board: Flows, reads: Reads
) -> None:
    executed = [board.execute("poem_flow") for _ in range(5)]
    assert [(await found(reads, one)).status for one in executed] == ["running"] * 4 + ["pending"]
    board.connection.execute("UPDATE runs SET state = 'ready' WHERE ord = 1")  # as a restart leaves it
    assert (await found(reads, executed[0])).status == "running"
    pending, total = await reads.executions(status=ExecutionStatus.pending, limit=10)
    assert ([one.correlation.id for one in pending], total.count) == ([executed[4].correlation_id], 1)
    running, total = await reads.executions(status=ExecutionStatus.running, limit=10)
    assert (len(running), total.count) == (4, 4)


async def test_what_waits_for_a_daemon_that_has_its_flow_is_pending(board: Flows, reads: Reads) -> None:
    executed = [board.execute("poem_flow") for _ in range(5)]
    board.connection.execute("UPDATE runs SET state = 'waiting' WHERE state = 'ready'")
    assert (await found(reads, executed[4])).status == "pending"
    for flow_name in (None, "poem_flow"):
        pending, total = await reads.executions(flow=flow_name, status=ExecutionStatus.pending, limit=10)
        assert ([one.correlation.id for one in pending], total.count) == ([executed[4].correlation_id], 1)
        running, total = await reads.executions(flow=flow_name, status=ExecutionStatus.running, limit=10)
        assert (len(running), total.count) == (4, 4)


async def test_the_ways_to_fail(board: Flows, reads: Reads) -> None:
    broke, stopped, ended = (board.execute("poem_flow") for _ in range(3))
    board.fail(board.run_of(broke))
    board.cancel_run(board.run_of(stopped))
    board.cancel_correlation(ended.correlation_id)
    fickle = board.execute("fickle")
    board.fail(board.run_of(fickle))
    told = [
        (one.status, one.error, one.result)
        for one in [await found(reads, e) for e in (broke, stopped, ended)]
    ]
    assert told == [
        ("failed", "It broke.", None),
        ("failed", "Cancelled", None),
        ("failed", "Cancelled", None),
    ]
    waits = await found(reads, fickle)
    assert (waits.status, waits.error) == ("running", None)


async def test_a_retry_by_hand_makes_it_run_again(board: Flows, reads: Reads) -> None:
    executed = board.execute("poem_flow")
    board.fail(board.run_of(executed))
    board.retry_run(board.run_of(executed))
    assert (await found(reads, executed)).status == "running"
    board.finish(board.run_of(executed), "poem_flow_result", cascade=False)
    assert (await found(reads, executed)).status == "completed"


async def test_what_others_take_further_is_still_the_flows_run(board: Flows, reads: Reads) -> None:
    executed = board.execute("poem_flow")
    board.finish(board.run_of(executed), "poem_flow_result", cascade=False)
    board.publish("Code", correlation_id=executed.correlation_id)
    execution = await found(reads, executed)
    assert (execution.status, execution.run.agent) == ("running", "poem_flow")
    board.fail(board.running("reviewer"))
    execution = await found(reads, executed)
    assert (execution.status, execution.error) == ("failed", "A later round of its workflow failed")


async def test_other_dialects_work_is_no_execution(board: Flows, reads: Reads) -> None:
    direct, published = board.execute("poem_flow", "native"), board.publish("poem_flow_request")
    for one in (direct, published):
        assert await reads.execution(one.correlation_id) is None
    assert await reads.execution(new_id()) is None
    assert await reads.execution("no id") is None
    assert await reads.executions(limit=10) == ([], (0, True))


@pytest.mark.parametrize("seed", range(5))
async def test_lists_and_totals(board: Flows, reads: Reads, seed: int) -> None:
    """Every filter, after many random executions, is what the single ones say."""
    chance = random.Random(seed)
    executed = []
    for _ in range(80):
        name = chance.choice(FLOWS)
        executed.append(board.execute(name))
        if chance.random() < 0.2:
            board.execute(name, "native")
        if chance.random() < 0.1:
            board.publish("Code")
        for run in board.runs("state = 'running'"):
            what = chance.random()
            if what < 0.4:
                board.finish(run, f"{run.agent}_result", cascade=False)
            elif what < 0.5:
                board.fail(run)
            elif what < 0.6:
                board.cancel_correlation(run.correlation_id)
                board.do(Release(run.agent))
        if chance.random() < 0.1:
            dead = board.runs("state = 'dead'")
            if dead:
                board.retry_run(chance.choice(dead))
        board.claim()
    everything = [await found(reads, one) for one in reversed(executed)]
    assert {one.status for one in everything} >= {"running", "completed", "failed"}
    for name in (None, *FLOWS, "nobody"):
        for status in (None, *STATUSES):
            expected = [
                one
                for one in everything
                if name in (None, one.correlation.name) and status in (None, one.status)
            ]
            listed, total = await reads.executions(flow=name, status=status, limit=500)
            assert [one.correlation.id for one in listed] == [one.correlation.id for one in expected]
            assert total == (len(expected), True)
            paged, _ = await reads.executions(flow=name, status=status, limit=7, offset=3)
            assert paged == expected[3:10]


async def test_no_list_reads_a_whole_table(board: Flows) -> None:
    """What SQLite says that it will do: along an index, or by the key of a row that an index gave."""
    plans: list[str] = []

    class Explained(Reads):
        async def _rows(self, sql, parameters=()):  # type: ignore[no-untyped-def]
            plan = await super()._rows(f"EXPLAIN QUERY PLAN {sql}", parameters)
            plans.extend(str(row[3]) for row in plan)
            return await super()._rows(sql, parameters)

    async with Readers(board.path, connections=1) as readers:
        reads = Explained(readers)
        for name in (None, "poem_flow"):
            for status in (None, *STATUSES):
                await reads.executions(flow=name, status=status, limit=10)
        await reads.execution(new_id())
    tables = ("c", "r", "runs", "artifacts", "correlations", "counters")
    assert not [plan for plan in plans if plan.split()[:2] in [["SCAN", table] for table in tables]]
