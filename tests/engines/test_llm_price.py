"""What calls cost: by the table of the configuration, else by what the library knows, else nothing is known."""

import pytest
from pydantic_ai.usage import RequestUsage

from flockd.engines.llm.choice import Choice
from flockd.engines.llm.price import price_of
from flockd.engines.outside import ModelLimits

GPT_4O = Choice("openai:gpt-4o")


def usage(input: int, output: int, cached: int = 0) -> RequestUsage:
    return RequestUsage(input_tokens=input, output_tokens=output, cache_read_tokens=cached)


@pytest.mark.parametrize(
    ("input", "output", "nanos"),
    [(0, 0, 0), (1, 0, 2_500), (0, 1, 10_000), (1000, 100, 3_500_000)],
)
def test_a_price_of_the_table_is_for_a_million_tokens(input: int, output: int, nanos: int) -> None:
    price = price_of(GPT_4O, ModelLimits("openai:gpt-4o", input_usd=2.5, output_usd=10.0))
    assert price is not None
    assert price(usage(input, output)) == nanos


def test_a_fraction_of_a_billionth_is_rounded_up_and_an_error_of_floats_is_not() -> None:
    price = price_of(GPT_4O, ModelLimits("openai:gpt-4o", input_usd=0.0001, output_usd=0.3))
    assert price is not None
    assert price(usage(1, 0)) == 1
    assert price(usage(0, 1_000_000)) == 300_000_000


def test_what_is_known_of_a_model_holds_without_a_table_and_cached_tokens_cost_less() -> None:
    price = price_of(GPT_4O, ModelLimits("openai:gpt-4o", max_concurrency=1))
    assert price is not None
    full, cached = price(usage(1000, 100)), price(usage(1000, 100, cached=1000))
    assert 0 < cached < full
    assert full == 1000 * 2_500 + 100 * 10_000


def test_usage_that_cannot_be_is_priced_by_its_totals() -> None:
    price = price_of(GPT_4O, None)
    assert price is not None
    assert price(usage(10, 0, cached=1000)) == price(usage(10, 0))


@pytest.mark.parametrize(
    "choice", [Choice("openai:nonesuch"), Choice("test"), Choice("openai:gpt-4o", "http://127.0.0.1:1/v1")]
)
def test_nothing_is_known_of_other_models_nor_of_what_another_server_calls_one(choice: Choice) -> None:
    assert price_of(choice, None) is None
