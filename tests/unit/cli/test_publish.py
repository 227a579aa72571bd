"""`flockd publish` and `flockd run`: what is sent, and what is shown of the answer."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from flockd.cli.payload import is_text
from flockd.cli.show import ITEMS_MAX, readable
from tests.unit.cli.answering import Answering

Flockd = Callable[..., Result]

ACCEPTED = {"status": "accepted", "artifact_id": "a-1", "correlation_id": "c-1", "seq": 7}
SCHEMA = {
    "properties": {
        "code": {"type": "string"},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "level": {"$ref": "#/$defs/Level"},
        "count": {"type": "integer"},
        "anything": {},
    },
    "$defs": {"Level": {"enum": ["1", "2"], "type": "string"}},
}
REVIEW = {
    "id": "a-2",
    "type": "CodeReview",
    "produced_by": "code_reviewer",
    "payload": {
        "verdict": "approve",
        "remarks": [{"line": 3, "severity": "error", "message": "undefined name 'x'"}, {"line": 4}],
        "summary": "two\nlines",
        "tags": [],
    },
}
OUTCOME = {
    "correlation_id": "c-1",
    "artifacts": [REVIEW],
    "completed": True,
    "duration_ms": 12,
    "state": "completed",
    "errors": [],
}
SHOWN = """\
CodeReview by code_reviewer
  verdict: approve
  remarks:
    - line: 3, severity: error, message: undefined name 'x'
    - line: 4
  summary:
    two
    lines
  tags: []

