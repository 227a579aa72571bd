"""GET /api/v1/timers, and the agents that only their schedules start."""

from __future__ import annotations

import re

import pytest
from pytest_aiohttp.plugin import AiohttpClient

from flockd import Daily, Every, Once
from flockd.app import make_app
from flockd.config import Config

from .conftest import TIME, Api
from .flocks import Gate, Order, Receipt, make_flock

PATH = "/api/v1/timers"


@pytest.fixture
async def timed(aiohttp_client: AiohttpClient, config: Config, gate: Gate) -> Api:
    """The application with timers."""
    flock = make_flock(gate)
    flock.schedule("nightly", Daily("02:30", tz="Europe/Berlin", jitter="1m"), publish=Order(n=3))
    flock.schedule("at-once", Once("2026-01-01", catch_up="once"), publish=Order(n=4))

    @flock.agent(schedule=Every("1h", max_repeats=9))
    async def hourly() -> Receipt:
        """Starts by itself."""
        return Receipt(n=60)

    return Api(await aiohttp_client(make_app(config, flock)))


async def test_none(api: Api) -> None:
    assert (await api.get(PATH)).ok() == {"timers": [], "total": 0, "limit": 50, "offset": 0}


async def test_every_timer_by_name(timed: Api) -> None:
    answer = (await timed.get(PATH)).ok()
    assert (answer["total"], answer["limit"], answer["offset"]) == (3, 50, 0)
    once, hourly, nightly = answer["timers"]
    assert list(once) == ["name", "schedule", "target", "next_due_at", "fired", "last_fired_at", "skipped"]
    assert (once["name"], once["next_due_at"], once["fired"]) == ("at-once", None, 1)
    assert TIME.fullmatch(once["last_fired_at"])
    assert hourly["schedule"] == "every 1h, at most 9 times"
    assert hourly["target"] == {"publish": None, "run": "hourly"}
    assert (hourly["fired"], hourly["last_fired_at"], hourly["skipped"]) == (0, None, 0)
    assert nightly["schedule"] == "daily at 02:30 (Europe/Berlin), up to 1m later"
    assert nightly["target"] == {"publish": "Order", "run": None}
    assert re.fullmatch(r"....-..-..T0[01]:..:..\....Z", nightly["next_due_at"])


async def test_pages(timed: Api) -> None:
    every = (await timed.get(PATH)).ok()["timers"]
    page = (await timed.get(f"{PATH}?limit=1&offset=1")).ok()
    assert page == {"timers": every[1:2], "total": 3, "limit": 1, "offset": 1}


async def test_a_firing_is_a_workflow_of_its_name(timed: Api) -> None:
    (workflow,) = (await timed.get("/api/v1/correlations?name=at-once")).ok()["correlations"]
    assert (workflow["dialect"], workflow["name"]) == ("native", "at-once")
    event = await timed.event(workflow["correlation_id"], "timer.fired")
    assert event["data"] == {
        "timer": "at-once",
        "fired": 1,
        "due_at": "2026-01-01T00:00:00.000Z",
        "next_due_at": None,
    }


async def test_an_agent_that_its_schedule_starts_can_be_run_by_hand(timed: Api) -> None:
    """Without inputs, by the native route and by the one of document 001; and it is listed as taking none."""
    agents = (await timed.get("/api/v1/agents")).ok()["agents"]
    (hourly,) = [agent for agent in agents if agent["name"] == "hourly"]
    assert hourly["subscriptions"] == []
    assert hourly["input_schema"] == {"type": "object", "properties": {}, "required": []}
    headers = {"X-Idempotency-Key": "once"}
    answer = (await timed.post("/api/v1/agents/hourly/run", {"inputs": []}, headers)).ok()
    assert [one["payload"] for one in answer["artifacts"]] == [{"n": 60}]
    again = await timed.post("/api/v1/agents/hourly/run", {"inputs": []}, headers)
    assert again.ok() == answer
    refused = await timed.post("/api/v1/agents/hourly/run", {"inputs": [{"type": "Order"}]})
    assert refused.problem(400, "INVALID_INPUT")["detail"] == "inputs: hourly takes no artifact"
    run = (await timed.post("/run/agent", {"agent_name": "hourly", "inputs": {}})).ok()
    assert (run["status"], run["result"]) == ("completed", {"n": 60})
    odd = await timed.post("/run/agent", {"agent_name": "hourly", "inputs": {"n": 1}})
    assert odd.problem(400, "INVALID_INPUT")["details"]["field"] == "inputs.n"
    explained = await timed.get(f"/api/v1/explain?artifact={answer['artifacts'][0]['id']}&agent=hourly")
    assert explained.ok()["woke"] is False
    graph = (await timed.get(f"/api/v1/correlations/{answer['correlation_id']}/graph")).ok()
    assert len(graph["nodes"]) == 2
