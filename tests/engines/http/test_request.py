"""What a service is sent: the run, headers from the environment, a signature, and a key by which it knows a repeat."""

from __future__ import annotations

import orjson
import pytest
from standardwebhooks.webhooks import Webhook

from flockd.errors import AgentFailed

from .conftest import CORRELATION_ID, ORDER, RUN_ID, Agent
from .service import Service, says, text


async def test_the_run_with_its_inputs_as_the_api_shows_them(agent: Agent, service: Service) -> None:
    await agent.run(
        ORDER, ORDER._replace(id="other", payload=b'{"n":2,"big":12345678901234567890123}'), attempt=3
    )
    (request,) = service.requests
    assert request.headers["Content-Type"] == "application/json"
    document = request.json()
    assert list(document) == ["agent", "run_id", "correlation_id", "attempt", "inputs"]
    assert document["agent"] == "pricer"
    assert (document["run_id"], document["correlation_id"], document["attempt"]) == (
        RUN_ID,
        CORRELATION_ID,
        3,
    )
    assert document["inputs"][0] == orjson.loads(orjson.dumps(ORDER.document()))
    assert (
        b'"payload":{"n":2,"big":12345678901234567890123}' in request.body
    )  # as it is stored, to the letter


async def test_every_attempt_has_the_runs_key(agent: Agent, service: Service) -> None:
    for attempt in (1, 2):
        await agent.run(attempt=attempt)
    keys = [(each.headers["Idempotency-Key"], each.headers["webhook-id"]) for each in service.requests]
    assert keys == [(RUN_ID, RUN_ID)] * 2


async def test_headers_come_from_the_environment(
    agent: Agent, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRICES_TOKEN", " Bearer hunter2-hunter2\n")
    agent.options["headers"] = {"Authorization": "PRICES_TOKEN", "X-Key": "PRICES_TOKEN"}
    await agent.run()
    (request,) = service.requests
    assert request.headers["Authorization"] == request.headers["X-Key"] == "Bearer hunter2-hunter2"


@pytest.mark.parametrize("value", [None, "", "  "])
async def test_a_variable_that_is_not_set_is_named_and_nothing_is_sent(
    agent: Agent, service: Service, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("PRICES_TOKEN", raising=False)
    if value is not None:
        monkeypatch.setenv("PRICES_TOKEN", value)
    agent.options["headers"] = {"Authorization": "PRICES_TOKEN"}
    with pytest.raises(AgentFailed) as failed:
        await agent.run()
    assert failed.value.message == (
        "agent pricer: the environment variable PRICES_TOKEN is not set, which holds the header Authorization"
    )
    assert service.requests == []


async def test_a_value_that_no_header_can_have_is_not_quoted(
    agent: Agent, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRICES_TOKEN", "hunter2\r\nX-Injected: yes")
    agent.options["headers"] = {"Authorization": "PRICES_TOKEN"}
    with pytest.raises(AgentFailed) as failed:
        await agent.run()
    assert "PRICES_TOKEN has characters" in failed.value.message
    assert "hunter2" not in failed.value.message
    assert service.requests == []


@pytest.mark.parametrize("secret", ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "a secret of another kind"])
async def test_signed_requests_are_verified_by_the_standards_library(
    agent: Agent, service: Service, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    monkeypatch.setenv("PRICES_SECRET", secret)
    agent.options["secret_env"] = "PRICES_SECRET"
    await agent.run()
    (request,) = service.requests
    receiver = Webhook(secret if secret.startswith("whsec_") else secret.encode())
    assert receiver.verify(request.body, dict(request.headers))["run_id"] == RUN_ID


async def test_without_a_secret_there_is_no_signature(agent: Agent, service: Service) -> None:
    await agent.run()
    assert "webhook-signature" not in service.requests[0].headers


async def test_a_secret_that_is_none_is_named(
    agent: Agent, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRICES_SECRET", "whsec_hunter2!")
    agent.options["secret_env"] = "PRICES_SECRET"
    with pytest.raises(
        AgentFailed, match="in the environment variable PRICES_SECRET: what follows whsec_ is not"
    ):
        await agent.run()
    assert service.requests == []


async def test_what_a_service_quotes_of_its_secrets_is_not_kept(
    agent: Agent, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRICES_TOKEN", "Bearer hunter2-hunter2")
    monkeypatch.setenv("PRICES_SECRET", "the secret itself")
    agent.options |= {"headers": {"Authorization": "PRICES_TOKEN"}, "secret_env": "PRICES_SECRET"}
    said = "no: Bearer hunter2-hunter2 / hunter2-hunter2 / the secret itself"
    service.answer(text(said, 401), says({"artifacts": [{"type": "hunter2-hunter2", "payload": 1}]}))
    for _ in range(2):
        with pytest.raises(AgentFailed) as failed:
            await agent.run()
        assert "hunter2" not in failed.value.message
        assert "itself" not in failed.value.message
        assert "***" in failed.value.message


@pytest.mark.parametrize("before", range(476, 500))
async def test_a_secret_is_not_kept_in_part_where_an_answer_is_cut(
    agent: Agent, service: Service, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    monkeypatch.setenv("PRICES_TOKEN", "Bearer hunter2-hunter2-hunter2")
    agent.options["headers"] = {"Authorization": "PRICES_TOKEN"}
    service.answer(
        text("x" * before + " hunter2-hunter2-hunter2", 401),
        says({}, 302, Location="/" + "x" * before + "?token=hunter2-hunter2-hunter2"),
    )
    for _ in range(2):
        with pytest.raises(AgentFailed) as failed:
            await agent.run()
        assert "hunter" not in failed.value.message


async def test_cookies_are_not_kept(agent: Agent, service: Service) -> None:
    service.answer(says({}, Set_Cookie="session=1"))
    for _ in range(2):
        await agent.run()
    assert "Cookie" not in service.requests[1].headers


async def test_runs_share_a_connection(agent: Agent, service: Service) -> None:
    for _ in range(2):
        await agent.run()
    one, other = service.requests
    assert one.peer == other.peer


async def test_proxies_of_the_environment_are_not_used(
    agent: Agent, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    await agent.run()
    assert len(service.requests) == 1


async def test_inputs_of_many_megabytes(agent: Agent, service: Service) -> None:
    large = orjson.dumps({"text": "x" * (3 << 20)})
    await agent.run(ORDER._replace(payload=large))
    assert len(service.requests[0].json()["inputs"][0]["payload"]["text"]) == 3 << 20
