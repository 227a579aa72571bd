"""Reads, of a small board that real verbs made: every page and figure against what was published."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from flockd.board.publication import Idempotency
from flockd.domain.artifact import EXTERNAL, Artifact
from flockd.domain.correlation import CorrelationState
from flockd.domain.event import EventKind
from flockd.domain.identity import new_id
from flockd.domain.moment import HOUR_MS, iso
from flockd.domain.priority import Priority
from flockd.domain.run import RunState
from flockd.domain.visibility import Labelled, Private
from flockd.store import rows
from flockd.store.occupancy import Limits
from flockd.store.reads import ArtifactFilter, Reads, ReadyRun, Total
from flockd.store.reads.walk import MERGED_MAX, walk
from flockd.store.sqlite import Readers

from .small_board import MIDNIGHT, SmallBoard, agent

COUNT_MAX = 20
ANYWHERE = ArtifactFilter()


@pytest.fixture
def board(tmp_path: Path) -> Iterator[SmallBoard]:
    """An empty board with three agents; each test publishes."""
    made = SmallBoard(
        tmp_path / "board.db",
        agent("reviewer", "Code"),
        agent("joiner", "Left", "Right"),
        agent("slow", "Slow", retries=1),
        limits=Limits(running=8),
    )
    yield made
    made.close()


@pytest.fixture
async def reads(board: SmallBoard) -> AsyncIterator[Reads]:
    async with Readers(board.path, connections=2) as readers:
        yield Reads(readers, count_max=COUNT_MAX)


@pytest.fixture
def shelf(board: SmallBoard) -> list[Artifact]:
    """Sixty artifacts over fifty minutes, of six types and two producers, with tags, partitions and visibility."""
    correlation = new_id()
    for number in range(40):
        board.publish(
            f"T{number % 5}",
            payload=b'{"n":%d}' % number,
            tags=("even", "fourth") if number % 4 == 0 else ("even",) if number % 2 == 0 else (),
            partition_key="seventh" if number % 7 == 0 else None,
            visibility=Private(agents=("x",)) if number % 10 == 3 else Labelled(required_labels=("l",)),
            correlation_id=correlation if number % 3 == 0 else None,
        )
        board.now += 60_000
    for _ in range(10):
        board.publish("Code")
        board.finish(board.running("reviewer"), "T0", tags=("reviewed",))
        board.now += 60_000
    found = board.connection.execute(f"SELECT {rows.ARTIFACT_COLUMNS} FROM artifacts ORDER BY seq").fetchall()
    return [rows.artifact_from(row) for row in found]


def fits(wanted: ArtifactFilter) -> Callable[[Artifact], bool]:
    """The filter as its documentation reads, one artifact at a time."""
    return lambda one: (
        (not wanted.types or one.type in wanted.types)
        and (not wanted.produced_by or one.produced_by in wanted.produced_by)
        and (wanted.correlation_id is None or one.correlation_id == wanted.correlation_id.lower())
        and set(wanted.tags) <= set(one.tags)
        and (wanted.partition_key is None or one.partition_key == wanted.partition_key)
        and (not wanted.visibility or one.visibility.kind in wanted.visibility)
        and (wanted.created_from is None or one.created_at >= wanted.created_from)
        and (wanted.created_to is None or one.created_at <= wanted.created_to)
    )


FILTERS = [
    ANYWHERE,
    ArtifactFilter(types=("T1",)),
    ArtifactFilter(types=("T1", "Code", "T1", "Unknown")),
    ArtifactFilter(types=("Unknown",)),
    ArtifactFilter(types=tuple(f"T{number}" for number in range(MERGED_MAX + 1))),
    ArtifactFilter(produced_by=("reviewer",)),
    ArtifactFilter(produced_by=("reviewer", EXTERNAL)),
    ArtifactFilter(types=("T0", "Code"), produced_by=("reviewer", EXTERNAL)),
    ArtifactFilter(
        types=tuple(f"T{number}" for number in range(MERGED_MAX)), produced_by=("reviewer", EXTERNAL)
    ),
    ArtifactFilter(visibility=("Private",)),
    ArtifactFilter(visibility=("Private", "Labelled")),
    ArtifactFilter(visibility=("Public", "Private")),
    ArtifactFilter(types=("T3",), visibility=("Private",)),
    ArtifactFilter(tags=("even",)),
    ArtifactFilter(tags=("even", "fourth")),
    ArtifactFilter(tags=("fourth", "even", "fourth")),
    ArtifactFilter(tags=("unknown",)),
    ArtifactFilter(tags=("even", "unknown")),
    ArtifactFilter(tags=("even",), types=("T0", "T2")),
    ArtifactFilter(tags=("fourth",), types=("T0",), produced_by=(EXTERNAL,), visibility=("Labelled",)),
    ArtifactFilter(tags=("even",), types=("Code",)),
    ArtifactFilter(partition_key="seventh"),
    ArtifactFilter(partition_key="seventh", tags=("even",), types=("T0", "T1")),
    ArtifactFilter(created_from=MIDNIGHT + 5 * 60_000),
    ArtifactFilter(created_to=MIDNIGHT + 5 * 60_000),
    ArtifactFilter(created_from=MIDNIGHT + 5 * 60_000 + 1, created_to=MIDNIGHT + 15 * 60_000 - 1),
    ArtifactFilter(created_from=MIDNIGHT + HOUR_MS),
    ArtifactFilter(created_to=MIDNIGHT - 1),
    ArtifactFilter(types=("T1", "T2"), created_from=MIDNIGHT + 5 * 60_000, created_to=MIDNIGHT + 15 * 60_000),
    ArtifactFilter(types=("T1",), created_from=MIDNIGHT + HOUR_MS),
    ArtifactFilter(tags=("even",), created_from=MIDNIGHT + 5 * 60_000, created_to=MIDNIGHT + 15 * 60_000),
    ArtifactFilter(correlation_id="of the shelf"),
    ArtifactFilter(correlation_id="of the shelf", tags=("even",), types=("T0", "T1", "T2")),
    ArtifactFilter(correlation_id="of the shelf", partition_key="seventh"),
]


@pytest.fixture(params=FILTERS, ids=lambda wanted: str({k: v for k, v in wanted._asdict().items() if v})[:80])
def wanted(request: pytest.FixtureRequest, shelf: list[Artifact]) -> ArtifactFilter:
    asked: ArtifactFilter = request.param
    return asked._replace(correlation_id=shelf[0].correlation_id) if asked.correlation_id else asked


# -- artifacts ----------------------------------------------------------------


async def test_pages_of_every_filter(reads: Reads, shelf: list[Artifact], wanted: ArtifactFilter) -> None:
    expected = [one for one in shelf if fits(wanted)(one)]
    middle = shelf[len(shelf) // 2].seq
    assert await reads.artifacts(wanted, limit=100) == expected
    assert await reads.artifacts(wanted, limit=100, descending=True) == expected[::-1]
    assert await reads.artifacts(wanted, limit=3, offset=2) == expected[2:5]
    assert await reads.artifacts(wanted, limit=3, offset=2, descending=True) == expected[::-1][2:5]
    for after in (0, middle, middle + 1, shelf[-1].seq, shelf[-1].seq + 100):
        later = [one for one in expected if one.seq > after]
        earlier = [one for one in expected[::-1] if one.seq < after]
        assert await reads.artifacts(wanted, limit=4, after=after) == later[:4]
        assert await reads.artifacts(wanted, limit=4, after=after, descending=True) == earlier[:4]


async def test_counts_of_every_filter(reads: Reads, shelf: list[Artifact], wanted: ArtifactFilter) -> None:
    expected = sum(map(fits(wanted), shelf))
    exact = wanted.is_counted or expected <= COUNT_MAX
    assert await reads.count_artifacts(wanted) == Total(expected if exact else COUNT_MAX, exact)


def test_no_walk_sorts_or_scans(board: SmallBoard, wanted: ArtifactFilter) -> None:
    """Each goes along an index in its order, so that a page costs the same on a large board."""
    lead_tag = wanted.tags[0] if wanted.tags else None
    found = walk(wanted, after=7, lead_tag=lead_tag)
    assert found is not None
    plan = [
        row[3]
        for row in board.connection.execute(f"EXPLAIN QUERY PLAN {found.sql} LIMIT 50", found.parameters)
    ]
    assert [step for step in plan if "TEMP B-TREE" in step or step.startswith("SCAN")] == []


async def test_a_page_has_at_most_500(board: SmallBoard, reads: Reads) -> None:
    for _ in range(501):
        board.publish("Idea")
    assert len(await reads.artifacts(ANYWHERE, limit=10_000)) == 500


async def test_another_tenant_sees_nothing(reads: Reads, shelf: list[Artifact]) -> None:
    assert shelf
    for wanted in FILTERS:
        foreign = wanted._replace(
            tenant="other", correlation_id=wanted.correlation_id and shelf[0].correlation_id
        )
        assert await reads.artifacts(foreign, limit=10) == []
        assert await reads.count_artifacts(foreign) == Total(0, exact=True)


async def test_a_malformed_correlation_has_no_artifacts(reads: Reads, shelf: list[Artifact]) -> None:
    wanted = ArtifactFilter(correlation_id="no-uuid")
    assert shelf
    assert await reads.artifacts(wanted, limit=10) == []
    assert await reads.count_artifacts(wanted) == Total(0, exact=True)
    assert (await reads.summary(wanted))["total_count"] == 0
    assert (await reads.history("reviewer", wanted))["total_executions"] == 0


async def test_single_artifacts(reads: Reads, shelf: list[Artifact]) -> None:
    assert await reads.artifact(shelf[3].id) == shelf[3]
    assert await reads.artifact(shelf[3].id.upper()) == shelf[3]
    assert await reads.artifact(new_id()) is None
    assert await reads.artifact("no-uuid") is None


async def test_artifacts_by_id_keep_the_order_asked_for(reads: Reads, shelf: list[Artifact]) -> None:
    asked = [shelf[5].id, new_id(), shelf[2].id, "no-uuid", shelf[5].id, shelf[9].id]
    assert await reads.artifacts_by_id(asked) == [shelf[5], shelf[2], shelf[5], shelf[9]]
    assert await reads.artifacts_by_id([]) == []


async def test_consumptions_name_runs_and_times(
    board: SmallBoard, reads: Reads, shelf: list[Artifact]
) -> None:
    code = [one for one in shelf if one.type == "Code"]
    found = await reads.consumptions([code[0], shelf[0]])
    run = board.runs()[0]
    assert list(found) == [code[0].id, shelf[0].id]
    assert [(one.consumer, one.run_id, one.consumed_at) for one in found[code[0].id]] == [
        ("reviewer", run.id, run.completed_at)
    ]
    assert found[shelf[0].id] == []
    assert await reads.consumptions([]) == {}


# -- summaries ----------------------------------------------------------------


def counted(artifacts: list[Artifact], key: Callable[[Artifact], str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for one in artifacts:
        counts[key(one)] = counts.get(key(one), 0) + 1
    return counts


async def test_summaries_of_every_filter(reads: Reads, shelf: list[Artifact], wanted: ArtifactFilter) -> None:
    fitting = [one for one in shelf if fits(wanted)(one)]
    is_cut = not wanted.is_counted and len(fitting) > COUNT_MAX
    tags_are_cut = not wanted.is_open and len(fitting) > COUNT_MAX
    within = (await reads.artifacts(wanted, limit=COUNT_MAX)) if is_cut else fitting
    tagged = (await reads.artifacts(wanted, limit=COUNT_MAX)) if tags_are_cut else fitting
    expected: dict[str, Any] = {
        "total_count": len(within),
        "by_type": counted(within, lambda one: one.type),
        "by_producer": counted(within, lambda one: one.produced_by),
        "by_visibility": counted(within, lambda one: one.visibility.kind),
        "by_tag": {
            tag: sum(tag in one.tags for one in tagged)
            for tag in ("even", "fourth", "reviewed")
            if any(tag in one.tags for one in tagged)
        },
        "earliest_created_at": iso(fitting[0].created_at) if fitting else None,
        "latest_created_at": iso(fitting[-1].created_at) if fitting else None,
    }
    if is_cut:
        expected["total_exact"] = False
    elif tags_are_cut:
        expected["by_tag_exact"] = False
    summary = await reads.summary(wanted)
    assert summary == expected
    assert orjson.loads(orjson.dumps(summary)) == expected


async def test_an_agents_whole_history(reads: Reads, shelf: list[Artifact]) -> None:
    assert len(shelf) == 60
    assert await reads.history("reviewer", ANYWHERE) == {
        "total_executions": 10,
        "total_artifacts_consumed": 10,
        "total_artifacts_produced": 10,
        "execution_timeline": {"2026-11-21T00:00:00Z": 10},
        "produced": {"total": 10, "by_type": {"T0": 10}},
        "consumed": {"total": 10, "by_type": {"Code": 10}},
    }
    nobody = await reads.history("nobody", ANYWHERE)
    assert (nobody["total_executions"], nobody["execution_timeline"]) == (0, {})


async def test_histories_of_every_filter(
    board: SmallBoard, reads: Reads, shelf: list[Artifact], wanted: ArtifactFilter
) -> None:
    of_code = {run.inputs[0] for run in board.runs()}
    history = await reads.history("reviewer", wanted)
    produced = [one for one in shelf if one.produced_by == "reviewer" and fits(wanted)(one)]
    consumed = [one for one in shelf if one.id in of_code and fits(wanted)(one)]
    assert history["produced"] == {"total": len(produced), "by_type": counted(produced, lambda one: one.type)}
    assert history["consumed"] == {"total": len(consumed), "by_type": counted(consumed, lambda one: one.type)}
    assert history["total_executions"] == len(consumed)
    assert history["execution_timeline"] == ({"2026-11-21T00:00:00Z": len(consumed)} if consumed else {})


async def test_a_run_with_two_inputs_is_one_execution(board: SmallBoard, reads: Reads) -> None:
    left = board.publish("Left")
    board.publish("Right", correlation_id=left.correlation_id)
    board.now += HOUR_MS
    board.finish(board.running("joiner"))
    for wanted in (
        ANYWHERE,
        ArtifactFilter(types=("Left", "Right")),
        ArtifactFilter(correlation_id=left.correlation_id),
    ):
        history = await reads.history("joiner", wanted)
        assert (history["total_executions"], history["total_artifacts_consumed"]) == (1, 2)
        assert history["execution_timeline"] == {"2026-11-21T01:00:00Z": 1}
    only_left = await reads.history("joiner", ArtifactFilter(types=("Left",)))
    assert (only_left["total_executions"], only_left["total_artifacts_consumed"]) == (1, 1)


async def test_a_long_history_is_cut_and_says_so(board: SmallBoard, reads: Reads) -> None:
    for _ in range(COUNT_MAX + 5):
        board.publish("Code", tags=("t",))
        board.finish(board.running("reviewer"))
    for wanted in (ArtifactFilter(types=("Code",)), ArtifactFilter(tags=("t",))):
        history = await reads.history("reviewer", wanted)
        assert history["total_exact"] is False
        assert history["total_executions"] == COUNT_MAX
    assert "total_exact" not in await reads.history("reviewer", ANYWHERE)


# -- correlations -------------------------------------------------------------


async def test_a_correlation_by_id(board: SmallBoard, reads: Reads) -> None:
    published = board.publish("Slow", name="flow", dialect="jobs", priority=Priority.high)
    found = await reads.correlation(published.correlation_id.upper())
    assert found is not None
    assert (found.id, found.state, found.name, found.dialect, found.priority, found.open) == (
        published.correlation_id, CorrelationState.active, "flow", "jobs", Priority.high, 1
    )  # fmt: skip
    assert await reads.correlation(new_id()) is None
    assert await reads.correlation("no-uuid") is None


async def test_the_list_of_correlations(board: SmallBoard, reads: Reads) -> None:
    active = board.publish("Slow", name="a")
    completed = board.publish("Idea", dialect="jobs", name="a")
    cancelled = board.publish("Slow", dialect="jobs", name="b")
    board.cancel_correlation(cancelled.correlation_id)
    failed = board.publish("Code", name="b")
    board.fail(board.running("reviewer"))
    plain = board.publish("Idea")

    async def listed(**wanted: Any) -> tuple[list[str], Total]:
        found, total = await reads.correlations(**({"limit": 10, "offset": 0} | wanted))
        return [one.id for one in found], total

    def ids(*published: Any) -> tuple[list[str], Total]:
        return [one.correlation_id for one in published], Total(len(published), exact=True)

    assert await listed() == ids(plain, failed, cancelled, completed, active)
    assert await listed(state="active") == ids(active)
    assert await listed(state="completed") == ids(plain, completed)
    assert await listed(state="failed") == ids(failed, cancelled)
    assert await listed(state="cancelled") == ids(cancelled)
    assert await listed(state="not_found") == ids()
    assert await listed(name="a") == ids(completed, active)
    assert await listed(name="") == ids(plain)
    assert await listed(dialect="jobs") == ids(cancelled, completed)
    assert await listed(dialect="native") == ids(plain, failed, active)
    assert await listed(dialect="jobs", name="b", state="failed") == ids(cancelled)
    assert await listed(dialect="native", state="failed") == ids(failed)
    page, total = await listed(limit=2, offset=1)
    assert (page, total) == ([failed.correlation_id, cancelled.correlation_id], Total(5, exact=True))
    assert await listed(offset=9) == ([], Total(5, exact=True))


async def test_what_ands_hold(board: SmallBoard, reads: Reads) -> None:
    first = board.publish("Left")
    second = board.publish("Left", correlation_id=first.correlation_id)
    assert await reads.unjoined(first.correlation_id) == [
        {"agent": "joiner", "artifacts": [first.artifact_id, second.artifact_id]}
    ]
    assert await reads.unjoined("no-uuid") == []
    assert await reads.unjoined(new_id()) == []


async def test_a_round_has_its_own_artifacts_and_errors(board: SmallBoard, reads: Reads) -> None:
    first = board.publish("Code")
    board.finish(board.running("reviewer"), "Review", "Review")
    board.publish("Code", correlation_id=first.correlation_id)
    run = board.running("reviewer")

    async def latest_round() -> tuple[list[str], list[tuple[str, bytes]]]:
        correlation = await reads.correlation(first.correlation_id)
        assert correlation is not None
        found = await reads.round(correlation.id, correlation.round)
        assert found is not None
        return [one.type for one in found.artifacts], found.errors

    assert await latest_round() == ([], [])
    earlier = await reads.round(first.correlation_id, 1)
    assert earlier is not None
    assert (earlier.ended, [one.type for one in earlier.artifacts]) == (
        "correlation.completed",
        ["Review", "Review"],
    )
    assert await reads.round(first.correlation_id, 3) is None
    board.fail(run)
    error = b'{"code":"AGENT_FAILED","message":"It broke."}'
    assert await latest_round() == ([], [("reviewer", error)])
    board.retry_run(run)
    assert await latest_round() == ([], [])
    board.finish(board.running("reviewer"), "Review")
    assert await latest_round() == (["Review"], [])


async def test_a_round_of_more_than_a_page(board: SmallBoard, reads: Reads) -> None:
    first = board.publish("Code")
    board.finish(board.running("reviewer"), *["Review"] * 501)
    correlation = await reads.correlation(first.correlation_id)
    assert correlation is not None
    one_round = await reads.round(correlation.id, 1)
    assert one_round is not None
    found = one_round.artifacts
    assert len({one.seq for one in found}) == 501
    run = await reads.run(found[0].run_id or "")
    assert run is not None
    assert [one.id for one in await reads.artifacts_by_id(run.outputs)] == list(run.outputs)


async def test_correlations_that_a_limit_must_end(tmp_path: Path) -> None:
    board = SmallBoard(tmp_path / "board.db", agent("slow", "Slow"), limits=Limits(correlation_runs=1))
    published = board.publish("Slow")
    other = board.publish("Slow")
    async with Readers(board.path, connections=1) as readers:
        reads = Reads(readers)
        assert await reads.exhausted() == []
        board.connection.execute("UPDATE correlations SET reason = 'a limit' WHERE seq = 1")
        assert await reads.exhausted() == [published.correlation_id]
        board.cancel_correlation(published.correlation_id)
        assert await reads.exhausted() == []
        assert other.correlation_id != published.correlation_id
    board.close()


# -- runs ---------------------------------------------------------------------


async def test_runs_newest_first(board: SmallBoard, reads: Reads) -> None:
    first = board.publish("Code")
    board.publish("Slow", correlation_id=first.correlation_id)
    board.publish("Code")
    board.finish(board.running("reviewer"))
    reviewed, slow, reviewing = board.runs()

    async def listed(**wanted: Any) -> tuple[list[str], Total]:
        found, total = await reads.runs(**({"limit": 10, "offset": 0} | wanted))
        return [one.id for one in found], total

    def ids(*runs: Any) -> tuple[list[str], Total]:
        return [one.id for one in runs], Total(len(runs), exact=True)

    assert await listed() == ids(reviewing, slow, reviewed)
    assert await listed(agent="reviewer") == ids(reviewing, reviewed)
    assert await listed(state="running") == ids(reviewing, slow)
    assert await listed(agent="reviewer", state="completed") == ids(reviewed)
    assert await listed(correlation_id=first.correlation_id) == ids(slow, reviewed)
    assert await listed(correlation_id=first.correlation_id, agent="slow", state="running") == ids(slow)
    assert await listed(state="unknown") == ids()
    assert await listed(correlation_id="no-uuid") == ids()
    assert await listed(limit=1, offset=1) == ([slow.id], Total(3, exact=True))
    assert await listed(offset=9) == ([], Total(3, exact=True))
    assert await reads.run(slow.id.upper()) == slow
    assert await reads.run(new_id()) is None
    assert await reads.run("no-uuid") is None
    assert [one.id for one in await reads.run_inputs(slow)] == list(slow.inputs)
    assert await reads.run_counts() == {"reviewer": {"completed": 1, "running": 1}, "slow": {"running": 1}}


async def test_the_runs_of_one_correlation_are_counted_up_to_the_bound(tmp_path: Path) -> None:
    board = SmallBoard(tmp_path / "board.db", agent("reviewer", "Code"))
    first = board.publish("Code")
    board.publish("Code", correlation_id=first.correlation_id)
    async with Readers(board.path, connections=1) as readers:
        page, total = await Reads(readers, count_max=1).runs(correlation_id=first.correlation_id, limit=5)
    assert (len(page), total) == (2, Total(1, exact=False))
    board.close()


async def test_the_queue(tmp_path: Path) -> None:
    board = SmallBoard(
        tmp_path / "board.db", agent("a", "A", max_concurrency=1), agent("b", "B", max_concurrency=1)
    )
    async with Readers(board.path, connections=1) as readers:
        reads = Reads(readers)
        assert (await reads.oldest_ready_at(), await reads.ready_lanes()) == (None, [])
        for type, priority in (
            ("A", None),
            ("A", None),
            ("A", None),
            ("A", Priority.low),
            ("B", None),
            ("B", None),
        ):
            board.publish(type, priority=priority)
            board.now += 1000
        normal = [run for run in board.runs("state = 'ready'") if run.priority is Priority.normal]
        assert set(await reads.ready_lanes()) == {
            ("a", Priority.normal), ("a", Priority.low), ("b", Priority.normal)
        }  # fmt: skip
        lanes = [("a", Priority.normal), ("nobody", Priority.normal), ("a", Priority.low), ("a", None)]
        pages = await reads.ready_pages(lanes, 10)
        assert {lane: len(page) for lane, page in pages.items()} == {lanes[0]: 2, lanes[2]: 1}
        page = pages["a", Priority.normal]
        assert page == [
            ReadyRun(run.id, "a", Priority.normal, run.vtime, run.ord, 0, run.correlation_id)
            for run in normal
            if run.agent == "a"
        ]
        assert await reads.ready_pages(lanes[:1], 1) == {lanes[0]: page[:1]}
        assert await reads.oldest_ready_at() == MIDNIGHT + 1000
    board.close()


async def test_the_next_wake_up(board: SmallBoard, reads: Reads) -> None:
    assert await reads.next_due() is None
    board.publish("Slow")
    board.fail(board.running("slow"), delay_ms=5000)
    assert await reads.next_due() == MIDNIGHT + 5000
    assert board.runs()[0].state is RunState.waiting


async def test_old_keys(board: SmallBoard, reads: Reads) -> None:
    board.publish("Idea", idempotency=Idempotency(b"k" * 16, b"h" * 16))
    board.now += 1000
    board.publish("Idea", idempotency=Idempotency(b"l" * 16, b"h" * 16))
    assert await reads.old_keys(MIDNIGHT) == []
    assert await reads.old_keys(MIDNIGHT + 1) == [b"k" * 16]
    assert await reads.old_keys(MIDNIGHT + 5000) == [b"k" * 16, b"l" * 16]


# -- the log ------------------------------------------------------------------


async def test_pages_of_events_carry_their_artifacts(board: SmallBoard, reads: Reads) -> None:
    board.publish("Code", payload=b'{"code":"x"}')
    board.finish(board.running("reviewer"), "Review")
    events = await reads.events(0, 100, 1 << 20)
    assert [(event.seq, event.kind) for event in events] == [
        (1, EventKind.correlation_started),
        (2, EventKind.artifact_published),
        (3, EventKind.run_started),
        (4, EventKind.artifact_published),
        (5, EventKind.run_completed),
        (6, EventKind.correlation_completed),
    ]
    assert [event.artifact.type for event in events if event.artifact] == ["Code", "Review"]
    assert events[1].artifact == await reads.artifact(orjson.loads(events[2].data)["inputs"][0])
    assert await reads.events(2, 2, 1 << 20) == events[2:4]
    assert await reads.events(6, 10, 1 << 20) == []
    position = await reads.log_position()
    assert (position.head, position.complete_from, len(position.log_id)) == (6, 1, 36)


async def test_a_page_of_events_ends_where_it_is_full(board: SmallBoard, reads: Reads) -> None:
    for _ in range(4):
        board.publish("Idea", payload=b'"%s"' % (b"x" * 10_000))
    sizes = [len(await reads.events(0, 100, size)) for size in (1, 10_000, 12_000, 1 << 20)]
    assert sizes == [1, 2, 5, 12]
    seqs: list[int] = []
    while page := await reads.events(seqs[-1] if seqs else 0, 100, 1):
        seqs += [event.seq for event in page]
    assert seqs == list(range(1, 13))


async def test_counts_of_all_time(board: SmallBoard, reads: Reads) -> None:
    assert await reads.totals() == {"artifacts": 0, "executions": 0}
    board.publish("Code")
    board.finish(board.running("reviewer"), "Review")
    assert await reads.totals() == {"artifacts": 2, "executions": 1}
