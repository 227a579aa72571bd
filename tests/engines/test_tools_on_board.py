"""Tools of agents on a real board: what a run does once over crashes and failures, what is logged, what it sees."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic_ai import ModelRetry

from flockd import NonRetryableError
from flockd.domain.artifact_type import ArtifactType
from flockd.domain.visibility import Private
from flockd.engines.base import Context, Output, Threads
from flockd.engines.llm.engine import LlmEngine
from flockd.engines.llm.thinking import McpServer, Seen, Thinking
from flockd.engines.outside import Outside

from ..rig import Note, Rig, Rigs, agent, rigs
from .fake_openai import Breaks, Calls, FakeOpenAI, Hangs, Refuses
from .mcp_servers import SERVER, lives, noted, notes, pids, until

__all__ = ["notes", "rigs"]

DONE = '{"n": 7}'
LIMIT_SECONDS = 20


class Thinks:
    """The real engine, with the outside of a test."""

    kind = "llm"

    def __init__(self, outside: Outside, **thinking: Any) -> None:
        self._outside = outside
        outputs = {"B": ArtifactType("B", Note)}
        self._engine = LlmEngine("a", Thinking(**thinking), outputs, default_model=None)

    async def run(self, inputs: Sequence[Any], context: Context, threads: Threads) -> list[Output]:
        context.outside = self._outside
        return await self._engine.run(inputs, context, threads)


async def started(rigs: Rigs, engine: Thinks, **fields: Any) -> Rig:
    rig = await rigs(agent("a", "A", **fields), engines={"a": engine}, retry_base_seconds=0.001)
    await rig.publish("A")
    return rig


async def published(rig: Rig) -> list[int]:
    await rig.event("run.completed")
    return [
        orjson.loads(event.artifact.payload)["n"]
        for event in rig.events
        if event.artifact is not None and event.artifact.type == "B"
    ]


async def wake(rig: Rig) -> None:
    rig.clock.advance(1)
    while await rig.board.wake(rig.clock()):
        pass


def charge(name: str = "charge", **arguments: Any) -> Calls:
    return Calls([(name, orjson.dumps(arguments).decode())])


@pytest.fixture(params=["async def", "def"])
def charging(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Callable[..., Any], Path]:
    """A tool that costs money, and the account: a line for each time that it did."""
    account = tmp_path / "account"
    account.touch()

    def book(amount: int) -> str:
        with account.open("a") as file:
            file.write(f"{amount}\n")
        return "charged"

    async def charge(amount: int) -> str:
        """Charges the customer."""
        return book(amount)

    def blocking_charge(amount: int) -> str:
        return book(amount)

    blocking_charge.__name__ = "charge"
    return (charge if request.param == "async def" else blocking_charge), account


async def test_a_run_that_is_killed_after_a_call_does_not_repeat_it(
    charging: tuple[Callable[..., Any], Path], provider: FakeOpenAI, outside: Outside, rigs: Rigs
) -> None:
    tool, account = charging
    provider.script(charge(amount=5), Hangs(), DONE)
    rig = await started(rigs, Thinks(outside, tools=(tool,)))
    await provider.request(2)  # the model has been told what came of its call
    await rig.crash()
    await rig.start()
    assert await published(rig) == [7]
    assert noted(account) == ["5"]
    assert len(provider.asked) == 3  # its first answer was kept as well
    told = [one for one in provider.asked[2].body["messages"] if one["role"] == "tool"]
    assert [one["content"] for one in told] == ["charged"]
    (event,) = rig.data("tool.called")
    assert (event["tool"], event["arguments"], event["outcome"], event["error"]) == (
        "charge",
        {"amount": 5},
        "ok",
        None,
    )


async def test_a_run_that_fails_after_a_call_does_not_repeat_it_when_it_is_tried_again(
    charging: tuple[Callable[..., Any], Path], provider: FakeOpenAI, outside: Outside, rigs: Rigs
) -> None:
    tool, account = charging
    provider.script(charge(amount=5), Breaks(["{"]), DONE)
    rig = await started(rigs, Thinks(outside, tools=(tool,)), retries=1)
    await rig.event("run.retrying")
    await wake(rig)
    assert await published(rig) == [7]
    assert noted(account) == ["5"]
    assert len(rig.data("tool.called")) == 1


async def test_the_event_is_of_the_run_and_stands_in_the_log_before_its_end(
    charging: tuple[Callable[..., Any], Path], provider: FakeOpenAI, outside: Outside, rigs: Rigs
) -> None:
    provider.script(charge(amount=5), DONE)
    rig = await started(rigs, Thinks(outside, tools=(charging[0],)))
    await published(rig)
    called, completed = await rig.event("tool.called"), await rig.event("run.completed")
    assert (called.agent, called.run_id, called.correlation_id) == (
        "a",
        completed.run_id,
        completed.correlation_id,
    )
    assert called.seq < completed.seq


@pytest.mark.parametrize("kind", [LookupError, ModelRetry])
async def test_a_call_that_failed_is_not_repeated_after_a_crash_and_the_answers_that_followed_hold(
    provider: FakeOpenAI, outside: Outside, rigs: Rigs, tmp_path: Path, kind: type[Exception]
) -> None:
    """It charged the customer, and then it failed; the model was told, and did something else."""
    account = tmp_path / "account"

    async def charge_card(amount: int) -> str:
        with account.open("a") as file:
            file.write(f"{amount}\n")
        raise kind("give the full number")

    async def note(text: str) -> str:
        with account.open("a") as file:
            file.write(f"{text}\n")
        return "noted"

    provider.script(charge("charge_card", amount=5), charge("note", text="failed"), Hangs(), DONE)
    rig = await started(rigs, Thinks(outside, tools=(charge_card, note)))
    await provider.request(3)
    await rig.crash()
    await rig.start()
    assert await published(rig) == [7]
    assert noted(account) == ["5", "failed"]
    assert len(provider.asked) == 4, "both of its answers were kept"
    assert provider.asked[3].body["messages"] == provider.asked[2].body["messages"]
    assert [event["outcome"] for event in rig.data("tool.called")] == ["error", "ok"]


async def test_a_tool_may_end_its_run_for_good(provider: FakeOpenAI, outside: Outside, rigs: Rigs) -> None:
    async def charge_card() -> str:
        raise NonRetryableError("the card was declined")

    provider.script(charge("charge_card"))
    rig = await started(rigs, Thinks(outside, tools=(charge_card,)), retries=3)
    await rig.event("run.failed")
    assert [data["error"]["message"] for data in rig.data("run.failed")] == [
        "NonRetryableError: the card was declined"
    ]
    assert [event["outcome"] for event in rig.data("tool.called")] == ["error"]
    assert len(provider.asked) == 1


async def test_a_run_that_was_refused_for_good_goes_on_where_it_was_when_it_is_started_again_by_hand(
    provider: FakeOpenAI, outside: Outside, rigs: Rigs
) -> None:
    charged: list[int] = []

    async def charge_card(amount: int) -> str:
        charged.append(amount)
        raise LookupError("nobody answers")

    provider.script(charge("charge_card", amount=5), Refuses(401, "the key has expired"), DONE)
    rig = await started(rigs, Thinks(outside, tools=(charge_card,)), retries=3)
    run_id = (await rig.event("run.failed")).run_id
    assert run_id is not None
    assert rig.data("run.retrying") == []
    await rig.retry(run_id)
    assert await published(rig) == [7]
    assert charged == [5]
    _, refused, answered = provider.asked
    assert answered.body["messages"] == refused.body["messages"]


@pytest.mark.parametrize("blocks", [False, True], ids=["async def", "def"])
async def test_a_tool_may_ask_a_person_and_starts_again_with_the_answer(
    blocks: bool, provider: FakeOpenAI, outside: Outside, rigs: Rigs
) -> None:
    answers: list[str] = []

    async def confirm(ctx: Context, what: str) -> str:
        answers.append(await ctx.ask(f"May I {what}?"))
        return answers[-1]

    def blocking_confirm(ctx: Context, what: str) -> str:
        answer: Any = ctx.ask(f"May I {what}?")
        answers.append(answer)
        return answers[-1]

    blocking_confirm.__name__ = "confirm"
    provider.script(charge("confirm", what="pay"), DONE)
    rig = await started(rigs, Thinks(outside, tools=(blocking_confirm if blocks else confirm,)))
    await rig.event("question.asked")
    (question,), _ = await rig.reads.questions(state="open", limit=10)
    assert rig.data("tool.called") == []
    await rig.board.answer_question(question, b'"yes"', "x")
    assert await published(rig) == [7]
    assert answers == ["yes"]
    assert len(provider.asked) == 2
    assert [event["outcome"] for event in rig.data("tool.called")] == ["ok"]


@pytest.mark.parametrize("order", [("pay", "confirm"), ("confirm", "pay"), ("confirm", "pay", "confirm")])
@pytest.mark.parametrize("blocks", [False, True], ids=["async def", "def"])
async def test_a_question_waits_for_the_calls_beside_it_and_none_begins_before_its_answer(
    order: tuple[str, ...], blocks: bool, provider: FakeOpenAI, outside: Outside, rigs: Rigs
) -> None:
    paid: list[str] = []

    async def pay(what: str) -> str:
        paid.append(what)
        for _ in range(20):  # the money is gone; a question that waits for nobody is stored meanwhile
            await rig.passed()
        return what

    async def confirm(ctx: Context, what: str) -> Any:
        return await ctx.ask("May I?", key=what)

    def blocking_confirm(ctx: Context, what: str) -> Any:
        return ctx.ask("May I?", key=what)

    blocking_confirm.__name__ = "confirm"
    calls = [(name, orjson.dumps({"what": str(number)}).decode()) for number, name in enumerate(order)]
    provider.script(Calls(calls), DONE)
    rig = await started(rigs, Thinks(outside, tools=(blocking_confirm if blocks else confirm, pay)))
    for number in range(order.count("confirm")):
        await rig.until(lambda: rig.kinds().count("question.asked") > number)  # noqa: B023
        (question,), _ = await rig.reads.questions(state="open", limit=10)
        await rig.board.answer_question(question, b'"yes"', "x")
    assert await published(rig) == [7]
    assert paid == [str(order.index("pay"))]
    assert [event["outcome"] for event in rig.data("tool.called")] == ["ok"] * len(order)


@pytest.mark.parametrize("blocks", [False, True], ids=["async def", "def"])
async def test_the_answers_and_steps_of_one_call_are_not_those_of_another(
    blocks: bool, provider: FakeOpenAI, outside: Outside, rigs: Rigs
) -> None:
    charged: list[tuple[str, str]] = []

    def charge_for(order: str, idempotency_key: str) -> str:
        charged.append((order, idempotency_key))
        return order

    async def refund(ctx: Context, order: str) -> str:
        answer = await ctx.ask(f"May I refund {order}?")
        return f"{await ctx.step('charge', charge_for, order)}: {answer}"

    def blocking_refund(ctx: Context, order: str) -> str:
        answer: Any = ctx.ask(f"May I refund {order}?")
        return f"{ctx.step('charge', charge_for, order)}: {answer}"

    blocking_refund.__name__ = "refund"
    first, second = (
        charge("refund", order="1"),
        Calls([("refund", '{"order":"2"}'), ("refund", '{"order":"2"}')]),
    )
    provider.script(first, Breaks(["x"]), second, DONE)  # after the break a new attempt has used no name yet
    rig = await started(rigs, Thinks(outside, tools=(blocking_refund if blocks else refund,)), retries=1)
    for number, answer in enumerate((b'"yes"', b'"no"', b'"well"')):
        if number == 1:
            await rig.event("run.retrying")
            await wake(rig)
        await rig.until(lambda: rig.kinds().count("question.asked") > number)  # noqa: B023
        (question,), _ = await rig.reads.questions(state="open", limit=10)
        assert question.text == f"May I refund {min(number, 1) + 1}?"
        await rig.board.answer_question(question, answer, "x")
    assert await published(rig) == [7]
    assert [order for order, _ in charged] == ["1", "2", "2"]
    assert len({key for _, key in charged}) == 3
    said = [one["content"] for one in provider.asked[-1].body["messages"] if one["role"] == "tool"]
    assert said[0] == "1: yes"
    assert sorted(said[1:]) == ["2: no", "2: well"], "which of two equal calls asks first is all the same"


async def test_a_question_that_its_tool_gives_up_keeps_no_call_from_beginning(
    provider: FakeOpenAI, outside: Outside, rigs: Rigs
) -> None:
    given_up = asyncio.Event()

    async def slow() -> str:
        await given_up.wait()
        return "slow"

    async def confirm(ctx: Context) -> str:
        try:
            async with asyncio.timeout(0.01):
                return str(await ctx.ask("May I?"))
        except TimeoutError:
            given_up.set()
            return "nobody asked"

    provider.script(Calls([("slow", "{}"), ("confirm", "{}")]), Calls([("slow", "{}")]), DONE)
    rig = await started(rigs, Thinks(outside, tools=(slow, confirm)))
    assert await published(rig) == [7]
    assert "question.asked" not in rig.kinds()
    assert [event["tool"] for event in rig.data("tool.called")] == ["confirm", "slow", "slow"]


async def test_a_cancelled_run_holds_its_place_until_the_last_thread_of_its_tools_has_ended(
    provider: FakeOpenAI, outside: Outside, rigs: Rigs
) -> None:
    began: list[int] = []
    gates = [threading.Event(), threading.Event()]

    def slow(n: int) -> int:
        began.append(n)
        gates[n].wait(LIMIT_SECONDS)
        return n

    def slow_threads() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread.name.startswith("a slow")]

    provider.script(Calls([("slow", '{"n": 0}'), ("slow", '{"n": 1}')]))
    rig = await started(rigs, Thinks(outside, tools=(slow,)))
    await until(lambda: len(began) == 2)
    run_id = (await rig.event("run.started")).run_id
    assert run_id is not None
    await rig.board.cancel_run(run_id)
    gates[1].set()
    await until(lambda: len(slow_threads()) == 1)
    await rig.passed()
    assert rig.busy("a") == 1
    gates[0].set()
    await rig.until(lambda: rig.busy("a") == 0)
    assert rig.data("tool.called") == []


async def test_a_cancelled_run_leaves_no_server_and_a_killed_one_repeats_no_call(
    provider: FakeOpenAI, outside: Outside, rigs: Rigs, notes: Path
) -> None:
    files = McpServer("files", command=(*SERVER, "stdio"), allow=("add",), env=("MCP_TEST_NOTES",))
    provider.script(charge("files_add", a=1), Hangs(), Hangs())
    rig = await started(rigs, Thinks(outside, mcp=(files,)))
    await provider.request(2)
    await rig.crash()
    await rig.start()
    await provider.request(3)
    first, second = pids(notes)
    assert not lives(first)
    assert lives(second)
    await rig.stop()
    assert not lives(second)
    assert noted(notes).count("add 1 1") == 1
    assert [event["tool"] for event in rig.data("tool.called")] == ["files_add"]


async def test_it_sees_what_it_may_of_its_workflow_and_nothing_else(
    provider: FakeOpenAI, outside: Outside, rigs: Rigs
) -> None:
    provider.script(DONE)
    rig = await rigs(
        agent("a", "A"), engines={"a": Thinks(outside, context=Seen())}, retry_base_seconds=0.001
    )
    other = await rig.publish("C", 1)
    mine = await rig.publish("C", 2)
    hidden = Private(agents=("somebody",))
    await rig.publish("C", 3, mine.correlation_id, visibility=hidden)
    await rig.publish("A", 4, mine.correlation_id)
    assert await published(rig) == [7]
    assert other.correlation_id != mine.correlation_id
    prompt = provider.asked[0].prompt
    assert '{"type":"C","produced_by":"external","payload":{"n":2}}' in prompt
    assert [n for n in (1, 2, 3, 4) if f'"payload":{{"n":{n}}}' in prompt] == [2]
