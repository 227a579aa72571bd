"""Questions: the list, one of them, and answering."""

from __future__ import annotations

import asyncio
from typing import Any

import jsonschema
import pytest

from flockd.api.keys import DAEMON

from .conftest import TIME, UUID7, Api

PATH = "/api/v1/questions"
YES = {"answer": {"granted": True, "by": "ada"}}


async def asked(api: Api) -> Any:
    """A question of a new workflow."""
    before = {one["id"] for one in (await api.get(PATH)).ok()["questions"]}
    correlation_id = (await api.publish("Release"))["correlation_id"]
    await api.event(correlation_id, "question.asked")
    (question,) = [one for one in (await api.get(PATH)).ok()["questions"] if one["id"] not in before]
    return question


async def released(api: Api, question: Any) -> list[Any]:
    """The payloads that came of it, when its workflow has ended."""
    await api.event(question["correlation_id"], "correlation.completed")
    board = (
        await api.get(f"/api/v1/artifacts?type=Released&correlation_id={question['correlation_id']}")
    ).ok()
    return [one["payload"] for one in board["items"]]


async def test_a_question_says_what_it_wants(api: Api) -> None:
    question = await asked(api)
    assert UUID7.fullmatch(question["id"])
    assert TIME.fullmatch(question["asked_at"])
    assert (question["state"], question["text"], question["key"]) == ("open", "Deploy?", "Approval")
    assert (question["agent"], question["due_at"], question["answer"]) == ("releaser", None, None)
    jsonschema.validate({"granted": True}, question["schema"])
    assert (await api.get(f"{PATH}/{question['id']}")).ok() == question
    run = (await api.get(f"/api/v1/runs/{question['run_id']}")).ok()
    assert (run["state"], run["reason"]) == ("waiting", "question")


async def test_an_answer_lets_the_run_go_on(api: Api) -> None:
    question = await asked(api)
    answered = (await api.post(f"{PATH}/{question['id']}/answer", YES)).ok()
    assert (answered["state"], answered["answer"], answered["answered_by"]) == (
        "answered",
        YES["answer"],
        "anonymous",
    )
    assert TIME.fullmatch(answered["answered_at"])
    assert await released(api, question) == [{"by": "ada"}]
    assert (await api.get(f"{PATH}/{question['id']}")).ok() == answered


async def test_an_answer_that_the_type_refuses_changes_nothing(api: Api) -> None:
    question = await asked(api)
    path = f"{PATH}/{question['id']}/answer"
    for bad, field in (
        (7, "answer"),
        ({"granted": "perhaps"}, "answer.granted"),
        ({}, "answer"),
        (None, "answer"),
    ):
        problem = (await api.post(path, {"answer": bad})).problem(400, "INVALID_INPUT")
        assert problem["details"]["field"] == field
    problem = (await api.post(path, {})).problem(400, "INVALID_INPUT")
    assert problem["details"]["field"] == "answer"
    (await api.post(path, {**YES, "by": "ada"})).problem(400, "INVALID_INPUT")
    assert (await api.get(f"{PATH}/{question['id']}")).ok() == question


async def test_only_the_first_answer_counts(api: Api) -> None:
    question = await asked(api)
    path = f"{PATH}/{question['id']}/answer"
    answers = await asyncio.gather(
        *(api.post(path, {"answer": {"granted": True, "by": str(n)}}) for n in range(12))
    )
    assert sorted(answer.status for answer in answers) == [200] + [409] * 11
    (winner,) = [answer.ok() for answer in answers if answer.status == 200]
    for answer in answers:
        if answer.status != 200:
            assert "only open ones" in answer.problem(409, "CONFLICT")["detail"]
    assert await released(api, question) == [{"by": winner["answer"]["by"]}]
    (await api.post(path, YES)).problem(409, "CONFLICT")


async def test_an_answer_under_a_key_is_one_request(api: Api) -> None:
    question = await asked(api)
    path, key = f"{PATH}/{question['id']}/answer", {"X-Idempotency-Key": "answer-1"}
    answers = await asyncio.gather(*(api.post(path, YES, key) for _ in range(8)))
    assert {answer.body for answer in answers} == {answers[0].body}
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1
    assert await released(api, question) == [{"by": "ada"}]
    again = await api.post(path, YES, key)
    assert (again.ok(), again.headers["Idempotency-Replayed"]) == (answers[0].ok(), "true")
    other = {"answer": {"granted": False}}
    (await api.post(path, other, key)).problem(422, "IDEMPOTENCY_MISMATCH")
    (await api.post(path, YES, {"X-Idempotency-Key": "answer-2"})).problem(409, "CONFLICT")


async def test_a_refused_answer_leaves_its_key_free(api: Api) -> None:
    question = await asked(api)
    path, key = f"{PATH}/{question['id']}/answer", {"X-Idempotency-Key": "answer-1"}
    (await api.post(path, {"answer": 7}, key)).problem(400, "INVALID_INPUT")
    (await api.post(path, YES, key)).ok()


async def test_a_cancelled_question_takes_no_answer(api: Api) -> None:
    question = await asked(api)
    (await api.post(f"/api/v1/correlations/{question['correlation_id']}/cancel")).ok()
    (await api.post(f"{PATH}/{question['id']}/answer", YES)).problem(409, "CONFLICT")
    assert (await api.get(f"{PATH}/{question['id']}")).ok()["state"] == "cancelled"


async def test_the_list_has_open_ones_unless_others_are_asked_for(api: Api) -> None:
    first, second, third = [await asked(api) for _ in range(3)]
    (await api.post(f"{PATH}/{second['id']}/answer", YES)).ok()
    (await api.post(f"/api/v1/runs/{third['run_id']}/cancel")).ok()

    async def listed(query: str) -> list[str]:
        return [one["id"] for one in (await api.get(f"{PATH}{query}")).ok()["questions"]]

    assert await listed("") == await listed("?state=open") == [first["id"]]
    assert await listed("?state=answered") == [second["id"]]
    assert await listed("?state=cancelled") == [third["id"]]
    assert await listed("?state=expired") == []
    assert await listed("?state=all") == [third["id"], second["id"], first["id"]]
    page = (await api.get(f"{PATH}?state=all&limit=1&offset=1")).ok()
    assert [one["id"] for one in page.pop("questions")] == [second["id"]]
    assert page == {"limit": 1, "offset": 1, "total": 3, "total_exact": True}


async def test_no_answer_is_taken_while_the_daemon_stops(api: Api) -> None:
    question = await asked(api)
    await api.client.app[DAEMON].drain()  # type: ignore[attr-defined,union-attr]
    (await api.post(f"{PATH}/{question['id']}/answer", YES)).problem(503, "UNAVAILABLE")
    assert (await api.get(f"{PATH}/{question['id']}")).ok() == question


@pytest.mark.parametrize("unknown", ["0199c0de-0000-7000-8000-000000000000", "abc"])
async def test_a_question_that_nobody_asked(api: Api, unknown: str) -> None:
    for answer in (await api.get(f"{PATH}/{unknown}"), await api.post(f"{PATH}/{unknown}/answer", YES)):
        assert answer.problem(404, "NOT_FOUND")["detail"] == f"Question not found: {unknown}"


@pytest.mark.parametrize("query", ["state=done", "limit=0", "offset=101", "stat=all"])
async def test_a_bad_query(api: Api, query: str) -> None:
    (await api.get(f"{PATH}?{query}")).problem(400, "INVALID_INPUT")
