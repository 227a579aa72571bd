"""What the answer of a service comes to: artifacts, nothing, or a failure with a sentence that says why."""

from __future__ import annotations

import gzip
import ssl
import subprocess
from pathlib import Path

import pytest
from aiohttp import web

from flockd.engines.base import Output
from flockd.errors import AgentFailed

from .conftest import Agent
from .service import Answering, Service, breaks_off, hangs_up, says, text

BOTH = ("Receipt", "Refund")


async def failure(agent: Agent) -> str:
    """Why a run fails, without its subject, which is always the same."""
    with pytest.raises(AgentFailed) as failed:
        await agent.run()
    subject = f"the service of pricer ({agent.service.url}) "
    return failed.value.message.removeprefix(subject).removeprefix("the service of pricer ")


async def test_the_payload_of_the_only_type(agent: Agent, service: Service) -> None:
    service.answer(text('{"n": 12345678901234567890123}'))  # whatever it calls itself, and to the letter
    assert await agent.run() == [Output("Receipt", b'{"n": 12345678901234567890123}')]


async def test_artifacts_with_their_types(agent: Agent, service: Service) -> None:
    agent.publishes = BOTH
    service.answer(
        says({"artifacts": [{"type": "Refund", "payload": {"n": 1}}, {"type": "Receipt", "payload": None}]})
    )
    assert await agent.run() == [Output("Refund", {"n": 1}), Output("Receipt", None)]


async def test_an_artifacts_field_among_others_is_a_payload(agent: Agent, service: Service) -> None:
    service.answer(text('{"artifacts":[],"n":1}'))
    assert await agent.run() == [Output("Receipt", b'{"artifacts":[],"n":1}')]


@pytest.mark.parametrize("answer", [text("", 204), text("", 200), text("", 202), says({"artifacts": []})])
async def test_nothing_is_published(agent: Agent, service: Service, answer: Answering) -> None:
    service.answer(answer)
    assert await agent.run() == []


async def test_an_agent_that_publishes_nothing_takes_any_success(agent: Agent, service: Service) -> None:
    agent.publishes = ()
    service.answer(text("thanks!"))
    assert await agent.run() == []


@pytest.mark.parametrize(
    ("publishes", "answer", "sentence"),
    [
        (("Receipt",), text("{'n': 1}"), "answered with what is not JSON (text/plain): "),
        (("Receipt",), text("NaN", content_type="application/json"), "answered with what is not JSON: "),
        (
            BOTH,
            says({"n": 1}),
            "answered with JSON that does not say whether it is Receipt or Refund: answer "
            '{"artifacts": [{"type": "Receipt", "payload": …}]}',
        ),
        (BOTH, says([{"n": 1}]), "answered with JSON that does not say whether it is Receipt or Refund"),
        (BOTH, says({"artifacts": {"n": 1}}), "answered with artifacts that are no list"),
        (
            BOTH,
            says({"artifacts": [{"type": "Refund", "payload": 1}, {"payload": 1}]}),
            "answered with artifacts.1, which is not an object with type and payload",
        ),
        (BOTH, says({"artifacts": [7]}), "answered with artifacts.0, which is not an object"),
        (
            BOTH,
            says({"artifacts": [{"type": "Order", "payload": {}}]}),
            "answered with a Order, which it does not publish: declare it in publishes (Receipt, Refund)",
        ),
        (BOTH, says({"artifacts": [{"type": ["Refund"], "payload": {}}]}), "answered with a ['Refund'], which"),
    ],
)  # fmt: skip
async def test_answers_that_are_none(
    agent: Agent, service: Service, publishes: tuple[str, ...], answer: Answering, sentence: str
) -> None:
    agent.publishes = publishes
    service.answer(answer)
    assert (await failure(agent)).startswith(sentence)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (says({"detail": "There is no such currency."}, 400), "answered 400 Bad Request: There is no such currency."),
        (says({"error": {"message": "No quota"}}, 403), "answered 403 Forbidden: No quota"),
        (says({"detail": [{"loc": ["n"]}]}, 422), 'answered 422 Unprocessable Entity: {"detail":[{"loc":["n"]}]}'),
        (says("gone", 410), "answered 410 Gone: gone"),
        (text("", 404), "answered 404 Not Found"),
        (text("Internal\n  error\x00!", 500), "answered 500 Internal Server Error: Internal error !"),
        (says({"message": "x" * 2000}, 500), "answered 500 Internal Server Error: " + "x" * 500 + "…"),
        (text("x" * 100_000, 500), "answered 500 Internal Server Error: " + "x" * 500 + "…"),
        (text("", 503), "answered 503 Service Unavailable"),
        (text("", 304), "answered 304 Not Modified, a redirect, and none is followed: declare the url that answers"),
    ],
)  # fmt: skip
async def test_refusals_have_the_services_words(
    agent: Agent, service: Service, answer: Answering, sentence: str
) -> None:
    service.answer(answer)
    assert await failure(agent) == sentence
    assert len(service.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 410, 413, 415, 422, 426, 451])
