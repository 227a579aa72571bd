"""Steps and questions: what was settled once stays settled, over failures, crashes and answers that come twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import orjson
import pytest
from pydantic import BaseModel, field_validator

from flockd.board.memory import Answered
from flockd.domain.question import Question, QuestionState
from flockd.engines.base import Context, Engine, Output, Threads
from flockd.engines.blocking import BlockingContext
from flockd.engines.memory import QuestionExpired, RunSuperseded
from flockd.errors import Conflict, InvalidInput

from ..rig import Rig, Rigs, agent

Function = Callable[[Context], Awaitable[int]]


class Author:
    """An engine whose runs do what a test wrote for them, and publish a B of what that returned."""

    kind = "function"

    def __init__(self, function: Function) -> None:
        self.function = function
        self.starts = 0

    async def run(self, inputs: Sequence[Any], context: Context, threads: Threads) -> list[Output]:
        self.starts += 1
        return [Output("B", {"n": await self.function(context)})]


class Blocking:
    """The same for a function that runs in a thread."""

    kind = "function"

    def __init__(self, function: Callable[[BlockingContext], int]) -> None:
        self.function = function

    async def run(self, inputs: Sequence[Any], context: Context, threads: Threads) -> list[Output]:
        blocking = BlockingContext(context, threads.loop)
        try:
            n = await threads.start(lambda: self.function(blocking), "test")
        finally:
            blocking.end()
        return [Output("B", {"n": n})]


class Money(BaseModel):
    amount: int


class Counted:
    """A paid call: how often it was made is what these tests are about."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    async def pay(self, amount: int, *, idempotency_key: str) -> Money:
        self.keys.append(idempotency_key)
        return Money(amount=amount)


async def started(rigs: Rigs, engine: Engine, **fields: Any) -> Rig:
    rig = await rigs(agent("a", "A", **fields), engines={"a": engine}, retry_base_seconds=0.001)
    await rig.publish("A")
    return rig


async def published(rig: Rig) -> list[int]:
    event = await rig.event("run.completed")
    assert event.run_id is not None
    return [
        orjson.loads(event.artifact.payload)["n"]
        for event in rig.events
        if event.artifact is not None and event.artifact.type == "B"
    ]


async def died(rig: Rig) -> str:
    event = await rig.event("run.failed")
    return str(orjson.loads(event.data)["error"]["message"])


async def asked(rig: Rig, count: int = 1) -> Question:
    await rig.until(lambda: len(rig.data("question.asked")) >= count)
    found, _ = await rig.reads.questions(state="open", limit=10)
    return found[0]


async def wake(rig: Rig) -> None:
    while await rig.board.wake(rig.clock()):
        pass


# -- steps ----------------------------------------------------------------------------------------------------


async def test_a_step_is_done_once_over_a_retry(rigs: Rigs) -> None:
    counted = Counted()

    async def work(ctx: Context) -> int:
        money = await ctx.step("pay", counted.pay, 7)
        assert isinstance(money, Money)
        if ctx.attempt == 1:
            raise ValueError("after it was paid")
        return money.amount

    rig = await started(rigs, Author(work), retries=1)
    await rig.event("run.retrying")
    rig.clock.advance(1)
    await wake(rig)
    assert await published(rig) == [7]
    run_id = rig.events[-1].run_id or next(event.run_id for event in rig.events if event.run_id)
    assert counted.keys == [f"{run_id}/pay"]


async def test_a_step_is_done_once_over_a_crash_and_a_redrive(rigs: Rigs) -> None:
    counted = Counted()
    hold = asyncio.Event()

    async def work(ctx: Context) -> int:
        money = await ctx.step("pay", counted.pay, 7)
        if not hold.is_set():
            hold.set()
            await asyncio.get_running_loop().create_future()
        if ctx.attempt == 1:
            raise ValueError("no")
        return int(money.amount)

    rig = await started(rigs, Author(work))
    await asyncio.wait_for(hold.wait(), 10)
    await rig.crash()
    await rig.start()
    event = await rig.event("run.failed")
    assert event.run_id is not None
    await rig.retry(event.run_id)
    assert await published(rig) == [7]
    assert len(counted.keys) == 1


