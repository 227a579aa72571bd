"""Services in tests: each is a function of the test's, and nothing is sent."""

from typing import Any

import pytest
from pydantic import BaseModel

from flockd import Flock
from flockd.errors import AgentFailed
from flockd.testing import flock_test


class Order(BaseModel):
    item: str


class Price(BaseModel):
    price: float


class Refusal(BaseModel):
    reason: str


def pricing(**options: Any) -> Flock:
    flock = Flock()
    url = "https://prices.example/runs"
    flock.http_agent("pricer", consumes=Order, publishes=(Price, Refusal), url=url, **options)
    return flock


async def test_a_function_answers_in_place_of_a_service() -> None:
    posted: list[dict[str, Any]] = []

    async def price(run: dict[str, Any]) -> dict[str, Any]:
        posted.append(run)
        return {"artifacts": [{"type": "Price", "payload": Price(price=2.5)}]}

    (one,) = await pricing().test_run(Order(item="pen"), services={"pricer": price})
    assert one.value == Price(price=2.5)
    (run,) = posted
    assert (run["agent"], run["attempt"]) == ("pricer", 1)
    assert run["inputs"][0]["payload"] == {"item": "pen"}


async def test_nothing_is_published_of_nothing() -> None:
    assert await pricing().test_run(Order(item="pen"), services={"pricer": lambda run: None}) == []


async def test_what_it_raises_fails_the_attempt() -> None:
    def price(run: dict[str, Any]) -> dict[str, Any]:
        if run["attempt"] == 1:
            raise ConnectionError("nobody is there")
        return {"artifacts": [{"type": "Refusal", "payload": {"reason": "late"}}]}

    flock = pricing(retries=1, backoff="1m")
    async with flock_test(flock, services={"pricer": price}) as board:
        await board.publish(Order(item="pen"))
        await board.idle()
        assert await board.artifacts(Refusal) == []
        await board.advance("2m")
        assert [one.value for one in await board.artifacts(Refusal)] == [Refusal(reason="late")]


async def test_an_answer_of_another_type_fails_as_that_of_a_service_does() -> None:
    with pytest.raises(AgentFailed, match="does not say whether it is Price or Refusal"):
        await pricing().test_run(Order(item="pen"), services={"pricer": lambda run: {"price": 1.0}})


async def test_without_one_no_network_is_asked() -> None:
    with pytest.raises(AgentFailed, match=r'is not asked by tests: say services=\{"pricer": lambda run: …\}'):
        await pricing(retries=3).test_run(Order(item="pen"))


@pytest.mark.parametrize(
    ("given", "error", "sentence"),
    [
        ({"pricr": lambda run: None}, ValueError, r"no agent pricr is a service: did you mean pricer\?"),
        ({"zzzzzz": lambda run: None}, ValueError, "no agent zzzzzz is a service: those are pricer"),
        ({"pricer": {"price": 2.5}}, TypeError, "is no service: give pricer a function of what is posted"),
    ],
    ids=["misspelt", "unknown", "no function"],
)
async def test_what_is_no_service_is_refused_at_once(
    given: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        await pricing().test_run(Order(item="pen"), services=given)
