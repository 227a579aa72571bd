"""The demo flock on a daemon: what the documents' examples post to it is answered, its workflows come to their end."""

from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from pydantic import BaseModel
from pytest_aiohttp.plugin import AiohttpClient

from flockd.app import make_app
from flockd.config import Config
from flockd.demo import flock

Client = TestClient[Any, Any]


@pytest.fixture
async def client(aiohttp_client: AiohttpClient, tmp_path: Path) -> Client:
    config = Config.model_validate(
        {"store": {"data_dir": tmp_path / "data"}, "shutdown": {"grace_seconds": 0.1}}
    )
    return await aiohttp_client(make_app(config, flock))


async def post(client: Client, path: str, body: dict[str, Any], status: int = 200) -> Any:
    async with client.post(path, json=body) as response:
        assert response.status == status, await response.text()
        return await response.json()


async def workflow(client: Client, type: str, payload: dict[str, Any]) -> dict[str, Any]:
    """The artifacts of a whole workflow, in their order."""
    body = {"type": type, "payload": payload, "timeout": 60}
    answer = await post(client, "/api/v1/artifacts/sync", body)
    assert (answer["completed"], answer["state"], answer["errors"]) == (True, "completed", [])
    return {artifact["type"]: artifact["payload"] for artifact in answer["artifacts"]}


async def run(client: Client, agent: str, type: str, payload: dict[str, Any], status: int = 200) -> Any:
    body = {"inputs": [{"type": type, "payload": payload}]}
    return await post(client, f"/api/v1/agents/{agent}/run", body, status)


def test_the_flock_declares_the_agents_and_their_types() -> None:
    declared = {name: (agent.subscription.types, agent.outputs) for name, agent in flock.agents().items()}
    assert declared == {
        "bug_detector": (("CodeSubmission",), ("BugAnalysis",)),
        "complexity_analyst": (("CodeSubmission",), ("ComplexityReport",)),
        "code_reviewer": (("BugAnalysis", "ComplexityReport"), ("CodeReview",)),
        "review_desk": (("ReviewRequest",), ("CodeSubmission",)),
        "planner": (("Requirements",), ("Plan",)),
        "coder": (("Plan",), ("GeneratedCode",)),
        "tester": (("GeneratedCode",), ("SuiteReport",)),
        "code_submitter": (("GeneratedCode", "SuiteReport"), ("CodeSubmission",)),
        "text_analyzer": (("TextAnalyzerInput",), ("TextAnalyzerOutput",)),
        "my_agent": (("MyAgentInput",), ("MyAgentOutput",)),
        "start_agent": (("StartAgentInput",), ("StartAgentOutput",)),
        "finish_agent": (("StartAgentOutput",), ("FinishAgentOutput",)),
        "poem_flow": (("PoemRequest",), ("PoemResult",)),
    }
    assert all(agent.description for agent in flock.agents().values())
    assert [agent.name for agent in flock.agents().values() if agent.kind == "flow"] == ["poem_flow"]
    flock.validate()


def test_each_workflow_ends_with_what_its_agents_publish() -> None:
    published = {output for agent in flock.agents().values() for output in agent.outputs}
    phases = {
        declared.name: {phase.name: phase.types for phase in declared.phases}
        for declared in flock.workflows()
    }
    assert phases == {
        "code_review": {"detect": ("BugAnalysis", "ComplexityReport"), "review": ("CodeReview",)},
        "full": {
            "plan": ("Plan",), "code": ("GeneratedCode",), "tests": ("SuiteReport",), "review": ("CodeReview",),
        },
    }  # fmt: skip
    assert published >= {
        name for by_phase in phases.values() for types in by_phase.values() for name in types
    }
    for declared in flock.workflows():
        model = flock.types()[declared.start].model
        assert issubclass(model, BaseModel)
        required = [name for name, field in model.model_fields.items() if field.is_required()]
        assert required == ["requirements"]