async def test_the_first_call_returns_what_later_ones_will(rigs: Rigs) -> None:
    """A tuple comes back as its annotation says, and as JSON's list where there is none."""

    def pair() -> tuple[int, str]:
        return 1, "x"

    seen: list[Any] = []

    async def work(ctx: Context) -> int:
        seen.append((await ctx.step("typed", pair), await ctx.step("plain", lambda: (1, 2))))
        seen.append(await ctx.step("given", lambda: {"amount": "3"}, type=Money))
        return 1 if ctx.attempt == 2 else 1 // 0

    rig = await started(rigs, Author(work), retries=1)
    await rig.event("run.retrying")
    rig.clock.advance(1)
    await wake(rig)
    await published(rig)
    assert seen == [((1, "x"), [1, 2]), Money(amount=3)] * 2


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (object(), "the step 'x' returned what JSON cannot hold"),
        (lambda: 1, "the step 'x' returned what JSON cannot hold"),
    ],
)
async def test_what_json_cannot_hold_is_an_error_at_once(rigs: Rigs, value: Any, sentence: str) -> None:
    async def work(ctx: Context) -> int:
        await ctx.step("x", lambda: value)
        return 1

    rig = await started(rigs, Author(work))
    assert sentence in await died(rig)


async def test_a_value_that_is_not_what_it_says_is_an_error_at_once(rigs: Rigs) -> None:
    def lies() -> int:
        return "many"  # type: ignore[return-value]

    async def work(ctx: Context) -> int:
        return int(await ctx.step("x", lies))

    rig = await started(rigs, Author(work))
    assert "the step 'x' did not return int" in await died(rig)


@pytest.mark.parametrize("name", ["", "n" * 201])
async def test_a_step_needs_a_name_of_its_own(rigs: Rigs, name: str) -> None:
    async def nameless(ctx: Context) -> int:
        await ctx.step(name, int)
        return 1

    rig = await started(rigs, Author(nameless))
    assert "the name of a step has 1 to 200 characters" in await died(rig)


async def test_names_and_questions_are_texts(rigs: Rigs) -> None:
    async def numbered(ctx: Context) -> int:
        return int(await ctx.step(5, int))  # type: ignore[arg-type]

    async def keyed(ctx: Context) -> int:
        return int(await ctx.ask("How many?", type=int, key=5))  # type: ignore[arg-type]

    async def unsaid(ctx: Context) -> int:
        return int(await ctx.ask(5, type=int))  # type: ignore[arg-type]

    for work, said in (
        (numbered, "the name of a step is a text, not 5"),
        (keyed, "the name of a question is a text, not 5"),
        (unsaid, "a question is a text, not 5"),
    ):
        rig = await started(rigs, Author(work))
        assert said in await died(rig)
        await rig.stop()


async def test_a_name_is_used_once_in_an_attempt(rigs: Rigs) -> None:
    async def twice(ctx: Context) -> int:
        await ctx.step("x", int)
        await ctx.step("x", int)
        return 1

    rig = await started(rigs, Author(twice))
    assert "the step 'x' was used twice in one attempt" in await died(rig)


async def test_a_large_result_is_refused(rigs: Rigs) -> None:
    async def work(ctx: Context) -> int:
        await ctx.step("x", lambda: "x" * 2000)
        return 1

    rig = await rigs(agent("a", "A"), engines={"a": Author(work)}, output_bytes=1000)
    await rig.publish("A")
    assert "limits.output_bytes is 1000" in await died(rig)


async def test_a_superseded_attempt_records_nothing(rigs: Rigs) -> None:
    begun, go, seen = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work(ctx: Context) -> int:
        begun.set()
        while not go.is_set():
            try:
                await go.wait()
            except asyncio.CancelledError:
                continue
        try:
            await ctx.step("late", lambda: 1)
        except RunSuperseded:
            seen.set()
            raise
        return 1

    rig = await started(rigs, Author(work))
    await begun.wait()
    (run,), _ = await rig.reads.runs(limit=1)
    await rig.board.cancel_run(run.id)
    go.set()
    await asyncio.wait_for(seen.wait(), 10)
    assert await rig.reads.steps(run.id) == {}


async def test_a_step_in_a_thread(rigs: Rigs) -> None:
    calls: list[str] = []

    def pay(*, idempotency_key: str) -> int:
        calls.append(idempotency_key)
        return 9

    def work(ctx: BlockingContext) -> int:
        n = ctx.step("pay", pay)
        if ctx.attempt == 1:
            raise ValueError("no")
        return int(n)

    rig = await started(rigs, Blocking(work), retries=1)
    await rig.event("run.retrying")
    rig.clock.advance(1)
    await wake(rig)
    assert await published(rig) == [9]
    assert len(calls) == 1


# -- questions ------------------------------------------------------------------------------------------------


