"""A board under test: publishing, waiting, time, questions and what is there."""

import asyncio
import subprocess
import sys
import threading
from typing import Any

import pytest
from pydantic import BaseModel

from flockd import (
    After,
    BatchSpec,
    BlockingContext,
    Context,
    Daily,
    DeclarationError,
    Every,
    Flock,
    JoinSpec,
    Labelled,
    Private,
    Public,
)
from flockd.config import Config
from flockd.errors import AgentFailed, InvalidInput, NotFound
from flockd.testing import flock_test


class Order(BaseModel):
    id: str = "o"
    n: int = 0


class Paid(BaseModel):
    id: str = "o"


class Bill(BaseModel):
    text: str


class Digest(BaseModel):
    count: int


NOW = "2026-11-21T09:00:00Z"


def billing(**options: Any) -> Flock:
    flock = Flock()

    @flock.agent(**options)
    async def biller(order: Order, ctx: Context) -> Bill:
        ctx.write(f"order {order.id}")
        return Bill(text=f"{order.id}: {order.n}")

    return flock


# -- work ---------------------------------------------------------------------------------------------------


async def test_test_run_gives_what_agents_made() -> None:
    (made,) = await billing().test_run(Order(id="a", n=3))
    assert (made.type, made.value, made.produced_by) == ("Bill", Bill(text="a: 3"), "biller")


async def test_a_publication_and_everything_about_it() -> None:
    async with flock_test(billing(output_tags="bill"), now=NOW) as board:
        order = await board.publish(
            Order(id="a"), tags=["new"], partition_key="p", visibility=Private(agents=["biller"])
        )
        await board.idle()
        (bill,) = await board.artifacts(Bill)
        assert bill.correlation_id == order.correlation_id
        assert (order.produced_by, order.tags, order.partition_key) == ("external", ("new",), "p")
        assert (bill.tags, bill.partition_key) == (("new", "bill"), "p")
        assert bill.visibility == Private(agents=["biller"])
        assert await board.artifacts() == [order, bill]
        assert await board.artifacts(produced_by="external") == [order]
        assert await board.artifacts("Bill", tag="bill") == [bill]
        assert await board.artifacts(correlation_id=order.id) == []
        assert [event["kind"] for event in board.events(agent="biller")] == [
            "run.started",
            "artifact.published",
            "run.completed",
        ]
        (run,) = await board.runs("biller", state="completed")
        assert run["outputs"] == [bill.id]
        assert board.text("biller") == "order a"
        assert {event["at"] for event in board.events()} == {"2026-11-21T09:00:00.000Z"}


async def test_values_by_type_and_what_is_no_artifact() -> None:
    flock = billing()
    flock.type("Plain", schema={"type": "object", "required": ["a"]})
    async with flock_test(flock) as board:
        plain = await board.publish({"a": 1}, type="Plain")
        order = await board.publish({"id": "x"}, type=Order)
        assert (plain.value, order.value) == ({"a": 1}, Order(id="x"))
        with pytest.raises(InvalidInput, match="a' is a required property"):
            await board.publish({}, type="Plain")
        with pytest.raises(InvalidInput, match=r"Unknown artifact type: Plan; did you mean Plain\?"):
            await board.publish({}, type="Plan")
        with pytest.raises(InvalidInput, match="Digest is no artifact type of this flock"):
            await board.publish(Digest(count=1))


async def test_an_agent_alone_wakes_nobody() -> None:
    flock = billing()

    @flock.agent
    async def reader(bill: Bill) -> Digest:
        return Digest(count=1)

    async with flock_test(flock) as board:
        (bill,) = await board.run_agent("biller", Order(id="z"))
        assert bill.value == Bill(text="z: 0")
        await board.idle()
        assert await board.artifacts(Digest) == []
        with pytest.raises(InvalidInput, match=r"there is no agent bilder: did you mean biller\?"):
            await board.run_agent("bilder", Order())


async def test_a_run_that_fails_is_an_error_with_its_words() -> None:
    flock = Flock()

    @flock.agent
    async def broken(order: Order) -> None:
        raise LookupError("no such order")

    with pytest.raises(AgentFailed, match="broken failed: LookupError: no such order") as failed:
        await flock.test_run(Order())
    assert failed.value.details == {
        "agent": "broken",
        "code": "AGENT_FAILED",
        "message": "LookupError: no such order",
    }


async def test_a_flock_that_is_declared_wrongly_does_not_start() -> None:
    with pytest.raises(DeclarationError, match="from_agents has billr"):
        await billing(from_agents="billr").test_run(Order())


