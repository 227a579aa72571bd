"""Attempts that fail: retries, timeouts, threads, engines that do not obey, and what a redrive starts again."""

import asyncio
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import orjson
import pytest

from flockd.domain.visibility import Labelled, Private
from flockd.engines.base import Context, Output, Threads
from flockd.errors import AgentFailed, Conflict
from flockd.supervisor import work

from ..rig import LIMIT_SECONDS, Rig, Rigs, agent, new_id

HOUR_SECONDS = 3600


async def wake(rig: Rig) -> None:
    """Time passes, and what waited goes on."""
    rig.clock.advance(HOUR_SECONDS)
    await rig.board.wake(rig.clock())


async def test_a_failed_attempt_is_tried_again_after_its_delay_until_no_retry_is_left(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A", retries=2), retry_base_seconds=100)
    published = await rig.publish("A")
    (run_id,) = rig.woke(published)
    for attempt in (1, 2):
        call = await rig.call("ab")
        assert call.context.attempt == attempt
        call.fail(ValueError("broken"))
        await rig.until(lambda n=attempt: len(rig.data("run.retrying")) == n)  # type: ignore[misc]
        run = await rig.run(run_id)
        assert (run.state, run.reason, run.attempt, run.first_attempt) == ("waiting", "retry", attempt + 1, 1)
        assert run.due_at is not None and 50_000 <= run.due_at - rig.clock() <= 100_000
        assert orjson.loads(run.error or b"") == {"code": "AGENT_FAILED", "message": "ValueError: broken"}
        assert rig.busy("ab") == 0
        assert await rig.state(published.correlation_id) == "active"
        assert not await rig.board.wake(run.due_at - 1)
        assert (await rig.run(run_id)).state == "waiting"
        await wake(rig)
    (await rig.call("ab")).fail()
    await rig.event("correlation.failed")
    run = await rig.run(run_id)
    assert (run.state, run.attempt, run.fence) == ("dead", 3, 3)
    assert rig.data("run.failed") == [
        {"attempt": 3, "error": {"code": "AGENT_FAILED", "message": "ValueError: no"}}
    ]
    assert [data["reason"] for data in rig.data("run.retrying")] == ["error", "error"]
    assert [data["attempt"] for data in rig.data("run.retrying")] == [2, 3]
    assert rig.observed == ["failed"] * 3


async def test_what_waits_wakes_by_the_supervisors_own_clock(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A", retries=3), retry_base_seconds=0.001)
    await rig.publish("A")
    for attempt in (1, 2, 3):
        call = await rig.call("ab")
        assert call.context.attempt == attempt
        rig.clock.advance(1)
        call.fail()
        await rig.until(lambda n=attempt: len(rig.data("run.retrying")) == n)  # type: ignore[misc]
        rig.clock.advance(1)
    assert (await rig.call("ab")).context.attempt == 4


async def test_a_run_that_begins_to_wait_while_others_are_woken_is_not_forgotten(rigs: Rigs) -> None:
    """The next wake-up is read while a commit brings an earlier one: the earlier one counts."""
    rig = await rigs(agent("ab", "A", retries=1), retry_base_seconds=0.001)
    await rig.publish("A", 1)
    await rig.publish("A", 2)
    first, second = await rig.call("ab", 1), await rig.call("ab", 2)
    both = [((1,), 2), ((2,), 2)]
    reads, read = rig.board.reads, rig.board.reads.next_due

    async def next_due() -> int | None:
        found = await read()
        reads.next_due = read  # type: ignore[method-assign]
        second.fail()
        await rig.until(lambda: len(rig.data("run.retrying")) == 2)
        rig.clock.advance(1)
        return found

    reads.next_due = next_due  # type: ignore[method-assign]
    first.fail()
    await rig.until(lambda: len(rig.data("run.retrying")) == 1)
    rig.clock.advance(1)
    await rig.until(lambda: sorted((call.inputs, call.context.attempt) for call in rig.working) == both)


async def test_a_redrive_has_fresh_retries_in_the_next_round(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A", retries=1))
    published = await rig.publish("A")
    (run_id,) = rig.woke(published)
    (await rig.call("ab")).fail()
    await rig.event("run.retrying")
    await wake(rig)
    (await rig.call("ab")).fail()
    await rig.event("correlation.failed")
    run = await rig.retry(run_id)
    assert (run.state, run.attempt, run.first_attempt, run.error, run.crashes) == ("running", 3, 3, None, 0)
    found = await rig.reads.correlation(published.correlation_id)
    assert found is not None
    assert (found.state, found.round, found.error_count) == ("active", 2, 0)
    assert rig.kinds()[-3:] == ["correlation.started", "run.retrying", "run.started"]
    assert rig.data("run.retrying")[-1]["reason"] == "redrive"
    (await rig.call("ab")).fail()
    await rig.until(lambda: len(rig.data("run.retrying")) == 3)
    assert (await rig.run(run_id)).state == "waiting", "its retries begin anew"
    with pytest.raises(Conflict, match="is waiting; only dead runs can be retried"):
        await rig.retry(run_id)
    await wake(rig)
    (await rig.call("ab")).give(B=1)
    await rig.event("correlation.completed")
    with pytest.raises(Conflict, match="is completed"):
        await rig.retry(run_id)


async def test_a_dead_run_of_a_cancelled_workflow_is_not_redriven(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A"), agent("other", "A"))
    one = new_id()
    published = await rig.publish("A", 1, one)
    dead = await rig.call("ab")
    dead.fail()
    await rig.event("run.failed")
    await rig.board.cancel_correlation(one)
    with pytest.raises(Conflict, match="was cancelled"):
        await rig.retry(dead.run_id)
    assert dead.run_id in rig.woke(published)


async def test_a_redriven_run_without_room_waits_its_turn(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A", max_concurrency=1))
    await rig.publish("A", 1)
    dead = await rig.call("ab")
    dead.fail()
    await rig.event("run.failed")
    await rig.publish("A", 2)
    assert (await rig.retry(dead.run_id)).state == "ready"
    (await rig.call("ab", 2)).give()
    await rig.call("ab", 1)


async def test_an_agents_own_words_become_the_error(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A"))
    for error, message in (
        (AgentFailed("no such thing"), "no such thing"),
        (asyncio.CancelledError(), "It cancelled itself."),
        (SystemExit(3), "SystemExit: 3"),
        (ValueError("\ud800" + "x" * 5000), "ValueError: ?" + "x" * 3987),
    ):
        published = await rig.publish("A")
        (await rig.call("ab")).fail(error)
        await rig.event("correlation.failed", correlation_id=published.correlation_id)
        assert rig.data("run.failed")[-1]["error"] == {"code": "AGENT_FAILED", "message": message}


class Leaving:
    """An engine that raises what Python throws into a generator that nobody wants any more."""

    kind = "leaving"

    async def run(self, inputs: Sequence[Any], context: Context, threads: Threads) -> list[Output]:
        raise GeneratorExit("leaving")


async def test_an_agent_that_leaves_like_a_generator_has_failed(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A"), engines={"ab": Leaving()})
    await rig.publish("A")
    await rig.event("correlation.failed")
    assert rig.data("run.failed")[-1]["error"]["message"] == "GeneratorExit: leaving"
    assert rig.busy("ab") == 0


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({"B": [1, 2, 3]}, r"ab returned 3 artifacts; limits.run_outputs is 2."),
        ({"B": [10**30]}, r"ab returned 37 bytes; limits.output_bytes is 20."),
        ({"Z": 1}, "ab returned an invalid Z: Unknown artifact type: Z"),
        ({"B": "many"}, "ab returned an invalid B: payload.n"),
    ],
)
async def test_outputs_that_cannot_be_published_are_the_runs_failure(
    rigs: Rigs, outputs: dict[str, Any], message: str
) -> None:
    rig = await rigs(agent("ab", "A"), run_outputs=2, output_bytes=20)
    await rig.publish("A")
    values = [Output(type, {"n": n}) for type, ns in outputs.items() for n in (ns if type == "B" else [ns])]
    if outputs == {"B": "many"}:
        values = [Output("B", {"n": "many"})]
    (await rig.call("ab")).result.set_result(values)
    await rig.event("correlation.failed")
    assert rig.data("run.failed")[0]["error"]["message"].startswith(message)
    assert rig.kinds().count("artifact.published") == 1


async def test_an_outcome_that_cannot_be_stored_is_a_failure_and_no_zombie(
    rigs: Rigs, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = await rigs(agent("ab", "A"))
    await rig.publish("A")
    monkeypatch.setattr("flockd.board.outcome.hour", lambda _moment: 1 / 0)
    (await rig.call("ab")).give(B=1)
    await rig.event("run.failed")
    assert "could not be stored" in rig.data("run.failed")[0]["error"]["message"]
    assert rig.kinds().count("artifact.published") == 1


async def test_an_input_that_no_longer_fits_its_type_is_dead_at_once(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A", retries=5, max_concurrency=1))
    await rig.publish("A", 1)
    second = await rig.publish("A", 2)
    await rig.crash()
    with closing(sqlite3.connect(rig.path, isolation_level=None)) as file:
        file.execute("UPDATE artifacts SET payload = ? WHERE seq = ?", (b'{"n":"two"}', second.seq))
    await rig.start()
    (await rig.call("ab", 1)).give()
    await rig.event("run.failed")
    (data,) = rig.data("run.failed")
    assert data["error"]["code"] == "INVALID_INPUT"
    assert "payload.n" in data["error"]["message"]
    assert data["attempt"] == 1


# -- time ---------------------------------------------------------------------------------------------------------


async def test_an_attempt_that_takes_too_long_is_cancelled_and_tried_again(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A", retries=1, timeout_seconds=0.01))
    published = await rig.publish("A")
    call = await rig.call("ab")
    await rig.event("run.retrying")
    assert call.cancelled.is_set()
    (data,) = rig.data("run.retrying")
    assert (data["reason"], data["error"]["code"]) == ("timeout", "TIMEOUT")
    assert data["error"]["message"] == "It did not end within 0.01 s."
    await wake(rig)
    await rig.event("correlation.failed", correlation_id=published.correlation_id)


async def test_what_an_engine_makes_of_its_cancelling_at_a_timeout_is_still_a_timeout(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A", timeout_seconds=0.01))
    await rig.publish("A")
    call = await rig.call("ab")
    call.stubborn = True
    await rig.until(call.cancelled.is_set)
    call.fail(OSError("the connection was closed"))
    await rig.event("run.failed")
    assert rig.data("run.failed")[0]["error"]["code"] == "TIMEOUT"


async def test_an_engine_that_ignores_its_timeout_loses_its_run_but_keeps_its_place(
    rigs: Rigs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "STUBBORN_SECONDS", 0.01)
    rig = await rigs(agent("ab", "A", max_concurrency=1, timeout_seconds=0.01))
    first = await rig.publish("A", 1)
    call = await rig.call("ab", 1)
    call.stubborn = True
    await rig.event("run.failed", correlation_id=first.correlation_id)
    assert rig.data("run.failed")[0]["error"]["code"] == "TIMEOUT"
    second = await rig.publish("A", 2)
    assert rig.busy("ab") == 1
    assert (await rig.run(rig.woke(second)[0])).state == "ready"
    call.give(B=1)
    await rig.event("run.started", correlation_id=second.correlation_id)
    assert rig.kinds(first.correlation_id).count("artifact.published") == 1, "its late result is refused"


class Blocking:
    """An engine that blocks in a thread of its own, until the test lets it go."""

    kind = "blocking"

    def __init__(self, error: BaseException | None = None) -> None:
        self.go = threading.Event()
        self._error = error

    async def run(self, inputs: Sequence[Any], context: Context, threads: Threads) -> list[Output]:
        def work() -> None:
            assert self.go.wait(LIMIT_SECONDS)
            if self._error is not None:
                raise self._error

        await threads.start(work, f"blocking {inputs[0].n}")
        return [Output("B", {"n": inputs[0].n})]


async def test_a_thread_that_outlives_its_timeout_holds_its_place_and_its_result_is_refused(
    rigs: Rigs,
) -> None:
    blocking = Blocking()
    rig = await rigs(
        agent("ab", "A", max_concurrency=1, timeout_seconds=0.01, retries=1), engines={"ab": blocking}
    )
    await rig.publish("A", 1)
    await rig.event("run.retrying")
    await rig.until(lambda: rig.supervisor.abandoned == 1)
    assert (rig.busy("ab"), rig.supervisor.working) == (1, 0)
    await wake(rig)
    assert await rig.states() == ["ready"], "no place for the second attempt"
    blocking.go.set()
    await rig.until(lambda: rig.kinds().count("run.started") == 2)
    assert rig.supervisor.abandoned == 0
    await rig.event("run.completed")
    assert rig.kinds().count("artifact.published") == 2, "the second attempt's only"


async def test_a_cancelled_thread_holds_its_place_until_it_ends(rigs: Rigs) -> None:
    blocking = Blocking()
    rig = await rigs(agent("ab", "A", max_concurrency=1), engines={"ab": blocking})
    published = await rig.publish("A", 1)
    await rig.board.cancel_run(rig.woke(published)[0])
    await rig.until(lambda: rig.supervisor.working == 0 or rig.supervisor.abandoned)
    if rig.supervisor.abandoned:  # its thread had begun
        assert rig.busy("ab") == 1
    blocking.go.set()
    await rig.until(lambda: rig.busy("ab") == 0)
    assert rig.supervisor.abandoned == 0


@pytest.mark.parametrize(
    "error", [SystemExit(1), StopIteration(), asyncio.CancelledError(), ValueError("no")]
)
async def test_whatever_a_thread_raises_is_the_failure_of_its_run_alone(
    rigs: Rigs, error: BaseException
) -> None:
    blocking = Blocking(error)
    blocking.go.set()
    rig = await rigs(agent("ab", "A"), engines={"ab": blocking})
    await rig.publish("A")
    await rig.event("run.failed")
    assert type(error).__name__ in rig.data("run.failed")[0]["error"]["message"]
    assert rig.busy("ab") == 0


# -- what agents say and ask ------------------------------------------------------------------------------------


async def test_progress_is_coalesced_and_the_last_is_always_kept(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A"))
    await rig.publish("A")
    call = await rig.call("ab")
    for part in range(1, 10):
        call.context.progress(part / 10, "reading", f"{part}")
    call.give()
    await rig.event("run.completed")
    first, last = rig.data("run.progress")
    assert first == {"attempt": 1, "fraction": 0.1, "phase": "reading", "message": "1"}
    assert last["fraction"] == 0.9
    assert rig.kinds().index("run.progress") < rig.kinds().index("run.completed")
    call.context.progress(1.0)
    await rig.passed()
    assert len(rig.data("run.progress")) == 2, "what comes after the end is dropped"


async def test_a_query_sees_what_its_agent_may_see(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A", labels=frozenset({"x"})))
    one = new_id()
    await rig.publish("B", 1, one)
    await rig.publish("B", 2, one, visibility=Private(agents=("other",)))
    await rig.publish("B", 3, one, visibility=Private(agents=("ab",)))
    await rig.publish("B", 4, one, visibility=Labelled(required_labels=("x",)))
    await rig.publish("B", 5, one, visibility=Labelled(required_labels=("x", "y")))
    await rig.publish("B", 6)
    await rig.publish("A", 7, one)
    context = (await rig.call("ab")).context

    async def found(**asked: Any) -> list[int]:
        return [orjson.loads(artifact.payload)["n"] for artifact in await context.query(**asked)]

    assert await found() == [1, 3, 4, 7]
    assert await found(type="B", limit=2) == [3, 4], "the newest, oldest of them first"
    assert await found(type="B", where="n > `3`") == [4]
    assert await found(type="B", scope="board") == [1, 3, 4, 6]
    assert await found(limit=0) == []


@pytest.mark.parametrize(
    ("asked", "error", "sentence"),
    [
        ({"type": "Bb"}, ValueError, r"query: there is no artifact type Bb: did you mean B\?"),
        (
            {"type": BaseException},
            TypeError,
            "query: type is <class 'BaseException'>: give it a text, such as \"Order\"",
        ),
        ({"where": len}, TypeError, "query: where is <built-in function len>: give it a text, such as"),
        ({"where": "n >"}, ValueError, "where 'n >' is not a JMESPath expression"),
        (
            {"scope": "all"},
            ValueError,
            r"query: scope is 'all': give it correlation \(its own workflow\) or board",
        ),
    ],
)
async def test_a_query_that_asks_for_what_there_is_not_says_so(
    rigs: Rigs, asked: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    rig = await rigs(agent("ab", "A"))
    await rig.publish("A", 1)
    context = (await rig.call("ab")).context
    with pytest.raises(error, match=sentence):
        await context.query(**asked)


async def test_live_text_is_text(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A"))
    await rig.publish("A", 1)
    context = (await rig.call("ab")).context
    with pytest.raises(TypeError, match="write takes text, not 5"):
        context.write(5)  # type: ignore[arg-type]