async def test_a_run_waits_for_its_answer_without_a_place(rigs: Rigs) -> None:
    async def work(ctx: Context) -> int:
        money = await ctx.ask("How much?", type=Money)
        return int(money.amount)

    engine = Author(work)
    rig = await started(rigs, engine, max_concurrency=1)
    question = await asked(rig)
    assert (question.key, question.text, question.agent) == ("Money", "How much?", "a")
    await rig.until(lambda: rig.busy("a") == 0)
    assert await rig.states() == ["waiting"]
    with pytest.raises(InvalidInput) as refused:
        await rig.board.answer_question(question, b'{"amount": "much"}', "me")
    assert (refused.value.details or {})["field"] == "answer.amount"
    answered = (await rig.board.answer_question(question, b'{"amount": 5}', "me")).question
    assert (answered.state, answered.answered_by) == (QuestionState.answered, "me")
    assert await published(rig) == [5]
    assert engine.starts == 2
    (said,) = rig.data("question.answered")
    assert (said["state"], said["answer"], said["answered_by"]) == ("answered", {"amount": 5}, "me")
    run, _ = await rig.reads.runs(limit=1)
    assert run[0].attempt == 1


async def test_an_answer_counts_once(rigs: Rigs) -> None:
    async def work(ctx: Context) -> int:
        return int(await ctx.ask("n?", type=int))

    rig = await started(rigs, Author(work))
    question = await asked(rig)
    async with rig.one_group():
        answers = [rig.soon(rig.board.answer_question(question, b"%d" % n, "x")) for n in (1, 2, 3)]
    results = await asyncio.gather(*answers, return_exceptions=True)
    assert [type(one) for one in results] == [Answered, Conflict, Conflict]
    assert await published(rig) == [1]
    with pytest.raises(Conflict):
        await rig.board.answer_question(question, b"4", "x")


async def test_two_questions_at_once_are_asked_one_after_the_other(rigs: Rigs) -> None:
    async def work(ctx: Context) -> int:
        asking = [ctx.ask("n?", type=int, key=key) for key in ("first", "second")]
        first, second = await asyncio.gather(*asking)
        return 10 * int(first) + int(second)

    rig = await started(rigs, Author(work))
    for count, (key, answer) in enumerate((("first", b"4"), ("second", b"2")), 1):
        question = await asked(rig, count)
        await rig.until(lambda: rig.busy("a") == 0)
        assert (question.key, await rig.states()) == (key, ["waiting"])
        await rig.board.answer_question(question, answer, "x")
    assert await published(rig) == [42]


class Even(BaseModel):
    n: int

    @field_validator("n")
    @classmethod
    def _even(cls, n: int) -> int:
        if n % 2:
            raise ValueError("it is odd")
        return n


async def test_what_only_a_validator_refuses_can_be_asked_again(rigs: Rigs) -> None:
    refused: list[str] = []

    async def work(ctx: Context) -> int:
        for key in ("first", "second"):
            try:
                return int((await ctx.ask("n?", type=Even, key=key)).n)
            except TypeError as error:
                refused.append(str(error))
        raise AssertionError("two are asked")

    rig = await started(rigs, Author(work))
    await rig.board.answer_question(await asked(rig), b'{"n": 1}', "x")
    await rig.board.answer_question(await asked(rig, 2), b'{"n": 2}', "x")
    assert await published(rig) == [2]
    assert set(refused) == {
        "the answer to the question 'first' fits the JSON Schema of Even, but Even refuses it: payload.n: Value error, "
        "it is odd"
    }


async def test_a_restart_between_question_and_answer_changes_nothing(rigs: Rigs) -> None:
    counted = Counted()

    async def work(ctx: Context) -> int:
        await ctx.step("pay", counted.pay, 1)
        first = await ctx.ask("first?", type=int, key="first")
        second = await ctx.ask("second?", type=int, key="second")
        return 10 * int(first) + int(second)

    rig = await started(rigs, Author(work))
    await asked(rig)
    await rig.crash()
    await rig.start()
    await rig.board.answer_question(await asked(rig), b"4", "x")
    second = await asked(rig, 2)
    await rig.stop()
    await rig.start()
    await rig.board.answer_question(second, b"2", "x")
    assert await published(rig) == [42]
    assert len(counted.keys) == 1