@pytest.mark.parametrize("text", ["Create a calculator", "Create a simple API"])
async def test_the_full_workflow_makes_tests_and_reviews_code(client: Client, text: str) -> None:
    made = await workflow(client, "Requirements", {"requirements": text, "unknown": 1})
    assert list(made)[:3] == ["Plan", "GeneratedCode", "SuiteReport"]
    results: dict[str, Any] = {}
    for phase in flock.workflows()[1].phases:
        for name in phase.types:
            for field in results.keys() & made[name].keys():
                assert results[field] == made[name][field]
            results |= made[name]
    assert results.keys().isdisjoint({"session_id", "status", "progress", "errors", "results", "created_at"})
    assert "def " in results["generated_code"]
    assert results["unimplemented"] == results["failed_tests"] == results["remarks"] == []
    assert results["tests_passed"] == results["tests_run"] == len(results["steps"]) > 0
    assert (results["verdict"], results["filename"]) == ("approve", f"{results['module']}.py")


async def test_the_code_review_workflow_takes_the_source_as_requirements_or_beside_them(
    client: Client,
) -> None:
    for payload in (
        {"requirements": "print(nme)\n"},
        {"requirements": "Find the bugs", "code": "print(nme)\n", "language": "python"},
    ):
        made = await workflow(client, "ReviewRequest", payload)
        assert set(made) == {"CodeSubmission", "BugAnalysis", "ComplexityReport", "CodeReview"}
        assert made["CodeReview"]["verdict"] == "request changes"
        assert made["BugAnalysis"]["findings"][0]["message"] == "undefined name 'nme'"


@pytest.mark.parametrize("type", ["Requirements", "ReviewRequest"])
@pytest.mark.parametrize(
    "payload", [{}, {"requirements": ""}, {"requirements": 1}, {"requirements": "x", "language": "rust"}]
)
async def test_other_requirements_are_refused(client: Client, type: str, payload: dict[str, Any]) -> None:
    problem = await post(client, "/api/v1/artifacts", {"type": type, "payload": payload}, 400)
    assert problem["details"]["field"] in {"payload.requirements", "payload.language"}


async def test_the_tester_runs_no_code_of_others(client: Client, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    foreign = {
        "module": "made",
        "generated_code": f"open({str(mark)!r}, 'w')",
        "generated_tests": "import made",
        "unimplemented": [],
    }
    answer = await post(client, "/api/v1/artifacts/sync", {"type": "GeneratedCode", "payload": foreign})
    assert answer["artifacts"] == []
    problem = await run(client, "tester", "GeneratedCode", foreign, 500)
    assert problem["error"] == "AGENT_FAILED"
    assert "the tester runs only what coder wrote" in problem["detail"]
    assert not mark.exists()


@pytest.mark.parametrize(
    ("query", "tidy"),
    [
        ("Hello, world!", "Hello, world!"),
        ("  a\n\tb \x00 c\u200b ", "a b c"),
        ("e\u0301", "é"),
        ("", ""),
    ],
)
async def test_queries_are_processed_by_one_agent_or_by_a_workflow_of_two(
    client: Client, query: str, tidy: str
) -> None:
    alone = await run(client, "my_agent", "MyAgentInput", {"query": query})
    assert [artifact["payload"] for artifact in alone["artifacts"]] == [
        {"result": f"Processed: {tidy}".strip()}
    ]
    made = await workflow(client, "StartAgentInput", {"query": query})
    assert list(made.items()) == [
        ("StartAgentOutput", {"result": tidy}),
        ("FinishAgentOutput", {"result": f"Processed: {tidy}".strip()}),
    ]


async def test_the_text_analyzer_answers_the_documents(client: Client) -> None:
    made = await workflow(client, "TextAnalyzerInput", {"text": "Flock makes building agents easy and fun!"})
    assert made["TextAnalyzerOutput"]["sentiment"] == "positive"
    assert "building agents easy" in made["TextAnalyzerOutput"]["keywords"]


async def test_the_poem_flow_writes_as_many_sentences(client: Client) -> None:
    made = await workflow(client, "PoemRequest", {"sentence_count": 3})
    result = made["PoemResult"]
    assert result["sentence_count"] == 3
    assert len(result["poem"].splitlines()) == 3