async def test_cancelling() -> None:
    flock = Flock()
    begun = asyncio.Event()

    @flock.agent
    async def slow(order: Order) -> None:
        begun.set()
        await asyncio.Event().wait()

    async with flock_test(flock) as board:
        order = await board.publish(Order())
        await begun.wait()
        await board.cancel(order)
        await board.idle()
        assert board.events()[-1]["kind"] == "correlation.cancelled"
        with pytest.raises(NotFound):
            await board.cancel("00000000-0000-7000-8000-000000000000")
        with pytest.raises(NotFound, match="'that one' is no id of a workflow"):
            await board.cancel("that one")


async def test_the_workflow_of_a_publication_is_a_uuid() -> None:
    flock = Flock()
    flock.type(Order)
    async with flock_test(flock) as board:
        with pytest.raises(InvalidInput, match="correlation_id is 'mine': give it a UUID"):
            await board.publish(Order(), correlation_id="mine")
        given = await board.publish(Order(), correlation_id="00000000-0000-7000-8000-00000000ABCD")
        assert given.correlation_id == "00000000-0000-7000-8000-00000000abcd"


async def test_settings_hold() -> None:
    flock = Flock()

    @flock.agent
    async def many(order: Order) -> list[Bill]:
        return [Bill(text="")] * 3

    config = Config.model_validate({"limits": {"run_outputs": 2}})
    with pytest.raises(AgentFailed, match=r"limits\.run_outputs is 2"):
        await flock.test_run(Order(), config=config)


# -- time ---------------------------------------------------------------------------------------------------


async def test_retries_come_at_once_in_a_run_and_at_their_time_otherwise() -> None:
    def failing_twice() -> Flock:
        flock = Flock()

        @flock.agent(retries=2, backoff="1h")
        async def stubborn(order: Order, ctx: Context) -> Bill:
            if ctx.attempt < 3:
                raise ValueError("not yet")
            return Bill(text=str(ctx.attempt))

        return flock

    (bill,) = await failing_twice().test_run(Order())
    assert bill.value == Bill(text="3")
    async with flock_test(failing_twice()) as board:
        await board.publish(Order())
        await board.idle()
        assert [run["attempt"] for run in await board.runs(state="waiting")] == [2]
        await board.advance("10m")
        assert [run["attempt"] for run in await board.runs(state="waiting")] == [2]
        await board.advance("5h")
        assert [run["attempt"] for run in await board.runs(state="completed")] == [3]


async def test_timers_fire_each_at_its_moment() -> None:
    flock = Flock()
    moments: list[str] = []

    @flock.agent(schedule=Every("5m"))
    async def often(ctx: Context) -> None:
        moments.append(board.clock.moment.strftime("%H:%M"))

    flock.schedule("daily", Daily("10:00"), publish=Order(id="daily"))
    flock.type(Order)
    async with flock_test(flock, now=NOW) as board:
        await board.advance("15m")
        assert moments == ["09:05", "09:10", "09:15"]
        assert await board.artifacts(Order) == []
        await board.advance("1h")
        assert len(moments) == 15
        (order,) = await board.artifacts(Order)
        assert order.value.id == "daily"
        assert board.clock.moment.isoformat() == "2026-11-21T10:15:00+00:00"


async def test_a_thousand_firings() -> None:
    flock = Flock()
    fired: list[str] = []

    @flock.agent(schedule=Every("1m"))
    async def often(ctx: Context) -> None:
        fired.append(ctx.run_id)

    async with flock_test(flock) as board:
        await board.advance("1000m")
    assert len(fired) == 1000


async def test_what_is_hidden_for_a_while() -> None:
    flock = billing()
    async with flock_test(flock) as board:
        await board.publish(Order(), visibility=After(ttl="1h", then=Public()))
        await board.advance("59m")
        assert await board.artifacts(Bill) == []
        await board.advance("1m")
        assert len(await board.artifacts(Bill)) == 1


async def test_batches_and_joins_run_out_of_time() -> None:
    flock = Flock()

    @flock.agent(batch=BatchSpec(size=10, timeout="30s"))
    async def digest(orders: list[Order]) -> Digest:
        return Digest(count=len(orders))

    @flock.agent(join=JoinSpec(by="id", within="1m"))
    async def both(order: Order, paid: Paid) -> Bill:
        return Bill(text=order.id)

    async with flock_test(flock) as board:
        for n in range(3):
            await board.publish(Order(id=str(n)))
        await board.publish(Paid(id="1"))
        await board.idle()
        assert [one.value for one in await board.artifacts(Bill)] == [Bill(text="1")]
        assert await board.artifacts(Digest) == []
        await board.advance("30s")
        assert [one.value for one in await board.artifacts(Digest)] == [Digest(count=3)]
        await board.advance("30s")
        assert len(board.events("join.expired")) == 2