async def test_a_refusal_of_this_request_is_final(agent: Agent, service: Service, status: int) -> None:
    service.answer(text("no", status))
    with pytest.raises(AgentFailed) as failed:
        await agent.run()
    assert (failed.value.is_final, failed.value.kind) == (True, f"http_{status}")


@pytest.mark.parametrize(
    "answer",
    [
        *(text("", status) for status in (408, 409, 421, 423, 425, 302, 500, 502, 503, 504)),
        text("come back later", 403, Retry_After="60"),
        text("not JSON", 200),
        breaks_off,
        hangs_up,
    ],
)
async def test_what_may_pass_is_not_final(agent: Agent, service: Service, answer: Answering) -> None:
    service.answer(answer)
    with pytest.raises(AgentFailed) as failed:
        await agent.run()
    assert not failed.value.is_final


async def test_a_service_that_stays_too_busy_may_be_tried_again(agent: Agent, service: Service) -> None:
    service.answer(*[text("", 429)] * 20)
    with pytest.raises(AgentFailed, match="asked 20 times") as failed:
        await agent.run()
    assert (failed.value.is_final, failed.value.kind) == (False, "http_429")


async def test_what_a_service_that_is_asked_again_would_answer_again_is_final(
    agent: Agent, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It keeps its answer by the key of the run; and no environment changes under a daemon."""
    service.answer(text('"' + "x" * 999 + '"'))
    with pytest.raises(AgentFailed) as too_large:
        await agent.run()
    monkeypatch.delenv("PRICES_TOKEN", raising=False)
    agent.options["headers"] = {"Authorization": "PRICES_TOKEN"}
    with pytest.raises(AgentFailed, match="PRICES_TOKEN is not set") as without_key:
        await agent.run()
    assert (too_large.value.is_final, without_key.value.is_final) == (True, True)


async def test_an_answer_that_is_too_large(agent: Agent, service: Service) -> None:
    service.answer(text('"' + "x" * 999 + '"'), text('"' + "x" * 998 + '"'))
    assert await failure(agent) == "answered with more than 1000 bytes; limits.output_bytes is 1000"
    assert len(await agent.run()) == 1


async def test_a_small_answer_that_unpacks_to_a_large_one(agent: Agent, service: Service) -> None:
    async def bomb(_request: web.Request) -> web.Response:
        return web.Response(body=gzip.compress(b"x" * (64 << 20)), headers={"Content-Encoding": "gzip"})

    service.answer(bomb)
    assert await failure(agent) == "answered with more than 1000 bytes; limits.output_bytes is 1000"


async def test_a_connection_that_breaks_off(agent: Agent, service: Service) -> None:
    service.answer(breaks_off, hangs_up)
    assert await failure(agent) == "broke off in the middle of its answer"
    assert await failure(agent) == "closed the connection before it had answered"


async def test_nobody_is_there(agent: Agent, service: Service) -> None:
    await service.__aexit__()
    assert await failure(agent) == "cannot be reached: Connection refused"


async def test_a_service_without_tls_where_it_is_asked_for(agent: Agent, service: Service) -> None:
    agent.url = service.url.replace("http:", "https:")
    with pytest.raises(AgentFailed, match=r"cannot be reached: no TLS with it \(\w+\)"):
        await agent.run()


@pytest.fixture
def self_signed(tmp_path: Path) -> ssl.SSLContext:
    """TLS as a server speaks it whose certificate nobody knows."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context


async def test_a_certificate_that_nobody_vouches_for(
    agent: Agent, service: Service, self_signed: ssl.SSLContext
) -> None:
    agent.url = f"https://127.0.0.1:{await service.serve_tls(self_signed)}/runs"
    with pytest.raises(AgentFailed, match=r"cannot be reached: no TLS with it \(self.signed certificate\)"):
        await agent.run()
    assert service.requests == []


async def test_the_query_of_its_url_is_in_no_message(agent: Agent, service: Service) -> None:
    agent.url = f"{service.url}?key=hunter2"
    service.answer(text("no", 401), text("no", Content_Encoding="br"))
    assert await failure(agent) == "answered 401 Unauthorized: no"
    undecoded = await failure(agent)
    assert undecoded.startswith("did not answer as HTTP asks: ClientResponseError: Can not decode")
    assert "hunter2" not in undecoded
