"""Services as agents of a daemon that its configuration declares, over its API."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_aiohttp.plugin import AiohttpClient

from flockd import Flock
from flockd.app import make_app
from flockd.config import Config
from flockd.loading import with_tables

from ...api.conftest import Api
from .service import Service, says, silence, text

Serve = Callable[..., Awaitable[Api]]
TYPES = ("Order", "Payment", "Receipt")


@pytest.fixture
def serve(tmp_path: Path, aiohttp_client: AiohttpClient, service: Service) -> Serve:
    """Starts a daemon with these agents, all of which are the service."""

    async def start(*agents: dict[str, Any], **sections: Any) -> Api:
        config = Config.model_validate(
            {
                "store": {"data_dir": tmp_path / "data"},
                "shutdown": {"grace_seconds": 0.1},
                "supervisor": {"retry_base_seconds": 0.01},
                "types": [{"name": name, "fields": "n: int"} for name in TYPES],
                "agents": [
                    {"engine": "http", "url": service.url, "allow_private": True, **agent} for agent in agents
                ],
                **sections,
            }
        )
        return Api(await aiohttp_client(make_app(config, with_tables(config, Flock()))))

    return start


PRICER = {"name": "pricer", "consumes": ["Order"], "publishes": ["Receipt"]}


async def test_an_order_comes_back_as_a_receipt(serve: Serve, service: Service) -> None:
    api = await serve(PRICER)
    service.answer(says({"n": 2}))
    done = await api.sync("Order", {"n": 1}, tags=["new"])
    (receipt,) = done["artifacts"]
    assert (receipt["type"], receipt["payload"], receipt["produced_by"]) == ("Receipt", {"n": 2}, "pricer")
    assert receipt["tags"] == ["new"]
    (request,) = service.requests
    sent = request.json()
    assert (sent["run_id"], sent["correlation_id"]) == (receipt["run_id"], done["correlation_id"])
    (order,) = sent["inputs"]
    assert order == (await api.get(f"/api/v1/artifacts/{order['id']}")).ok()


async def test_it_is_listed_with_its_kind(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRICES_TOKEN", "hunter2-hunter2")
    api = await serve({**PRICER, "headers": {"Authorization": "PRICES_TOKEN"}, "secret_env": "PRICES_TOKEN"})
    answer = await api.get("/api/v1/agents")
    (agent,) = answer.ok()["agents"]
    assert (agent["kind"], agent["outputs"]) == ("http", ["Receipt"])
    assert b"hunter2" not in answer.body


async def test_an_invalid_payload_fails_the_run(serve: Serve, service: Service) -> None:
    api = await serve(PRICER)
    service.answer(says({"n": "many"}))
    done = await api.sync("Order", {"n": 1})
    assert (done["state"], done["artifacts"]) == ("failed", [])
    (error,) = done["errors"]
    assert error["agent"] == "pricer"
    assert error["error"].startswith("pricer returned an invalid Receipt: payload.n: ")


async def test_a_failure_is_tried_again_as_often_as_the_agent_says(serve: Serve, service: Service) -> None:
    api = await serve({**PRICER, "retries": 2})
    service.answer(text("", 500), text("", 409), says({"n": 2}))
    done = await api.sync("Order", {"n": 1})
    assert [one["payload"] for one in done["artifacts"]] == [{"n": 2}]
    sent = [request.json() for request in service.requests]
    assert [one["attempt"] for one in sent] == [1, 2, 3]
    assert len({request.headers["Idempotency-Key"] for request in service.requests}) == 1


async def test_what_a_service_refuses_for_good_is_asked_once(serve: Serve, service: Service) -> None:
    api = await serve({**PRICER, "retries": 2})
    service.answer(says({"detail": "There is no price of that."}, 404))
    done = await api.sync("Order", {"n": 1})
    (error,) = done["errors"]
    assert error["error"].endswith("answered 404 Not Found: There is no price of that.")
    assert len(service.requests) == 1


async def test_an_agent_may_have_such_a_refusal_tried_again(serve: Serve, service: Service) -> None:
    api = await serve({**PRICER, "retries": 2, "backoff": {"http_404": "10ms"}})
    service.answer(text("not yet", 404), text("never", 410))
    done = await api.sync("Order", {"n": 1})
    (error,) = done["errors"]
    assert error["error"].endswith("answered 410 Gone: never")
    assert len(service.requests) == 2


async def test_not_now_takes_none_of_its_retries(serve: Serve, service: Service) -> None:
    api = await serve(PRICER)
    service.answer(text("", 429, Retry_After="0"), says({"n": 2}))
    done = await api.sync("Order", {"n": 1})
    assert done["state"] == "completed"
    assert [request.json()["attempt"] for request in service.requests] == [1, 1]


async def test_a_direct_run_that_fails_says_why(
    serve: Serve, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRICES_TOKEN", "Bearer hunter2-hunter2")
    api = await serve({**PRICER, "headers": {"Authorization": "PRICES_TOKEN"}})
    service.answer(says({"detail": "hunter2-hunter2 is no token"}, 401))
    answer = await api.post("/api/v1/agents/pricer/run", {"inputs": [{"type": "Order", "payload": {"n": 1}}]})
    problem = answer.problem(500, "AGENT_FAILED")
    assert problem["message"] == (
        f"the service of pricer ({service.url}) answered 401 Unauthorized: *** is no token"
    )


async def test_a_slow_service_meets_the_timeout(serve: Serve, service: Service) -> None:
    api = await serve({**PRICER, "timeout": "0.2s"})
    service.answer(silence)
    done = await api.sync("Order", {"n": 1})
    assert [one["error"] for one in done["errors"]] == ["It did not end within 0.2 s."]
    async with asyncio.timeout(1):
        await service.left.wait()


async def test_cancelling_its_run_closes_the_connection(serve: Serve, service: Service) -> None:
    api = await serve(PRICER)
    service.answer(silence)
    await api.publish("Order", {"n": 1})
    await service.reached()
    run_id = service.requests[0].json()["run_id"]
    assert (await api.post(f"/api/v1/runs/{run_id}/cancel")).ok()["state"] == "cancelled"
    async with asyncio.timeout(1):
        await service.left.wait()


async def test_one_artifact_of_each_type_of_a_join(serve: Serve, service: Service) -> None:
    api = await serve({**PRICER, "consumes": ["Order", "Payment"], "join": {"by": "n", "within": "1h"}})
    service.answer(says({"n": 2}))
    await api.publish("Payment", {"n": 1})
    await api.publish("Order", {"n": 1})
    await service.reached()
    inputs = service.requests[0].json()["inputs"]
    assert [(one["type"], one["payload"]) for one in inputs] == [("Order", {"n": 1}), ("Payment", {"n": 1})]


async def test_all_artifacts_of_a_batch(serve: Serve, service: Service) -> None:
    api = await serve({**PRICER, "batch": {"size": 3, "timeout": "1h"}})
    service.answer(says({"artifacts": [{"type": "Receipt", "payload": {"n": n}} for n in range(3)]}))
    for n in range(3):
        await api.publish("Order", {"n": n})
    await service.reached()
    sent = service.requests[0].json()
    assert [one["payload"]["n"] for one in sent["inputs"]] == [0, 1, 2]
    assert (await api.event(sent["correlation_id"], "run.completed"))["run_id"] == sent["run_id"]
    items = (await api.get("/api/v1/artifacts?type=Receipt")).ok()["items"]
    assert [one["payload"]["n"] for one in items] == [0, 1, 2]


async def test_the_limit_of_its_answer_is_that_of_a_runs_artifacts(serve: Serve, service: Service) -> None:
    api = await serve(PRICER, limits={"output_bytes": 2048})
    service.answer(text('{"n":' + " " * 4096 + "1}"))
    done = await api.sync("Order", {"n": 1})
    (error,) = done["errors"]
    assert error["error"].endswith("answered with more than 2048 bytes; limits.output_bytes is 2048")


async def test_a_name_of_this_machine_fails_the_run(serve: Serve, service: Service) -> None:
    """At load it is only a name; what it is shows when it is asked for."""
    api = await serve({**PRICER, "url": f"http://ip6-localhost:{service.port}/", "allow_private": False})
    done = await api.sync("Order", {"n": 1})
    (error,) = done["errors"]
    assert "private address" in error["error"] or "its name is not known" in error["error"]
    assert service.requests == []


async def test_many_at_once(serve: Serve, service: Service) -> None:
    """As many as the agent may run: none of them waits for the connection of another."""
    api = await serve({**PRICER, "max_concurrency": 150})
    service.answer(silence)
    for _ in range(150):
        await api.publish("Order", {"n": 1})
    await service.reached(150)
    assert len({request.peer for request in service.requests}) == 150