async def test_what_there_is_not_is_not_looked_for_in_vain() -> None:
    async with flock_test(billing()) as board:
        await board.run(Order(n=1))
        with pytest.raises(
            InvalidInput, match=r"no event of the kind run\.complted in the log: did you mean run"
        ):
            board.events("run.complted")
        with pytest.raises(InvalidInput, match=r"no event of the kind run\.output in the log"):
            board.events("run.output")
        with pytest.raises(InvalidInput, match=r"there is no agent bilder: did you mean biller\?"):
            board.events(agent="bilder")
        with pytest.raises(InvalidInput, match="there is no agent bilder"):
            board.text("bilder")
        with pytest.raises(InvalidInput, match="there is no agent bilder"):
            await board.runs("bilder")
        with pytest.raises(InvalidInput, match="'deda' is no state of a run: it is one of ready, running"):
            await board.runs(state="deda")
        (run,) = await board.runs("BILLER", state="completed")
        assert [event["run_id"] for event in board.events("run.completed", agent="Biller")] == [run["id"]]


async def test_plain_data_is_published_as_the_type_that_is_named() -> None:
    (bill,) = await billing().test_run({"n": 3}, type="Order")
    assert bill.value == Bill(text="o: 3")
    with pytest.raises(InvalidInput, match="dict is no artifact type of this flock: name one with type="):
        await billing().test_run({"n": 3})


async def test_a_rate_lets_runs_start_as_time_passes() -> None:
    flock = billing(rate="2/1m")
    async with flock_test(flock) as board:
        for n in range(5):
            await board.publish(Order(n=n))
        await board.idle()
        assert len(await board.artifacts(Bill)) == 2
        await board.advance("1m")
        assert len(await board.artifacts(Bill)) == 4
        (last,) = await board.run(Order(n=9))
        assert last.value == Bill(text="o: 9"), "time passed for it"


async def test_an_agent_that_sleeps_sees_the_same_time_pass() -> None:
    flock = Flock()
    awake: list[str] = []

    @flock.agent(timeout="2h")
    async def sleeper(order: Order) -> None:
        await asyncio.sleep(3600)
        awake.append(order.id)

    @flock.agent(schedule=Every("10m"))
    async def often() -> None:
        awake.append("often")

    async with flock_test(flock) as board:
        await board.publish(Order(id="a"))
        await board.advance("1h")
        assert awake.count("a") == 1
        assert awake.count("often") == 6


async def test_sleepers_one_after_the_other() -> None:
    flock = Flock()
    awake: list[str] = []

    @flock.agent(max_concurrency=1)
    async def sleeper(order: Order) -> None:
        await asyncio.sleep(60)
        awake.append(order.id)

    async with flock_test(flock) as board, flock_test(flock) as other:
        await other.publish(Order(id="other"))
        for name in ("a", "b", "c"):
            await board.publish(Order(id=name))
        for _ in range(3):
            await board.advance("1m")
        assert [name for name in awake if name != "other"] == ["a", "b", "c"]


async def test_a_paused_agent_keeps_nobody_waiting() -> None:
    async with flock_test(billing()) as board:
        assert board._machine is not None
        core = board._machine.board
        await core.pause_agent(core.agents["biller"], True)
        await board.publish(Order())
        await board.idle()
        assert len(await board.runs(state="ready")) == 1
        with pytest.raises(AgentFailed, match="the workflow does not end by itself: biller is paused"):
            await board.run(Order())


async def test_the_timeout_of_a_run_is_a_matter_of_time() -> None:
    flock = Flock()

    @flock.agent(timeout="10m")
    async def hanging(order: Order) -> None:
        await asyncio.sleep(3600)

    async with flock_test(flock) as board:
        await board.publish(Order())
        await board.advance("9m")
        assert len(await board.runs(state="running")) == 1
        await board.advance("1m")
        (run,) = await board.runs(state="dead")
        assert run["error"]["code"] == "TIMEOUT"


async def test_waiting_for_one_that_does_not_end_says_who_it_is() -> None:
    flock = Flock()

    @flock.agent
    async def hanging(order: Order) -> None:
        await asyncio.sleep(3600)

    async with flock_test(flock) as board:
        await board.publish(Order())
        with pytest.raises(TimeoutError, match="hanging still works after"):
            await board.idle(limit_seconds=0.05)