@pytest.mark.parametrize("default", [None, 3])
async def test_when_nobody_answers_in_time(rigs: Rigs, default: int | None) -> None:
    async def work(ctx: Context) -> int:
        if default is None:
            return int(await ctx.ask("n?", type=int, timeout="1h"))
        return int(await ctx.ask("n?", type=int, timeout="1h", default=default))

    rig = await started(rigs, Author(work))
    question = await asked(rig)
    rig.clock.advance(3601)
    await wake(rig)
    if default is None:
        assert "QuestionExpired: nobody answered the question 'int' in time" in await died(rig)
    else:
        assert await published(rig) == [3]
    assert [one["state"] for one in rig.data("question.answered")] == ["expired"]
    with pytest.raises(Conflict):
        await rig.board.answer_question(question, b"4", "x")


async def test_a_retry_asks_again_what_nobody_answered(rigs: Rigs) -> None:
    async def work(ctx: Context) -> int:
        try:
            return int(await ctx.ask("n?", type=int, timeout="1h"))
        except QuestionExpired:
            raise ValueError("try again") from None

    rig = await started(rigs, Author(work), retries=1)
    await asked(rig)
    rig.clock.advance(3601)
    await wake(rig)
    await rig.event("run.retrying")
    rig.clock.advance(1)
    await wake(rig)
    await rig.board.answer_question(await asked(rig, 2), b"4", "x")
    assert await published(rig) == [4]


async def test_cancelling_a_run_cancels_its_question(rigs: Rigs) -> None:
    async def work(ctx: Context) -> int:
        return int(await ctx.ask("n?", type=int))

    rig = await started(rigs, Author(work))
    question = await asked(rig)
    await rig.board.cancel_run(question.run_id)
    with pytest.raises(Conflict, match="is cancelled"):
        await rig.board.answer_question(question, b"4", "x")
    assert [one["state"] for one in rig.data("question.answered")] == ["cancelled"]


async def test_an_author_who_catches_everything_is_parked_all_the_same(rigs: Rigs) -> None:
    """The row decides, not what the code makes of its cancelling."""

    async def work(ctx: Context) -> int:
        try:
            return int(await ctx.ask("n?", type=int))
        except BaseException:
            return -1

    rig = await started(rigs, Author(work))
    question = await asked(rig)
    await rig.until(lambda: rig.busy("a") == 0)
    assert await rig.states() == ["waiting"]
    await rig.board.answer_question(question, b"4", "x")
    assert await published(rig) == [4]


async def test_a_question_in_a_thread(rigs: Rigs) -> None:
    def work(ctx: BlockingContext) -> int:
        try:
            return int(ctx.ask("n?", type=int))
        except Exception:
            return -1

    rig = await started(rigs, Blocking(work), max_concurrency=1)
    question = await asked(rig)
    await rig.until(lambda: rig.busy("a") == 0)
    await rig.board.answer_question(question, b"4", "x")
    assert await published(rig) == [4]


async def test_a_key_asks_once_in_an_attempt(rigs: Rigs) -> None:
    async def work(ctx: Context) -> int:
        await ctx.ask("n?", type=int)
        return int(await ctx.ask("m?", type=int))

    rig = await started(rigs, Author(work))
    await rig.board.answer_question(await asked(rig), b"4", "x")
    assert "the question 'int' was used twice in one attempt" in await died(rig)


async def test_an_answer_whose_agent_is_gone_waits_for_it(rigs: Rigs) -> None:
    async def work(ctx: Context) -> int:
        return int(await ctx.ask("n?", type=int))

    rig = await started(rigs, Author(work))
    question = await asked(rig)
    await rig.stop()
    rig.agents = ()
    await rig.start()
    await rig.board.answer_question(question, b"4", "x")
    (run,), _ = await rig.reads.runs(limit=1)
    assert (run.state, run.reason) == ("waiting", "agent_missing")
    await rig.stop()
    rig.agents = (agent("a", "A"),)
    await rig.start()
    assert await published(rig) == [4]


async def test_a_question_and_a_cancel_in_one_group(rigs: Rigs) -> None:
    go = asyncio.Event()

    async def work(ctx: Context) -> int:
        await go.wait()
        return int(await ctx.ask("n?", type=int))

    rig = await started(rigs, Author(work))
    (run,), _ = await rig.reads.runs(limit=1)
    async with rig.one_group():
        go.set()
        for _ in range(3):
            await asyncio.sleep(0)
        rig.soon(rig.board.cancel_run(run.id))
    await rig.until(lambda: rig.busy("a") == 0)
    assert await rig.states() == ["cancelled"]
    states = {one.state.value for one in (await rig.reads.questions(limit=10))[0]}
    assert states <= {"cancelled"}
