"""What calls of language models took, and what budgets have left, as clients see it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from pydantic import BaseModel
from pytest_aiohttp.plugin import AiohttpClient

from flockd import Budget, Context, Flock
from flockd.app import make_app
from flockd.config import Config
from flockd.domain.usage import NANOS_PER_USD, Most, Usage

from .conftest import Api

MOST = Most(100, 50, NANOS_PER_USD // 100)
TOOK = Usage(1, 60, 20, NANOS_PER_USD // 200, 250)
KNOWN = {"unpriced_requests": 0, "estimated_requests": 0}
TWICE = {"requests": 2, "input_tokens": 120, "output_tokens": 40, "cost_usd": 0.01, "seconds": 0.5, **KNOWN}
ONCE = {"requests": 1, "input_tokens": 60, "output_tokens": 20, "cost_usd": 0.005, "seconds": 0.25, **KNOWN}
NOTHING = dict.fromkeys(TWICE, 0)


class Question(BaseModel):
    """What is asked."""

    model: str = "m"
    calls: int = 1
    """One after the other."""
    together: int = 0
    """Calls that are open at once."""
    cut: int = 0
    """Calls of which nobody knows what they took."""
    priced: bool = True


class Reply(BaseModel):
    """What is said."""


class Idle(BaseModel):
    """What nobody needs a model for."""


def make_flock() -> Flock:
    flock = Flock(name="usage-tests")

    async def think(question: Question, ctx: Context) -> None:
        most = MOST if question.priced else MOST._replace(cost=None)
        for _ in range(question.together):
            await ctx.memory.begin_call(question.model, most)
        for _ in range(question.cut):
            await ctx.memory.end_call(await ctx.memory.begin_call(question.model, most), None)
        for _ in range(question.calls):
            call = await ctx.memory.begin_call(question.model, most)
            await ctx.memory.end_call(call, TOOK if question.priced else TOOK._replace(cost=0))

    @flock.agent
    async def thinker(question: Question, ctx: Context) -> Reply:
        """Asks as often as it is told."""
        await think(question, ctx)
        return Reply()

    @flock.agent
    async def echo(reply: Reply, ctx: Context) -> None:
        """Asks once."""
        await think(Question(model="small"), ctx)

    @flock.agent
    async def idler(idle: Idle) -> None:
        """Asks nobody."""

    return flock


BUDGETS = [
    {"scope": "agent", "requests": 4, "per": "day"},
    {"scope": "tenant", "usd": 100, "tokens": 10_000},
    {"scope": "run", "name": "Thinker", "requests": 3},
]


async def budgeted(aiohttp_client: AiohttpClient, config: Config, *budgets: dict[str, Any]) -> Api:
    """A daemon with these budgets."""
    stored = config.model_dump(include={"store"})
    return Api(
        await aiohttp_client(make_app(Config.model_validate({**stored, "budgets": budgets}), make_flock()))
    )


@pytest.fixture
async def api(aiohttp_client: AiohttpClient, config: Config) -> AsyncIterator[Api]:
    yield await budgeted(aiohttp_client, config, *BUDGETS)


async def ask(api: Api, **payload: Any) -> Any:
    return await api.sync("Question", payload)


async def usage(api: Api, query: str = "") -> Any:
    return (await api.get(f"/api/v1/usage?{query}")).ok()


async def test_usage_is_summed_and_filtered(api: Api) -> None:
    assert await usage(api) == {"totals": NOTHING, "by_agent": {}, "by_model": {}}
    first = await ask(api)
    await ask(api)
    assert await usage(api) == {
        "totals": {
            "requests": 4, "input_tokens": 240, "output_tokens": 80, "cost_usd": 0.02, "seconds": 1.0, **KNOWN
        },
        "by_agent": {"echo": TWICE, "thinker": TWICE},
        "by_model": {"m": TWICE, "small": TWICE},
    }  # fmt: skip
    assert await usage(api, "agent=Thinker") == {
        "totals": TWICE, "by_agent": {"thinker": TWICE}, "by_model": {"m": TWICE},
    }  # fmt: skip
    assert (await usage(api, "model=small"))["by_agent"] == {"echo": TWICE}
    of_first = await usage(api, f"correlation_id={first['correlation_id']}&agent=echo")
    assert of_first == {"totals": ONCE, "by_agent": {"echo": ONCE}, "by_model": {"small": ONCE}}
    assert (await usage(api, "agent=nobody"))["totals"] == NOTHING
    assert (await usage(api, "from=2020-01-01&to=2120-01-01"))["totals"]["requests"] == 4
    assert (await usage(api, "from=2120-01-01"))["totals"] == NOTHING
    assert (await usage(api, "to=2020-01-01T00:30:00Z"))["totals"] == NOTHING
    assert (await usage(api, "from=2120-01-01&to=2020-01-01"))["totals"] == NOTHING


async def test_sums_say_of_how_many_requests_nobody_knows_the_price_or_what_they_took(
    aiohttp_client: AiohttpClient, config: Config
) -> None:
    api = await budgeted(aiohttp_client, config)
    answer = await ask(api, cut=1)
    await ask(api, model="n", calls=2, priced=False)
    found = await usage(api)
    doubts = {"unpriced_requests": 2, "estimated_requests": 1}
    assert found["totals"].items() >= {"requests": 6, "cost_usd": 0.025, **doubts}.items()
    assert found["by_agent"]["thinker"].items() >= {"requests": 4, **doubts}.items()
    assert found["by_agent"]["echo"].items() >= {"requests": 2, **KNOWN}.items()
    assert found["by_model"]["m"].items() >= {"unpriced_requests": 0, "estimated_requests": 1}.items()
    assert found["by_model"]["n"].items() >= {"cost_usd": 0.0, "unpriced_requests": 2}.items()
    correlation = answer["correlation_id"]
    of_it = {"requests": 3, "unpriced_requests": 0, "estimated_requests": 1}
    assert (await usage(api, f"correlation_id={correlation}"))["totals"].items() >= of_it.items()
    status = (await api.get(f"/api/v1/correlations/{correlation}/status")).ok()
    assert status["usage"].items() >= of_it.items()
    (run,) = (await api.get(f"/api/v1/runs?correlation_id={correlation}&agent=thinker")).ok()["runs"]
    run = (await api.get(f"/api/v1/runs/{run['id']}")).ok()
    assert run["usage"].items() >= {"requests": 2, "estimated_requests": 1}.items()
    text = (await api.get("/metrics")).body.decode()
    for line in (
        'flockd_llm_unpriced_requests_total{model="n"} 2.0',
        'flockd_llm_estimated_requests_total{model="m"} 1.0',
    ):
        assert re.search(rf"^{re.escape(line)}$", text, re.MULTILINE), line


@pytest.mark.parametrize("query", ["agents=thinker", "from=yesterday", "correlation_id=7", "limit=1"])
async def test_what_cannot_be_asked(api: Api, query: str) -> None:
    (await api.get(f"/api/v1/usage?{query}")).problem(400, "INVALID_INPUT")


async def test_runs_and_workflows_say_what_they_took(api: Api) -> None:
    answer = await ask(api, calls=2)
    runs = (await api.get(f"/api/v1/runs?correlation_id={answer['correlation_id']}")).ok()["runs"]
    assert {run["agent"]: run["usage"] for run in runs} == {"thinker": TWICE, "echo": ONCE}
    status = (await api.get(f"/api/v1/correlations/{answer['correlation_id']}/status")).ok()
    assert status["usage"]["requests"] == 3
    idle = await api.sync("Idle")
    status = (await api.get(f"/api/v1/correlations/{idle['correlation_id']}/status")).ok()
    assert status["usage"] is None
    unknown = (await api.get("/api/v1/correlations/nothing/status")).ok()
    assert unknown["usage"] is None and set(unknown) == set(status)


async def test_budgets_are_listed_with_what_they_have_left(api: Api) -> None:
    await ask(api, calls=2)
    page = (await api.get("/api/v1/budgets")).ok()
    assert (page["total"], page["limit"], page["offset"]) == (5, 50, 0)
    by_subject = {(one["scope"], one["subject"]): one for one in page["budgets"]}
    assert list(by_subject) == [
        ("agent", "echo"), ("agent", "idler"), ("agent", "thinker"), ("tenant", "default"), ("run", None),
    ]  # fmt: skip
    assert by_subject["agent", "thinker"]["requests"] == {"limit": 4, "spent": 2, "reserved": 0, "left": 2}
    assert by_subject["agent", "idler"]["requests"] == {"limit": 4, "spent": 0, "reserved": 0, "left": 4}
    assert by_subject["agent", "echo"]["window_ends_at"].endswith("T00:00:00.000Z")
    tenant = by_subject["tenant", "default"]
    assert tenant["usd"] == {"limit": 100.0, "spent": 0.015, "reserved": 0.0, "left": 99.985}
    assert tenant["tokens"] == {"limit": 10_000, "spent": 240, "reserved": 0, "left": 9760}
    assert (tenant["requests"], tenant["per"], tenant["window_ends_at"]) == (None, None, None)
    run = by_subject["run", None]
    assert (run["name"], run["requests"]["limit"], run["requests"]["spent"]) == ("thinker", 3, None)
    assert (await api.get("/api/v1/budgets?limit=2&offset=3")).ok()["budgets"] == page["budgets"][3:]


async def test_a_direct_run_past_its_budget_is_a_429(api: Api) -> None:
    body = {"inputs": [{"type": "Question", "payload": {"calls": 5}}]}
    answer = await api.post("/api/v1/agents/thinker/run", body)
    problem = answer.problem(429, "BUDGET_EXCEEDED")
    assert problem["message"].startswith(
        "The budget of this run for thinker is spent: 3 of 3 requests are gone"
    )
    details = problem["details"]
    assert (details["budget"]["scope"], details["budget"]["spent"]) == ("run", 3)
    assert answer.headers["Retry-After"] == "3600", "only a larger budget helps"
    run = (await api.get(f"/api/v1/runs/{details['run_id']}")).ok()
    assert (run["state"], run["error"]["code"], run["usage"]["requests"]) == ("dead", "BUDGET_EXCEEDED", 3)
    again = await api.post("/api/v1/agents/thinker/run", body)
    assert again.problem(429, "BUDGET_EXCEEDED")["details"]["budget"]["scope"] == "agent"
    assert 1 <= int(again.headers["Retry-After"]) <= 86_400


@pytest.mark.parametrize(
    ("budget", "seconds"),
    [
        ({"scope": "agent", "tokens": 149, "per": "day"}, [3600]),  # it will not fit tomorrow, either
        ({"scope": "agent", "tokens": 150}, [3600]),  # nothing is left, for ever
        ({"scope": "agent", "tokens": 150, "per": "hour"}, range(1, 3601)),
    ],
)
async def test_every_refusal_says_when_to_come_back(
    aiohttp_client: AiohttpClient, config: Config, budget: dict[str, Any], seconds: Sequence[int]
) -> None:
    api = await budgeted(aiohttp_client, config, budget)
    answer = await api.post(
        "/api/v1/agents/thinker/run", {"inputs": [{"type": "Question", "payload": {"calls": 2}}]}
    )
    answer.problem(429, "BUDGET_EXCEEDED")
    assert int(answer.headers["Retry-After"]) in seconds


async def test_a_client_comes_back_soon_where_only_open_calls_leave_no_room(
    aiohttp_client: AiohttpClient, config: Config
) -> None:
    api = await budgeted(aiohttp_client, config, {"scope": "agent", "tokens": 299, "per": "day"})
    body = {"inputs": [{"type": "Question", "payload": {"together": 2}}]}
    answer = await api.post("/api/v1/agents/thinker/run", body)
    answer.problem(429, "BUDGET_EXCEEDED")
    assert 1 <= int(answer.headers["Retry-After"]) <= 5


async def test_a_refused_direct_run_frees_its_key(aiohttp_client: AiohttpClient, config: Config) -> None:
    api = await budgeted(aiohttp_client, config, {"scope": "run", "requests": 0})
    body = {"inputs": [{"type": "Question"}]}
    runs = []
    for _ in range(2):
        answer = await api.post("/api/v1/agents/thinker/run", body, headers={"Idempotency-Key": "k"})
        runs.append(answer.problem(429, "BUDGET_EXCEEDED")["details"]["run_id"])
    assert runs[0] != runs[1]


async def test_a_workflow_tells_of_a_spent_budget_as_of_any_failure(api: Api) -> None:
    answer = await ask(api, calls=4)
    (error,) = answer["errors"]
    assert error["agent"] == "thinker" and "is spent" in error["error"]
    event = await api.event(answer["correlation_id"], "budget.exceeded")
    assert event["agent"] == "thinker" and event["data"]["unit"] == "requests"


async def test_metrics_count_by_model(api: Api) -> None:
    await ask(api, calls=4)
    text = (await api.get("/metrics")).body.decode()
    for line in (
        'flockd_llm_requests_total{model="m"} 3.0',
        'flockd_llm_tokens_total{direction="input",model="m"} 180.0',
        'flockd_llm_tokens_total{direction="output",model="m"} 60.0',
        'flockd_llm_cost_usd_total{model="m"} 0.015',
        'flockd_llm_calls_refused_total{scope="run"} 1.0',
    ):
        assert re.search(rf"^{re.escape(line)}$", text, re.MULTILINE), line


async def test_an_agents_own_budget_counts_beside_the_rules(
    aiohttp_client: AiohttpClient, config: Config
) -> None:
    flock = make_flock()

    flock.llm_agent(
        "careful",
        consumes=Question,
        publishes=Reply,
        instructions="Be.",
        budget=Budget(requests=0, per="hour"),
    )
    api = Api(await aiohttp_client(make_app(config, flock)))
    (budget,) = (await api.get("/api/v1/budgets")).ok()["budgets"]
    assert (budget["subject"], budget["per"], budget["requests"]["left"]) == ("careful", "hour", 0)
