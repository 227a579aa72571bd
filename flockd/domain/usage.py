"""What calls of language models took, and the most that one may take."""

from __future__ import annotations

from dataclasses import dataclass
from operator import add
from typing import Any, NamedTuple

NANOS_PER_USD = 1_000_000_000
_PLAUSIBLE_MAX = 10**13
"""No call takes so much of anything; sums of a million such calls still fit into 64 bits."""


class Usage(NamedTuple):
    """What one call, or many of them, took."""

    requests: int = 0
    """Calls that were sent, whatever came of them."""
    input_tokens: int = 0
    output_tokens: int = 0
    cost: int = 0
    """Billionths of a US dollar, so that sums are exact; 0 for a model without a known price."""
    ms: int = 0
    """From sending to the last byte."""
    unpriced: int = 0
    """Those of the requests whose price nobody knows: the cost is that of the others. Only `Call.charge` says it."""
    estimated: int = 0
    """Those of the requests that are charged the most that they might have taken. Only `Call.charge` says it."""

    def plus(self, other: Usage) -> Usage:
        return Usage(*map(add, self, other))

    @property
    def is_plausible(self) -> bool:
        """Whether it can be believed: what a provider says may be anything, and would free what others spent."""
        return all(type(amount) is int and 0 <= amount <= _PLAUSIBLE_MAX for amount in self)

    def document(self) -> dict[str, Any]:
        """The wire form, ready for orjson."""
        return {
            "requests": self.requests,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cost_usd": self.cost / NANOS_PER_USD,
            "seconds": self.ms / 1000,
            "unpriced_requests": self.unpriced,
            "estimated_requests": self.estimated,
        }


def document_of(usage: Usage | None) -> dict[str, Any] | None:
    """The wire form of what something took; None where it made no call."""
    return None if usage is None else usage.document()


class Most(NamedTuple):
    """Upper bounds of what a call will take, made before it is sent."""

    input_tokens: int
    """A token has at least one byte, so the bytes of the request bound them."""
    output_tokens: int
    """The `max_tokens` that it is sent with."""
    cost: int | None
    """Billionths of a US dollar; None where the price of the model is not known."""

    @property
    def plausible(self) -> Most:
        """The same, within what any call takes: settings may say what no sum of 64 bits holds."""
        return Most(
            _within(self.input_tokens),
            _within(self.output_tokens),
            None if self.cost is None else _within(self.cost),
        )


def _within(amount: int) -> int:
    return max(0, min(amount, _PLAUSIBLE_MAX))


@dataclass(slots=True)
class Call:
    """One call of a language model. Only the writer changes one that is stored, and only inside a transaction."""

    id: str
    run_id: str
    correlation_id: str
    agent: str
    tenant: str
    model: str
    most: Most
    began_at: int
    """It counts in the hour, and in the window of each budget, in which this is."""
    taken: Usage | None = None
    """What it was charged; None while it is open."""

    def charge(self, taken: Usage | None, ms: int) -> Usage:
        """What it is charged where it took this: nothing where it was never sent.

        Where nobody knows what it took (None), or what is told cannot be believed, it is the most that it might have
        taken, within the `ms` that it was open.
        """
        most = self.most
        if taken is None or not taken.is_plausible:
            charged = Usage(1, most.input_tokens, most.output_tokens, most.cost or 0, ms, estimated=1)
        elif not taken.requests:
            return Usage()
        else:
            charged = taken._replace(estimated=0)
        return charged._replace(unpriced=charged.requests if most.cost is None else 0)
