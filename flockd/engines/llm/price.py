"""What calls of a model cost, in billionths of a US dollar."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_CEILING, Decimal
from math import ceil
from typing import TYPE_CHECKING, Any

from flockd.domain.usage import NANOS_PER_USD
from flockd.engines.llm.choice import Choice
from flockd.engines.outside import ModelLimits

if TYPE_CHECKING:
    from pydantic_ai.usage import RequestUsage

Price = Callable[["RequestUsage"], int]
"""Of one call, rounded up."""

_TOKENS_PER_PRICE = 1_000_000


def price_of(choice: Choice, limits: ModelLimits | None) -> Price | None:
    """By the table `[[models]]`, else by what genai-prices knows, which comes with pydantic-ai; else None.

    A server at a `base_url` is known by its address alone: whatever a model is called there, it may be anything.
    """
    if limits is not None and limits.input_usd is not None and limits.output_usd is not None:
        return _fixed(limits.input_usd, limits.output_usd)
    return _listed(choice)


def _fixed(input_usd: float, output_usd: float) -> Price:
    """From US dollars for a million tokens; a cached token costs what any other does."""
    nanos_per_usd = NANOS_PER_USD // _TOKENS_PER_PRICE

    def price(usage: RequestUsage) -> int:
        usd_per_million = usage.input_tokens * input_usd + usage.output_tokens * output_usd
        return ceil(round(usd_per_million * nanos_per_usd, 3))  # 0.1 + 0.2 is no reason to round up

    return price


def _listed(choice: Choice) -> Price | None:
    """As genai-prices has it, which knows what cached tokens cost."""
    from genai_prices import calc_price
    from pydantic_ai.usage import RequestUsage

    where: dict[str, Any] = (
        {"provider_id": choice.provider} if choice.base_url is None else {"provider_api_url": choice.base_url}
    )
    model = choice.served_name if choice.base_url is not None else choice.name.partition(":")[2]

    def price(usage: RequestUsage) -> int:
        try:
            usd: Decimal = calc_price(usage, model, **where).total_price
        except ValueError:  # more cached tokens than tokens, says the provider
            usage = RequestUsage(input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)
            usd = calc_price(usage, model, **where).total_price
        return int((usd * NANOS_PER_USD).to_integral_value(ROUND_CEILING))

    try:
        price(RequestUsage(input_tokens=1, output_tokens=1))
    except (LookupError, ValueError):
        return None
    return price
