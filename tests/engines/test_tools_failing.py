"""Tools that fail: what the model is told, what is kept of it for the next attempt, and what ends the run."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from pydantic_ai import ModelRetry

from flockd.domain.retry import NonRetryableError
from flockd.engines.base import Context
from flockd.engines.llm.tool_calls import FAILED_ROUNDS
from flockd.engines.memory import RunSuperseded, StepTooLarge
from flockd.errors import AgentFailed, BudgetExceeded
from flockd.supervisor.threads import RunThreads

from .attempts import Kept
from .scripted import Script
from .test_tools import attempt


class Flaky:
    """A tool that raises as it is told."""

    def __init__(self, *errors: BaseException | None) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def fetch(self, url: str = "") -> str:
        """Fetches."""
        self.calls += 1
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        return "found"


def failing(calls: int) -> list[tuple[str, dict[str, Any]]]:
    return [("fetch", {"url": str(number)}) for number in range(calls)]


async def test_a_failure_is_told_to_the_model_and_in_an_event_and_is_the_calls_outcome() -> None:
    kept, flaky = Kept(), Flaky(ValueError("no such page"))
    script = Script(failing(1), failing(1))
    assert await script.run(attempt(kept).context, flaky.fetch) == "done"
    assert script.told == [[("ValueError: no such page", "failed")], [("found", "success")]]
    assert [(event["outcome"], event["error"]) for event in kept.tools] == [
        ("error", "ValueError: no such page"),
        ("ok", None),
    ]
    failed, found = kept.steps
    assert failed.endswith("/0/failed/0")
    assert len(failed) <= 200
    assert found.endswith("/1")  # the second call of these arguments

    again = Script(failing(1), failing(1))
    await again.run(attempt(kept).context, flaky.fetch)
    assert again.told == script.told
    assert (flaky.calls, len(kept.tools)) == (2, 2), "neither call was made again"


async def test_what_a_tool_asked_the_model_to_correct_is_asked_for_again_in_the_same_way() -> None:
    kept, flaky = Kept(), Flaky(ModelRetry("give a full address"))
    for _ in range(2):
        script = Script(failing(1), failing(1))
        await script.run(attempt(kept).context, flaky.fetch)
        assert script.told == [[("give a full address", "retried")], [("found", "success")]]
    assert flaky.calls == 2


async def test_a_model_that_is_asked_anew_may_have_more_luck_with_the_same_call() -> None:
    """No answer of it follows from the failure any more; from what went well nothing is bought twice."""
    kept, flaky = Kept(), Flaky(ValueError("nobody answers"))
    await Script(failing(1), failing(1)).run(attempt(kept).context, flaky.fetch)
    anew = Script(failing(1), failing(1))
    await anew.run(attempt(kept).context, flaky.fetch, generation=1)
    assert anew.told == [[("found", "success")], [("found", "success")]]
    assert flaky.calls == 3


async def test_failures_that_were_told_count_when_they_are_told_again() -> None:
    """The failure that ended the attempt was told to nobody: it alone is tried again."""
    kept, flaky = Kept(), Flaky(*[ValueError(f"no {n}") for n in range(FAILED_ROUNDS + 1)])
    with pytest.raises(AgentFailed, match=f"failed in {FAILED_ROUNDS + 1} answers"):
        await Script(*[failing(1)] * 10).run(attempt(kept).context, flaky.fetch)
    assert len(kept.steps) == FAILED_ROUNDS

    flaky.errors = [ValueError("still")]
    with pytest.raises(AgentFailed, match="lastly: ValueError: still"):
        await Script(*[failing(1)] * 10).run(attempt(kept).context, flaky.fetch)
    script = Script(*[failing(1)] * (FAILED_ROUNDS + 1))
    assert await script.run(attempt(kept).context, flaky.fetch) == "done"
    assert script.told[-1] == [("found", "success")]
    assert flaky.calls == FAILED_ROUNDS + 3


async def test_what_a_tool_makes_of_its_cancelling_is_no_outcome() -> None:
    kept, began = Kept(), asyncio.Event()

    async def fetch() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ValueError("interrupted") from None

    run = asyncio.create_task(Script([("fetch", {})]).run(attempt(kept).context, fetch))
    await began.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert kept.steps == {}


async def test_a_failure_that_is_too_long_to_be_kept_is_told_all_the_same() -> None:
    class Smallest(Kept):
        async def record(self, name: str, value: bytes, *, tool: bytes | None = None) -> None:
            raise StepTooLarge("limits.output_bytes is 1")

    kept = Smallest()
    script = Script(failing(1))
    assert await script.run(attempt(kept).context, Flaky(ValueError("no")).fetch) == "done"
    assert script.told == [[("ValueError: no", "failed")]]
    assert [event["outcome"] for event in kept.tools] == ["error"]


async def test_a_tool_that_fails_again_and_again_ends_the_run() -> None:
    flaky = Flaky(*[ValueError(f"no {n}") for n in range(50)])
    script = Script(*[failing(2)] * 10)
    with pytest.raises(
        AgentFailed, match=r"the tool fetch failed in 4 answers of the model in a row, lastly: ValueErr"
    ):
        await script.run(attempt().context, flaky.fetch)
    assert len(script.told) == FAILED_ROUNDS  # in each of them both calls failed


async def test_one_that_works_in_between_may_fail_again() -> None:
    flaky = Flaky(*([ValueError("no")] * FAILED_ROUNDS + [None]) * 2)
    script = Script(*[failing(1)] * (2 * FAILED_ROUNDS + 2))
    assert await script.run(attempt().context, flaky.fetch) == "done"


async def test_an_author_may_ask_the_model_to_try_again() -> None:
    flaky = Flaky(ModelRetry("give a full address"))
    script = Script(failing(1), failing(1))
    this = attempt()
    await script.run(this.context, flaky.fetch)
    assert script.told == [[("give a full address", "retried")], [("found", "success")]]
    assert this.kept.tools[0]["error"] == "give a full address"


async def test_asking_for_another_try_is_bounded_as_well() -> None:
    flaky = Flaky(*[ModelRetry("again")] * 50)
    with pytest.raises(AgentFailed, match="in 4 answers of the model in a row, lastly: again"):
        await Script(*[failing(1)] * 10).run(attempt().context, flaky.fetch)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (AgentFailed("enough"), "enough"),
        (BudgetExceeded("spent"), "spent"),
        (NonRetryableError("the card was declined"), "NonRetryableError: the card was declined"),
    ],
    ids=lambda given: type(given).__name__ if isinstance(given, Exception) else "",
)
async def test_an_author_may_end_the_run(error: Exception, told: str) -> None:
    this = attempt()
    with pytest.raises(type(error), match=str(error)) as ended:
        await Script(failing(1)).run(this.context, Flaky(error).fetch)
    assert ended.value is error
    assert this.kept.tools[0]["error"] == told
    assert this.kept.steps == {}, "the next attempt calls it again"


async def test_what_has_begun_beside_a_call_that_ends_the_run_is_recorded_and_nothing_else_begins() -> None:
    all_begun, paid, refused = asyncio.Event(), asyncio.Event(), asyncio.Event()
    began: list[str] = []

    async def pay(what: str) -> str:
        began.append(what)
        await paid.wait()
        return f"paid {what}"

    async def refuse() -> str:
        await all_begun.wait()
        refused.set()
        raise AgentFailed("no more")

    async def refuse_too() -> str:
        all_begun.set()
        await paid.wait()
        raise NonRetryableError("never")

    this = attempt()
    calls: list[tuple[str, dict[str, Any]]] = [("pay", {"what": "rent"}), ("refuse", {}), ("refuse_too", {})]
    run = asyncio.create_task(Script(calls).run(this.context, pay, refuse, refuse_too))
    await refused.wait()
    await asyncio.sleep(0)
    assert not run.done()
    paid.set()
    with pytest.raises((AgentFailed, NonRetryableError), match=r"no more|never"):
        await run
    assert [name.split("/")[1] for name in this.kept.steps] == ["pay"]
    assert {event["tool"]: event["outcome"] for event in this.kept.tools} == {
        "pay": "ok", "refuse": "error", "refuse_too": "error",
    }  # fmt: skip

    async def refuse_at_once() -> str:
        raise AgentFailed("at once")

    with pytest.raises(AgentFailed, match="at once"):
        await Script([("refuse_at_once", {}), ("pay", {"what": "more"})]).run(
            attempt().context, pay, refuse_at_once
        )
    assert began == ["rent"]


class _Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this")


class _Fatal(Exception):
    def __str__(self) -> str:
        raise SystemExit("nor shall anybody else")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (SystemExit(3), "SystemExit: 3"),
        (asyncio.CancelledError(), "it cancelled itself"),
        (_Unspeakable(), "_Unspeakable"),
        (_Fatal(), "_Fatal"),
        (ExceptionGroup("unhandled errors in a TaskGroup", [ValueError("no")]), "ValueError: no"),
        (ValueError("a\ud800b"), "ValueError: a?b"),
        (ValueError("x" * 5000), ("ValueError: " + "x" * 5000)[:1000]),
    ],
    ids=["exit", "cancelled", "unspeakable", "fatal", "task group", "surrogate", "long"],
)
@pytest.mark.parametrize("in_thread", [False, True], ids=["async", "def"])
async def test_whatever_is_raised_is_told(error: BaseException, told: str, in_thread: bool) -> None:
    async def fetch() -> None:
        raise error

    def fetch_in_thread() -> None:
        raise error

    fetch_in_thread.__name__ = "fetch"
    threads = RunThreads(asyncio.get_running_loop())
    script, this = Script([("fetch", {})]), attempt()
    tool: Callable[..., Any] = fetch_in_thread if in_thread else fetch
    assert await script.run(this.context, tool, threads=threads) == "done"
    ((content, outcome),) = script.told[0]
    assert outcome == "failed"
    assert content == this.kept.tools[0]["error"]
    if isinstance(error, Exception):
        assert content == told
    else:  # out of a thread it comes as what a future can carry
        assert told in content or type(error).__name__ in content


async def test_a_secret_of_the_environment_is_not_in_what_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEATHER_API_KEY", "hush-hush-hush")
    this, script = attempt(), Script([("fetch", {})])
    await script.run(this.context, Flaky(ValueError("401 for https://x/?key=hush-hush-hush")).fetch)
    assert this.kept.tools[0]["error"] == "ValueError: 401 for https://x/?key=***"
    assert script.told[0][0][0] == this.kept.tools[0]["error"]


async def test_a_result_that_is_no_json_ends_the_run_since_no_model_can_mend_it() -> None:
    async def fetch() -> object:
        return object()

    this = attempt()
    with pytest.raises(AgentFailed, match="the tool fetch returned what is no object in JSON"):
        await Script([("fetch", {})]).run(this.context, fetch)
    assert this.kept.tools[0]["outcome"] == "error"
    assert this.kept.steps == {}


@pytest.mark.parametrize("number", [2**70 + 1, -(10**400)], ids=["beyond 64 bits", "beyond floats"])
async def test_a_number_is_told_and_recorded_as_it_is_however_large(number: int) -> None:
    async def fetch() -> int:
        return number

    kept = Kept()
    for _ in range(2):
        script = Script([("fetch", {})])
        await script.run(attempt(kept).context, fetch)
        assert script.told == [[(number, "success")]]
    assert len(kept.tools) == 1


async def test_a_result_that_cannot_be_read_again_is_a_failure_and_not_paid_for_twice() -> None:
    kept, calls = Kept(), 0

    async def fetch() -> int:
        nonlocal calls
        calls += 1
        return 10**5000

    for _ in range(2):
        script = Script([("fetch", {})])
        await script.run(attempt(kept).context, fetch)
        assert script.told[0][0][1] == "failed"
    assert calls == 1
    assert [event["outcome"] for event in kept.tools] == ["error"]


async def test_a_result_that_is_too_large_is_told() -> None:
    class Small(Kept):
        async def record(self, name: str, value: bytes, *, tool: bytes | None = None) -> None:
            if len(value) > 100:
                raise StepTooLarge("limits.output_bytes is 100")
            await super().record(name, value, tool=tool)

    async def fetch(size: int) -> str:
        return "x" * size

    kept = Small()
    script = Script([("fetch", {"size": 500})], [("fetch", {"size": 5})])
    await script.run(attempt(kept).context, fetch)
    assert script.told == [
        [("its result has 502 bytes, which are too many: ask for less", "failed")],
        [("xxxxx", "success")],
    ]
    assert [event["outcome"] for event in kept.tools] == ["error", "ok"]
    again = Script(*script.answers)
    await again.run(attempt(kept).context, fetch)
    assert again.told == script.told
    assert len(kept.tools) == 2, "what was too large is not fetched again"


async def test_a_step_of_a_tool_that_is_too_large_to_be_kept_does_not_end_the_run() -> None:
    class Small(Kept):
        async def record(self, name: str, value: bytes, *, tool: bytes | None = None) -> None:
            if name.endswith(":page") and len(value) > 100:
                raise StepTooLarge("the step 'page' returned too much")
            await super().record(name, value, tool=tool)

    async def fetch(size: int, ctx: Context) -> int:
        return len(await ctx.step("page", lambda: "x" * size))

    script = Script([("fetch", {"size": 500})])
    assert await script.run(attempt(Small()).context, fetch) == "done"
    assert script.told == [[("the step 'page' returned too much", "failed")]]


async def test_an_attempt_that_has_lost_its_run_ends() -> None:
    class Lost(Kept):
        async def record(self, name: str, value: bytes, *, tool: bytes | None = None) -> None:
            raise RunSuperseded

    kept = Lost()
    with pytest.raises(RunSuperseded):
        await Script([("fetch", {})]).run(attempt(kept).context, Flaky().fetch)
    assert kept.tools == []


async def test_arguments_that_do_not_fit_are_told_and_nothing_is_called() -> None:
    flaky, this = Flaky(), attempt()
    script = Script([("fetch", {"url": 5, "other": 1})], [("fetch", {"url": "x"})])
    await script.run(this.context, flaky.fetch)
    assert [outcome for _, outcome in script.told[0]] == ["retried"]
    assert flaky.calls == 1
    assert len(this.kept.tools) == 1