def test_a_loop_that_keeps_its_clock_has_the_boards_time_pass_all_the_same() -> None:
    import uvloop

    flock = billing(rate="1/1m")

    async def play() -> int:
        async with flock_test(flock) as board:
            await board.publish(Order())
            await board.publish(Order())
            await board.advance("1m")
            return len(await board.artifacts(Bill))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(play()) == 2


# -- people -------------------------------------------------------------------------------------------------


def asking(timeout: str | None = None) -> Flock:
    flock = Flock()

    @flock.agent
    async def publisher(order: Order, ctx: Context) -> Bill | None:
        good = await ctx.ask("Send the bill?", type=bool, timeout=timeout, default=False)
        return Bill(text="sent") if good else None

    return flock


async def test_a_question_is_answered() -> None:
    async with flock_test(asking()) as board:
        await board.publish(Order())
        await board.idle()
        (question,) = await board.questions()
        assert (question.agent, question.text) == ("publisher", "Send the bill?")
        with pytest.raises(InvalidInput):
            await board.answer("maybe", question)
        await board.answer(True, question)
        await board.idle()
        assert [one.value for one in await board.artifacts(Bill)] == [Bill(text="sent")]
        assert await board.questions() == []
        with pytest.raises(InvalidInput, match="no questions are open: say which one is answered"):
            await board.answer(True)
        with pytest.raises(InvalidInput, match="there is no open question"):
            await board.answer(True, question.id)


async def test_the_only_open_question_needs_no_name() -> None:
    async with flock_test(asking()) as board:
        await board.publish(Order())
        await board.idle()
        await board.answer(True)
        await board.idle()
        assert len(await board.artifacts(Bill)) == 1
        await board.publish(Order())
        await board.publish(Order())
        await board.idle()
        with pytest.raises(InvalidInput, match="2 questions are open: say which one is answered"):
            await board.answer(True)


async def test_a_question_runs_out_of_time() -> None:
    assert await asking(timeout="1h").test_run(Order()) == [], "it went on with its default"


async def test_a_run_that_waits_for_a_person_says_so() -> None:
    with pytest.raises(AgentFailed, match="publisher asks 'Send the bill\\?': publish, answer"):
        await asking().test_run(Order())


async def test_a_blocking_agent() -> None:
    flock = Flock()
    threads: list[str] = []

    @flock.agent
    def blocking(order: Order, ctx: BlockingContext) -> Bill:
        threads.append(threading.current_thread().name)
        return Bill(text=str(ctx.attempt))

    (bill,) = await flock.test_run(Order())
    assert bill.value == Bill(text="1")
    assert threads != ["MainThread"]


async def test_what_an_agent_may_not_see_wakes_it_not() -> None:
    async with flock_test(billing(labels="sales")) as board:
        await board.publish(Order(), visibility=Labelled(required_labels=["law"]))
        await board.publish(Order(), visibility=Labelled(required_labels=["sales"]))
        await board.idle()
        assert len(await board.artifacts(Bill)) == 1


# -- its life -----------------------------------------------------------------------------------------------


async def test_nothing_is_left_behind(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    tasks, threads = asyncio.all_tasks(), set(threading.enumerate())
    flock = Flock()

    @flock.agent
    async def hanging(order: Order) -> None:
        await asyncio.Event().wait()

    with pytest.raises(ZeroDivisionError):
        async with flock_test(flock) as board:
            await board.publish(Order())
            assert len(list(tmp_path.iterdir())) == 1
            raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    assert asyncio.all_tasks() == tasks
    assert {one for one in threading.enumerate() if not one.name.startswith("asyncio_")} <= threads


async def test_boards_do_not_know_of_each_other() -> None:
    flock = billing()
    async with flock_test(flock) as one, flock_test(flock) as other:
        await one.publish(Order())
        await one.idle()
        assert await other.artifacts() == []


def test_it_needs_no_test_runner_and_no_language_model() -> None:
    program = """
import asyncio, sys
from pydantic import BaseModel
from flockd import Flock

class Order(BaseModel):
    n: int

class Bill(BaseModel):
    n: int

flock = Flock()

@flock.agent
async def biller(order: Order) -> Bill:
    return Bill(n=order.n)

(bill,) = asyncio.run(flock.test_run(Order(n=3)))
print(bill.value, sorted({"pydantic_ai", "openai", "mcp", "aiohttp.web", "pytest"} & sys.modules.keys()))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout, done.stderr) == ("n=3 []\n", "")
