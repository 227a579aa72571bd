"""Failures that no retry can help: the run is dead at once, unless its agent says otherwise of their kind."""

import asyncio
from collections.abc import Mapping

import pytest

from flockd import NonRetryableError
from flockd.domain.retry import NEVER
from flockd.errors import AgentFailed

from ..rig import Rig, Rigs, agent
from .test_attempts import wake


class Declined(NonRetryableError):
    pass


def together(*errors: Exception) -> ExceptionGroup:
    """As a TaskGroup raises them."""
    return ExceptionGroup("unhandled errors in a TaskGroup", errors)


async def failed(rigs: Rigs, error: BaseException, backoff: Mapping[str, float] | None = None) -> Rig:
    """A board whose only run has failed once, and may be tried again."""
    rig = await rigs(agent("ab", "A", retries=3, backoff=backoff or {}))
    await rig.publish("A")
    (await rig.call("ab")).fail(error)
    await rig.until(lambda: rig.data("run.failed") or rig.data("run.retrying"))
    return rig


@pytest.mark.parametrize(
    ("error", "backoff", "message"),
    [
        (NonRetryableError("the card was declined"), {}, "NonRetryableError: the card was declined"),
        (Declined("402"), {"*": 1.0}, "Declined: 402"),
        (together(ValueError("x"), Declined("402")), {}, "Declined: 402"),
        (AgentFailed("The service says 404.", is_final=True), {}, "The service says 404."),
        (together(AgentFailed("The service says 404.", is_final=True)), {}, "The service says 404."),
        (together(KeyError("x")), {"LookupError": NEVER}, "KeyError: 'x'"),
        (ValueError("no such order"), {"ValueError": NEVER, "*": 1.0}, "ValueError: no such order"),
        (AgentFailed("The service says 503.", kind="http_503"), {"http_503": NEVER}, "The service says 503."),
    ],
)
async def test_a_run_is_dead_at_once_whatever_retries_are_left(
    rigs: Rigs, error: BaseException, backoff: dict[str, float], message: str
) -> None:
    rig = await failed(rigs, error, backoff)
    assert rig.data("run.failed") == [
        {"attempt": 1, "error": {"code": "AGENT_FAILED", "message": message}},
    ]
    assert rig.data("run.retrying") == []
    await rig.event("correlation.failed")
    assert rig.busy("ab") == 0


@pytest.mark.parametrize(
    ("error", "backoff"),
    [
        (Declined("402"), {"Declined": 100.0}),
        (AgentFailed("The service says 404.", kind="http_404", is_final=True), {"http_404": 100.0}),
        (together(ValueError("x"), KeyError("y")), {}),
    ],
)
async def test_what_its_agent_wants_tried_again_is(
    rigs: Rigs, error: BaseException, backoff: dict[str, float]
) -> None:
    rig = await failed(rigs, error, backoff)
    assert [data["attempt"] for data in rig.data("run.retrying")] == [2]
    await wake(rig)
    assert (await rig.call("ab")).context.attempt == 2


async def test_it_can_be_started_again_by_hand(rigs: Rigs) -> None:
    rig = await failed(rigs, NonRetryableError("the card was declined"))
    (run_id,) = {event.run_id for event in rig.events if event.kind == "run.failed"}
    assert run_id is not None
    await rig.retry(run_id)
    again = await rig.call("ab")
    assert again.context.attempt == 2
    again.fail()
    await rig.until(lambda: [one["reason"] for one in rig.data("run.retrying")] == ["redrive", "error"])


async def test_one_that_was_caught_says_nothing(rigs: Rigs) -> None:
    """A failure is what ends the attempt, not what came before it."""
    try:
        raise NonRetryableError("an attempt of its own to mend it")
    except NonRetryableError as error:
        later = ValueError("later")
        later.__context__ = error
    rig = await failed(rigs, later)
    assert rig.data("run.failed") == []


async def test_a_timeout_is_one_whatever_the_engine_makes_of_it(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A", retries=1, timeout_seconds=0.05))
    await rig.publish("A")
    call = await rig.call("ab")
    call.stubborn = True
    async with asyncio.timeout(20):
        await call.cancelled.wait()
    call.fail(NonRetryableError("interrupted"))
    await rig.event("run.retrying")
    assert [data["reason"] for data in rig.data("run.retrying")] == ["timeout"]


async def test_a_step_that_cannot_be_kept_is_not_done_again(rigs: Rigs) -> None:
    """What it did is done; another attempt would do it again, and could not keep it either."""
    rig = await rigs(agent("ab", "A", retries=3), output_bytes=100)
    await rig.publish("A")
    call = await rig.call("ab")
    with pytest.raises(ValueError, match=r"limits\.output_bytes is 100") as refused:
        await call.context.step("buy", lambda: "x" * 200)
    call.fail(refused.value)
    await rig.event("run.failed")
    assert rig.data("run.retrying") == []


async def test_outputs_that_are_too_large_are_not_made_again(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A", retries=3), output_bytes=20)
    await rig.publish("A")
    (await rig.call("ab")).give(B=10**30)
    await rig.event("run.failed")
    (data,) = rig.data("run.failed")
    assert data["error"]["message"] == "ab returned 37 bytes; limits.output_bytes is 20."
    assert rig.data("run.retrying") == []
