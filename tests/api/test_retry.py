"""Dead letters: retried one by one and many at once, through the routes and through the command line."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import BaseModel
from pytest_aiohttp.plugin import AiohttpClient

from flockd import Flock
from flockd.app import make_app
from flockd.cli import retry as retry_module
from flockd.cli.daemon import DaemonError, Unreachable
from flockd.cli.retry import Redrive
from flockd.config import Config

from .conftest import TIME, Api

PATH = "/api/v1/runs"
KEY = {"X-Idempotency-Key": "redrive 1"}
UNKNOWN = "0199c0de-0000-7000-8000-000000000000"


class Shaky(BaseModel):
    """Work that fails as long as what it needs is away."""

    n: int = 0


class Firm(BaseModel):
    """What comes of it."""


class Service:
    """What the work needs."""

    def __init__(self) -> None:
        self.is_there = False


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
async def api(aiohttp_client: AiohttpClient, config: Config, service: Service) -> Api:
    """A daemon whose agents depend on that service."""
    flock = Flock(name="retry-tests")

    @flock.agent
    async def worker(shaky: Shaky) -> Firm:
        """Works where the service is there."""
        if not service.is_there:
            raise RuntimeError("away")
        return Firm()

    return Api(await aiohttp_client(make_app(config, flock)))


async def dead(api: Api, count: int) -> list[str]:
    """So many runs that have died, the oldest first."""
    for n in range(count):
        assert (await api.sync("Shaky", {"n": n}))["state"] == "failed"
    runs = (await api.get(f"{PATH}?state=dead")).ok()["runs"]
    assert len(runs) == count
    return [run["id"] for run in reversed(runs)]


async def test_page_by_page_until_nothing_is_left(api: Api, service: Service) -> None:
    ids = await dead(api, 5)
    service.is_there = True
    first = (await api.post(f"{PATH}/retry", {"limit": 2})).ok()
    assert [run["id"] for run in first["runs"]] == ids[:2]
    assert {run["state"] for run in first["runs"]} <= {"running", "ready"}
    assert (first["retried"], first["refused"], first["remaining"], first["remaining_exact"]) == (
        2,
        [],
        3,
        True,
    )
    assert TIME.fullmatch(first["died_before"])
    rest = {"died_before": first["died_before"]}
    second = (await api.post(f"{PATH}/retry", rest)).ok()
    assert [run["id"] for run in second["runs"]] == ids[2:]
    assert (second["remaining"], second["died_before"]) == (0, first["died_before"])
    assert (await api.post(f"{PATH}/retry", rest)).ok()["runs"] == []


async def test_what_dies_again_is_left_alone(api: Api) -> None:
    ids = await dead(api, 2)
    first = (await api.post(f"{PATH}/retry", {})).ok()
    for run in first["runs"]:
        while (await api.get(f"{PATH}/{run['id']}")).ok()["state"] != "dead":
            pass
    again = (await api.post(f"{PATH}/retry", {"died_before": first["died_before"]})).ok()
    assert (again["runs"], again["remaining"]) == ([], 0)
    assert (await api.post(f"{PATH}/retry", {"run_ids": ids})).ok()["retried"] == 2


async def test_the_moment_that_is_answered_is_one_of_the_daemon(api: Api) -> None:
    async def answered(given: str) -> str:
        return str((await api.post(f"{PATH}/retry", {"died_before": given})).ok()["died_before"])

    now = (await api.post(f"{PATH}/retry", {})).ok()["died_before"]
    assert now <= await answered("2999-01-01") < "2999"
    assert await answered("2026-01-01T12:00:00+01:00") == "2026-01-01T11:00:00.000Z"
    assert await answered("0174-07-22") == "1970-01-01T00:00:00.000Z"


async def test_named_ones_say_why_they_cannot(api: Api, service: Service) -> None:
    (one,) = await dead(api, 1)
    service.is_there = True
    await api.sync("Shaky")
    (done,) = (await api.get(f"{PATH}?state=completed")).ok()["runs"]
    answer = (await api.post(f"{PATH}/retry", {"run_ids": [one, UNKNOWN, done["id"]]})).ok()
    assert [run["id"] for run in answer["runs"]] == [one]
    assert (answer["retried"], answer["remaining"]) == (1, 0)
    assert [(each["run_id"], each["error"]) for each in answer["refused"]] == [
        (UNKNOWN, "NOT_FOUND"),
        (done["id"], "CONFLICT"),
    ]


async def test_filters(api: Api) -> None:
    await dead(api, 2)
    correlation_id = (await api.sync("Shaky"))["correlation_id"]
    for body, remaining in (
        ({"agent": "nobody"}, 0),
        ({"error": "TIMEOUT"}, 0),
        ({"agent": "Worker", "error": "AGENT_FAILED", "limit": 1}, 2),
    ):
        assert (await api.post(f"{PATH}/retry", body)).ok()["remaining"] == remaining
    (run,) = (await api.post(f"{PATH}/retry", {"correlation_id": correlation_id})).ok()["runs"]
    assert run["correlation_id"] == correlation_id
    assert (await api.get(f"{PATH}?error=TIMEOUT")).ok()["total"] == 0
    assert (await api.get(f"{PATH}?error=AGENT_FAILED")).ok()["total"] >= 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"run_ids": []}, "run_ids"),
        ({"run_ids": ["x"]}, "run_ids.0"),
        ({"run_ids": [UNKNOWN], "limit": 5}, "limit"),
        ({"limit": 0}, "limit"),
        ({"limit": 501}, "limit"),
        ({"limit": True}, "limit"),
        ({"died_before": "yesterday"}, "died_before"),
        ({"agents": "worker"}, "agents"),
    ],
)
async def test_a_bad_body(api: Api, body: Any, field: str) -> None:
    assert (await api.post(f"{PATH}/retry", body)).problem(400, "INVALID_INPUT")["details"]["field"] == field


async def test_its_name_is_no_id_of_a_run(api: Api) -> None:
    assert (await api.get(f"{PATH}/retry")).problem(405, "METHOD_NOT_ALLOWED")["detail"].endswith("but POST")
    (await api.post(f"{PATH}/retry/retry")).problem(404, "NOT_FOUND")
    (await api.post(f"{PATH}/retry/cancel")).problem(404, "NOT_FOUND")


async def test_one_key_is_one_retry(api: Api, service: Service) -> None:
    (one,) = await dead(api, 1)
    service.is_there = True
    for path, body in ((f"{PATH}/{one}/retry", None), (f"{PATH}/retry", {"run_ids": [one]})):
        answers = await asyncio.gather(*(api.post(path, body, KEY) for _ in range(10)))
        assert {answer.body for answer in answers} == {answers[0].body}
        assert answers[0].status == 200
        assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1
    (await api.post(f"{PATH}/retry", {"limit": 1}, KEY)).problem(422, "IDEMPOTENCY_MISMATCH")
    assert (await api.get(f"{PATH}/{one}")).ok()["attempt"] == 2


# -- the command line -----------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry_module, "RETRY_BASE_SECONDS", 0.0)
    monkeypatch.setattr(retry_module, "PAGE", 2)


async def test_the_verb_retries_all_that_fit(
    api: Api, service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    await dead(api, 5)
    service.is_there = True
    work = Redrive()
    await work.fitting(str(api.client.make_url("")), {"agent": "worker"})
    assert (work.retried, work.refused) == (5, [])
    assert capsys.readouterr().err.splitlines() == ["2 of 5 runs", "4 of 5 runs", "5 of 5 runs"]
    assert {run["attempt"] for run in (await api.get(PATH)).ok()["runs"]} == {2}


async def test_the_verb_ends_where_everything_dies_again(api: Api) -> None:
    await dead(api, 5)
    work = Redrive()
    async with asyncio.timeout(20):
        await work.fitting(str(api.client.make_url("")), {})
    assert work.retried == 5


async def test_the_verb_retries_those_that_are_named(api: Api, service: Service) -> None:
    ids = await dead(api, 3)
    service.is_there = True
    work = Redrive()
    await work.named(str(api.client.make_url("")), [*ids, UNKNOWN])
    assert work.retried == 3
    assert [one["run_id"] for one in work.refused] == [UNKNOWN]


class Answers:
    """A daemon that answers what it was told, one after the other; None: the connection is cut."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, Any]] = []

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append((request.headers["X-Idempotency-Key"], await request.json()))
        answer = self.answers.pop(0)
        if answer is None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if isinstance(answer, int):
            return web.json_response({"message": f"refused with {answer}"}, status=answer)
        return web.json_response(answer)

    async def retry(self, **filters: str) -> Redrive:
        app = web.Application()
        app.router.add_post("/api/v1/runs/retry", self.handle)
        work = Redrive()
        async with TestServer(app) as server, asyncio.timeout(20):
            await work.fitting(str(server.make_url("")), filters)
        return work


def page(retried: int, remaining: int) -> dict[str, Any]:
    return {"retried": retried, "remaining": remaining, "refused": [], "died_before": "then"}


async def test_a_page_whose_answer_was_lost_is_asked_for_again_under_its_key() -> None:
    answers = Answers(page(2, 3), None, 503, page(2, 1), page(1, 0))
    assert (await answers.retry(agent="a")).retried == 5
    keys = [key for key, _ in answers.asked]
    assert keys[1] == keys[2] == keys[3]
    assert len({keys[0], keys[1], keys[4]}) == 3
    first, *rest = [body for _, body in answers.asked]
    assert first == {"agent": "a", "limit": 2}
    assert rest == [{"agent": "a", "limit": 2, "died_before": "then"}] * 4


async def test_what_the_first_page_is_refused_is_an_error() -> None:
    with pytest.raises(Unreachable):
        await Answers(503).retry()
    with pytest.raises(DaemonError, match="refused with 404"):
        await Answers(page(2, 3), 404).retry()
