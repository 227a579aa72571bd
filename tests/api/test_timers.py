"""GET /api/v1/timers."""

from __future__ import annotations

import re
from functools import partial

import pytest
from pytest_aiohttp.plugin import AiohttpClient

from flockd import app
from flockd.board import Board
from flockd.config import Config
from flockd.domain.schedule import Daily, Every, Once
from flockd.domain.timer import Publishes, Starts, Timer

from .conftest import TIME, Api
from .flocks import Gate, make_flock

PATH = "/api/v1/timers"
TIMERS = (
    Timer("nightly", Daily("02:30", tz="Europe/Berlin", jitter="1m"), Publishes("Order", b'{"n":3}')),
    Timer("at-once", Once("2026-01-01", catch_up="once"), Publishes("Order", b'{"n":4}')),
    Timer("hourly", Every("1h", max_repeats=9), Starts("clerk")),
)


@pytest.fixture
async def timed(
    aiohttp_client: AiohttpClient, config: Config, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> Api:
    """The application with timers."""
    monkeypatch.setattr(app, "Board", partial(Board, timers=TIMERS))
    return Api(await aiohttp_client(app.make_app(config, make_flock(gate))))


async def test_none(api: Api) -> None:
    assert (await api.get(PATH)).ok() == {"timers": [], "total": 0, "limit": 50, "offset": 0}


async def test_every_timer_by_name(timed: Api) -> None:
    answer = (await timed.get(PATH)).ok()
    assert (answer["total"], answer["limit"], answer["offset"]) == (3, 50, 0)
    once, hourly, nightly = answer["timers"]
    assert list(once) == ["name", "schedule", "target", "next_due_at", "fired", "last_fired_at"]
    assert (once["name"], once["next_due_at"], once["fired"]) == ("at-once", None, 1)
    assert TIME.fullmatch(once["last_fired_at"])
    assert hourly["schedule"] == "every 1h, at most 9 times"
    assert hourly["target"] == {"publish": None, "run": "clerk"}
    assert (hourly["fired"], hourly["last_fired_at"]) == (0, None)
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
