"""What calls of language models took, and the most that one may take."""

from __future__ import annotations

from typing import NamedTuple

NANOS_PER_USD = 1_000_000_000


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

    def plus(self, other: Usage) -> Usage:
        return Usage(*(one + two for one, two in zip(self, other, strict=True)))


class Most(NamedTuple):
    """Upper bounds of what a call will take, made before it is sent."""

    input_tokens: int
    """A token has at least one byte, so the bytes of the request bound them."""
    output_tokens: int
    """The `max_tokens` that it is sent with."""
    cost: int | None
    """Billionths of a US dollar; None where the price of the model is not known."""
