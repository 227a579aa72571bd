"""Retries: which failures are tried again, and after how long."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flockd.domain.retry import (
    NEVER,
    NonRetryableError,
    delay_seconds,
    first_pause_seconds,
    kinds_of,
    meant,
)
from flockd.errors import AgentFailed


class Fixed(random.Random):
    """Always the same draw."""

    def __init__(self, draw: float) -> None:
        super().__init__()
        self.draw = draw

    def random(self) -> float:
        return self.draw


def test_delays_double_up_to_the_most() -> None:
    highest = [delay_seconds(failures, 1.0, 10.0, rng=Fixed(1.0)) for failures in range(1, 7)]
    assert highest == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_the_jitter_takes_at_most_half() -> None:
    assert [delay_seconds(2, 1.0, 10.0, rng=Fixed(draw)) for draw in (0.0, 0.5, 1.0)] == [1.0, 1.5, 2.0]


@given(st.integers(1, 10_000), st.floats(0.001, 100), st.floats(0.001, 1000))
def test_a_delay_stays_between_half_and_all_of_its_ceiling(failures: int, base: float, most: float) -> None:
    ceiling = min(most, base * 2.0 ** min(failures - 1, 32))
    assert ceiling / 2 <= delay_seconds(failures, base, most) <= ceiling


# -- what is tried again at all -----------------------------------------------------------------------------


class Declined(NonRetryableError):
    pass


def pause(error: BaseException, **backoff: float) -> float:
    """The first pause of a failure, where the setting says 7 seconds."""
    said = {"*" if kind == "rest" else kind: seconds for kind, seconds in backoff.items()}
    return first_pause_seconds(kinds_of(meant(error)), said, 7.0)


@pytest.mark.parametrize(
    ("error", "backoff", "seconds"),
    [
        (ValueError(), {}, 7.0),
        (ValueError(), {"rest": 1.0}, 1.0),
        (UnicodeError(), {"ValueError": 2.0, "rest": 1.0}, 2.0),
        (UnicodeError(), {"Exception": 3.0, "ValueError": 2.0}, 2.0),
        (ValueError(), {"ValueError": NEVER}, NEVER),
        (NonRetryableError("no"), {}, NEVER),
        (Declined("no"), {"rest": 1.0, "Exception": 2.0}, NEVER),
        (Declined("no"), {"NonRetryableError": 1.0}, 1.0),
        (Declined("no"), {"Declined": 1.0}, 1.0),
        (AgentFailed("no"), {"AgentFailed": 1.0, "rest": 2.0}, 2.0),
        (AgentFailed("no", is_final=True), {"rest": 2.0}, NEVER),
        (AgentFailed("no", kind="http_404", is_final=True), {"rest": 2.0}, NEVER),
        (AgentFailed("no", kind="http_404", is_final=True), {"http_404": 1.0}, 1.0),
        (AgentFailed("no", kind="http_503"), {"http_503": 1.0}, 1.0),
    ],
)
def test_what_the_agent_says_of_a_kind_holds_else_what_the_failure_says(
    error: BaseException, backoff: dict[str, float], seconds: float
) -> None:
    assert pause(error, **backoff) == seconds


def test_one_of_several_failures_that_no_retry_can_help_stands_for_all() -> None:
    declined = Declined("no")
    together = ExceptionGroup("several", [ValueError(), ExceptionGroup("more", [KeyError(), declined])])
    assert meant(together) is declined
    harmless = ExceptionGroup("several", [ValueError(), KeyError()])
    assert meant(harmless) is harmless


def test_a_failure_in_a_group_of_its_own_is_meant_itself() -> None:
    assert pause(ExceptionGroup("", [ExceptionGroup("", [UnicodeError()])]), ValueError=2.0) == 2.0
    assert pause(ExceptionGroup("", [UnicodeError(), KeyError()]), ValueError=2.0) == 7.0


def test_it_says_why_in_its_own_words_or_in_those_of_its_cause() -> None:
    def raised(error: BaseException, cause: BaseException | None) -> str:
        with pytest.raises(type(error)) as caught:
            raise error from cause
        return str(caught.value)

    assert raised(NonRetryableError("the card was declined"), ValueError("402")) == "the card was declined"
    assert raised(Declined(), ValueError("402")) == "ValueError: 402"
    assert raised(Declined(), None) == ""