"""


@pytest.fixture
def publishing(daemon: Answering) -> Answering:
    daemon.answer(
        "GET /api/v1/types", {"types": [{"name": "Code", "version": 1, "schema": SCHEMA}], "total": 1}
    )
    daemon.answer("POST /api/v1/artifacts", ACCEPTED)
    daemon.answer("POST /api/v1/artifacts/sync", OUTCOME)
    return daemon


def payload_of(daemon: Answering) -> Any:
    return daemon.sent("POST /api/v1/artifacts").body["payload"]


def test_it_says_what_was_accepted(flockd: Flockd, publishing: Answering) -> None:
    result = flockd("publish", "Code", "--url", publishing.url)
    assert (result.exit_code, result.stdout) == (0, "accepted a-1 (seq 7)\nflockd status c-1\n")
    assert publishing.sent("POST /api/v1/artifacts").body == {"type": "Code", "payload": {}}


def test_each_option_has_its_place(flockd: Flockd, publishing: Answering) -> None:
    options = ["--tag", "a", "--tag", "b", "--correlation-id", "c-1", "--priority", "high", "--key", "k"]
    result = flockd("publish", "Code", *options, "--json", "--url", publishing.url)
    assert json.loads(result.stdout) == ACCEPTED
    request = publishing.sent("POST /api/v1/artifacts")
    assert request.headers["X-Idempotency-Key"] == "k"
    assert request.headers["Content-Type"] == "application/json"
    expected = {
        "tags": ["a", "b"],
        "correlation_id": "c-1",
        "priority": "high",
        "type": "Code",
        "payload": {},
    }
    assert request.body == expected


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("code=1", "1"),
        ("code=a=b", "a=b"),
        ("code=", ""),
        ("code=@@home", "@home"),
        ("note=true", "true"),
        ("level=1", "1"),
        ("count=1", 1),
        ("count=many", "many"),
        ('anything=["a", 1]', ["a", 1]),
        ("anything=plain words", "plain words"),
        ('unknown={"a": null}', {"a": None}),
        ("code=@some.py", "x = 'é'\n"),
        ("anything=@some.py", "x = 'é'\n"),
    ],
)
def test_a_field_is_text_where_its_type_says_text(
    flockd: Flockd, publishing: Answering, setting: str, value: object
) -> None:
    Path("some.py").write_text("x = 'é'\n", "utf-8")
    assert flockd("publish", "Code", "--set", setting, "--url", publishing.url).exit_code == 0
    assert payload_of(publishing) == {setting.partition("=")[0]: value}


def test_a_type_that_the_daemon_does_not_know_is_the_daemons_to_refuse(
    flockd: Flockd, publishing: Answering
) -> None:
    publishing.refuse("POST /api/v1/artifacts", 400, "Unknown artifact type: Cod; did you mean Code?")
    result = flockd("publish", "Cod", "--set", "code=1", "--url", publishing.url)
    assert (result.exit_code, result.stderr) == (1, "Error: Unknown artifact type: Cod; did you mean Code?\n")
    assert payload_of(publishing) == {"code": 1}


def test_the_whole_payload_comes_from_text_a_file_or_standard_input(
    flockd: Flockd, publishing: Answering
) -> None:
    Path("data.json").write_text('{"code": "2"}', "utf-8")
    for source, stdin in (('{"code": "1"}', None), ("@data.json", None), ("-", '{"code": "3"}')):
        publishing.requests.clear()
        assert (
            flockd("publish", "Code", "--data", source, "--url", publishing.url, stdin=stdin).exit_code == 0
        )
        assert payload_of(publishing)["code"] in "123"
    assert payload_of(publishing) == {"code": "3"}


def test_single_fields_win_over_the_whole(flockd: Flockd, publishing: Answering) -> None:
    options = ["--data", '{"code": "1", "count": 1}', "--set", "count=2"]
    assert flockd("publish", "Code", *options, "--url", publishing.url).exit_code == 0
    assert payload_of(publishing) == {"code": "1", "count": 2}


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--data", "{"], 2, "this is not JSON"),
        (["--data", "[1]"], 2, "a payload is a JSON object"),
        (["--set", "code"], 2, "'code' is not KEY=VALUE."),
        (["--set", "code=@none.py"], 1, "Error: There is no file none.py."),
        (["--data", "@none.json"], 1, "Error: There is no file none.json."),
        (["--set", "code=@bytes"], 1, "Error: bytes is not UTF-8 text."),
        (["--set", "code=@."], 1, "Error: . cannot be read: "),
    ],
)
def test_a_payload_that_cannot_be_built_is_not_sent(
    flockd: Flockd, publishing: Answering, options: list[str], code: int, words: str
) -> None:
    Path("bytes").write_bytes(b"\xff")
    result = flockd("publish", "Code", *options, "--url", publishing.url)
    assert result.exit_code == code
    assert words in result.stderr
    assert [request for request in publishing.requests if request.method == "POST"] == []


def test_waiting_shows_what_the_agents_published(flockd: Flockd, publishing: Answering) -> None:
    result = flockd("publish", "Code", "--wait", "--timeout", "5", "--url", publishing.url)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == SHOWN + "completed in 12 ms, correlation c-1\n"
    assert publishing.sent("POST /api/v1/artifacts/sync").body["timeout"] == 5.0


def test_a_workflow_that_failed_exits_1_with_its_errors(flockd: Flockd, publishing: Answering) -> None:
    errors = [{"agent": "bug_detector", "error": "no code"}, {"agent": "b", "error": {"message": "no b"}}]
    failed = {**OUTCOME, "artifacts": [], "state": "failed", "errors": errors}
    publishing.answer("POST /api/v1/artifacts/sync", failed)
    result = flockd("publish", "Code", "--wait", "--url", publishing.url)
    assert (result.exit_code, result.stdout) == (1, "failed in 12 ms, correlation c-1\n")
    assert result.stderr == "bug_detector failed: no code\nb failed: no b\n"
    assert flockd("publish", "Code", "--wait", "--json", "--url", publishing.url).exit_code == 1


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (
            {"outcome": None, "reason": "limits.correlation_depth: it is 21 hops"},
            "limits.correlation_depth: it is 21 hops",
        ),
        ({"outcome": "cancelled", "reason": None}, "It was cancelled."),
    ],
)
def test_a_workflow_that_failed_without_an_agent_says_why(
    flockd: Flockd, publishing: Answering, status: dict[str, Any], sentence: str
) -> None:
    publishing.answer("POST /api/v1/artifacts/sync", {**OUTCOME, "artifacts": [], "state": "failed"})
    publishing.answer("GET /api/v1/correlations/c-1/status", status)
    result = flockd("publish", "Code", "--wait", "--url", publishing.url)
    assert (result.exit_code, result.stdout) == (1, "failed in 12 ms, correlation c-1\n")
    assert result.stderr == f"{sentence}\n"


def test_a_workflow_that_is_not_done_exits_1_and_says_that_it_goes_on(
    flockd: Flockd, publishing: Answering
) -> None:
    publishing.answer("POST /api/v1/artifacts/sync", {**OUTCOME, "completed": False, "state": "active"})
    result = flockd("publish", "Code", "--wait", "--url", publishing.url)
    assert (result.exit_code, result.stdout) == (1, SHOWN)
    assert result.stderr == "Not done after 12 ms; the work goes on: flockd status c-1\n"


def agent(name: str, *types: str) -> dict[str, Any]:
    return {"name": name, "subscriptions": [{"types": list(types), "mode": "all"}], "outputs": []}


@pytest.fixture
def running(publishing: Answering) -> Answering:
    agents = [agent("text_analyzer", "Code"), agent("joins", "A", "B"), agent("twice", "Code", "Code")]
    publishing.answer("GET /api/v1/agents", {"agents": agents})
    ran = {"artifacts": [REVIEW], "correlation_id": "c-1", "run_id": "r-1"}
    for name in ("text_analyzer", "Text-Analyzer", "twice", "joins"):
        publishing.answer(f"POST /api/v1/agents/{name}/run", ran)
    return publishing


@pytest.mark.parametrize("name", ["text_analyzer", "Text-Analyzer", "twice"])
def test_an_agent_runs_on_the_one_type_that_it_takes(flockd: Flockd, running: Answering, name: str) -> None:
    result = flockd("run", name, "--set", "count=2", "--url", running.url)
    assert (result.exit_code, result.stdout) == (0, SHOWN + "run r-1, correlation c-1\n")
    request = running.sent(f"POST /api/v1/agents/{name}/run")
    assert request.body == {"timeout": 300.0, "inputs": [{"type": "Code", "payload": {"count": 2}}]}


def test_an_agent_of_several_types_needs_one_named(flockd: Flockd, running: Answering) -> None:
    refused = flockd("run", "joins", "--url", running.url)
    assert (refused.exit_code, refused.stderr) == (1, "Error: joins takes A, B: say which with --type.\n")
    options = ["--type", "B", "--cascade", "--priority", "low", "--key", "k", "--timeout", "9", "--json"]
    result = flockd("run", "joins", *options, "--url", running.url)
    assert json.loads(result.stdout)["run_id"] == "r-1"
    request = running.sent("POST /api/v1/agents/joins/run")
    assert request.headers["X-Idempotency-Key"] == "k"
    inputs = [{"type": "B", "payload": {}}]
    assert request.body == {"timeout": 9.0, "cascade": True, "priority": "low", "inputs": inputs}


def test_an_unknown_agent_and_one_that_fails_are_sentences(flockd: Flockd, running: Answering) -> None:
    assert flockd("run", "nobody", "--url", running.url).stderr == "Error: Agent not found: nobody\n"
    running.refuse("POST /api/v1/agents/twice/run", 500, "division by zero")
    failed = flockd("run", "twice", "--url", running.url)
    assert (failed.exit_code, failed.stderr) == (1, "Error: division by zero\n")


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ({"type": "string"}, True),
        ({"type": ["string", "null"]}, True),
        ({"oneOf": [{"type": "string"}, {"$ref": "#/$defs/Level"}]}, True),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, False),
        ({"anyOf": [{"type": "null"}]}, False),
        ({"type": "null"}, False),
        ({"type": "array"}, False),
        ({"$ref": "#/$defs/None"}, False),
        ({}, False),
    ],
)
def test_what_counts_as_text(field: dict[str, Any], text: bool) -> None:
    assert is_text(SCHEMA, field) is text


def test_long_lists_and_long_lines_stay_readable() -> None:
    many = list(readable(list(range(ITEMS_MAX + 5))))
    assert many[-1] == "… and 5 more (--json shows all)"
    assert len(many) == ITEMS_MAX + 1
    assert list(readable({"words": ["long " * 10, "words " * 10]})) == [
        "words:", f"  - {'long ' * 10}".rstrip(), f"  - {'words ' * 10}".rstrip(),
    ]  # fmt: skip
    assert list(readable({"a": {"b": {"c": None}}})) == ["a:", "  b:", "    c: null"]
    nested = [{"name": "f", "lines": ["a b" * 20, "c d" * 20]}, "two\nlines"]
    assert list(readable(nested)) == [
        "- name: f", "  lines:", f"    - {'a b' * 20}", f"    - {'c d' * 20}", "- two", "  lines",
    ]  # fmt: skip
    assert list(readable("")) == [""]
