"""The fold of a session, over events as the board writes them."""

from __future__ import annotations

import itertools
from typing import Any

import orjson
import pytest

from flockd.dialects.workflows.session import Progression, Session
from flockd.domain.agent import Agent, Agents
from flockd.domain.artifact import Artifact
from flockd.domain.event import Event, EventKind
from flockd.domain.subscription import Subscription
from flockd.domain.workflow import Phase, Workflow

FULL = Workflow(
    "full",
    "Requirements",
    (Phase("plan", ("Plan",)), Phase("code", ("Code", "Notes")), Phase("test", ("Report",))),
)
AGENTS = Agents(
    [
        Agent("planner", Subscription(("Requirements",)), ("Plan",)),
        Agent("coder", Subscription(("Plan",)), ("Code",), kind="llm"),
        Agent("writer", Subscription(("Plan",)), ("Notes",), kind="llm"),
        Agent("tester", Subscription(("Code",)), ("Report",)),
        Agent("bystander", Subscription(("Code",)), ("Rumour",), kind="http"),
    ]
)
ID = "01a1fc82-8411-791d-b859-087ecae21573"


class Log:
    """Makes events, and folds them as it goes."""

    def __init__(self, workflow: Workflow = FULL) -> None:
        self.session = Session(ID, Progression(workflow, AGENTS))
        self.said: list[dict[str, Any]] = []
        self._seqs = itertools.count(1)

    def add(self, kind: str, agent: str | None = None, artifact: Artifact | None = None, **data: Any) -> None:
        seq = next(self._seqs)
        run = None if agent is None else f"run of {agent}"
        event = Event(seq, EventKind(kind), seq * 1000, ID, agent, run, orjson.dumps(data), artifact)
        for update in self.session.take(event):
            assert (update.seq, update.message["seq"], update.message["session_id"]) == (seq, seq, ID)
            self.said.append({k: v for k, v in update.message.items() if k not in ("seq", "session_id")})

    def begin(self, *started: str) -> None:
        """A round, and the publication that sets these agents off."""
        self.add("correlation.started", round=1)
        self.publish("Requirements", {"requirements": "a calculator"}, None)
        self.start(*started)

    def start(self, *agents: str) -> None:
        for agent in agents:
            self.add("run.started", agent, attempt=1)

    def publish(self, type: str, payload: Any, agent: str | None = "planner") -> None:
        artifact = Artifact(1, f"id of {type}", type, orjson.dumps(payload), agent or "external", ID, 1)
        self.add("artifact.published", agent, artifact, woke=[], held=[])

    def advance(self, agent: str, fraction: float) -> None:
        self.add("run.progress", agent, attempt=1, fraction=fraction, phase=None, message=None)

    def fail(self, agent: str, message: str) -> None:
        self.add("run.failed", agent, attempt=1, error={"code": "AGENT_FAILED", "message": message})

    def end(self, how: str = "completed", **data: Any) -> None:
        self.add(f"correlation.{how}", round=1, artifact_count=1, error_count=0, unjoined=[], **data)

    @property
    def document(self) -> dict[str, Any]:
        document = self.session.document()
        assert orjson.loads(orjson.dumps(document)) == document
        return document

    def shows(self, **fields: Any) -> bool:
        document = self.document
        assert {name: document[name] for name in fields} == fields
        return True


def test_from_the_queue_to_the_results() -> None:
    log = Log()
    log.begin()
    assert log.document == {
        "session_id": ID,
        "status": "queued",
        "progress": 0.0,
        "current_phase": None,
        "phases_completed": [],
        "errors": [],
        "partial_results": None,
        "results": None,
        "created_at": "1970-01-01T00:00:01.000Z",
        "started_at": None,
        "completed_at": None,
        "failed_at": None,
    }
    log.start("planner")
    assert log.shows(status="running", current_phase="plan", started_at="1970-01-01T00:00:03.000Z")
    log.advance("planner", 0.5)
    assert log.shows(progress=16.7, current_phase="plan")
    log.publish("Plan", {"steps": ["add"], "summary": "a plan"})
    assert log.shows(
        progress=33.3,
        current_phase="code",
        phases_completed=["plan"],
        partial_results={"steps": ["add"], "summary": "a plan"},
    )
    log.start("coder", "writer")
    log.publish("Code", {"generated_code": "1 + 1"}, "coder")
    assert log.shows(progress=33.3, current_phase="code")
    log.publish("Notes", {"notes": "done"}, "writer")
    log.start("tester")
    log.publish("Report", {"summary": "all pass", "status": "green"}, "tester")
    assert log.shows(status="running", progress=99.0, current_phase=None, results=None)
    log.end()
    results = {
        "steps": ["add"],
        "generated_code": "1 + 1",
        "notes": "done",
        "summary": "all pass",
        "status": "green",
    }
    assert log.shows(status="completed", progress=100.0, results=results, partial_results=None, errors=[])
    document = log.document
    assert (document["generated_code"], document["summary"]) == ("1 + 1", "all pass")
    assert (document["completed_at"], document["failed_at"]) == ("1970-01-01T00:00:12.000Z", None)
    assert log.said == [
        {"type": "progress", "value": 0.0, "phase": "plan"},
        {"type": "progress", "value": 16.7, "phase": "plan"},
        {"type": "phase_complete", "phase": "plan"},
        {"type": "progress", "value": 33.3, "phase": "code"},
        {"type": "phase_complete", "phase": "code"},
        {"type": "progress", "value": 66.7, "phase": "test"},
        {"type": "phase_complete", "phase": "test"},
        {"type": "progress", "value": 99.0, "phase": None},
        {"type": "progress", "value": 100.0, "phase": None},
        {"type": "final_result", "results": results},
    ]


def test_a_restart_and_a_retry_never_take_progress_back() -> None:
    log = Log()
    log.begin("planner")
    log.advance("planner", 0.9)
    log.add("run.retrying", "planner", attempt=1, reason="restart", error=None, due_at=None)
    log.start("planner")
    log.advance("planner", 0.1)
    assert log.shows(status="running", progress=30.0, errors=[])


def test_progress_counts_for_the_phase_of_the_agent() -> None:
    log = Log()
    log.begin("planner")
    log.advance("tester", 0.5)
    assert log.shows(progress=16.7, current_phase="plan")
    log.advance("bystander", 1.0)
    assert log.shows(progress=16.7)


def test_phases_may_be_done_out_of_order() -> None:
    log = Log()
    log.begin("planner")
    log.publish("Report", {"summary": "early"}, "tester")
    assert log.shows(phases_completed=["test"], current_phase="plan", progress=33.3)


def test_an_error_of_a_bystander_is_told_and_spoils_nothing() -> None:
    log = Log()
    log.begin("planner")
    log.publish("Plan", {"steps": []})
    log.start("bystander")
    log.fail("bystander", "no luck")
    for name in ("Code", "Notes", "Report"):
        log.publish(name, {}, "coder")
    log.end()
    assert log.shows(status="completed", errors=[{"agent": "bystander", "phase": "code", "error": "no luck"}])
    assert [one for one in log.said if one["type"] == "error"] == [{"type": "error", "error": "no luck"}]


@pytest.mark.parametrize("how", ["failed", "completed"])
def test_it_fails_where_a_phase_is_not_done(how: str) -> None:
    """A plan without code: natively that may be completed, since an agent gave something."""
    log = Log()
    log.begin("planner")
    log.publish("Plan", {"steps": []})
    log.start("coder")
    log.fail("coder", "out of ideas")
    log.end(how)
    assert log.shows(
        status="failed",
        progress=33.3,
        current_phase="code",
        errors=[{"agent": "coder", "phase": "code", "error": "out of ideas"}],
        partial_results={"steps": []},
        results=None,
        completed_at=None,
        failed_at="1970-01-01T00:00:07.000Z",
    )
    assert log.said[-2:] == [
        {"type": "error", "error": "out of ideas"},
        {"type": "error", "error": "The workflow failed: out of ideas"},
    ]


def test_it_fails_where_nobody_gave_what_a_phase_needs() -> None:
    log = Log()
    log.begin("planner")
    log.publish("Plan", {})
    log.publish("Code", {}, "coder")
    log.end()
    assert log.shows(
        status="failed",
        errors=[{"agent": "", "phase": "code", "error": "it ended without Notes"}],
    )
    log = Log()
    log.begin("planner")
    log.end()
    assert log.shows(errors=[{"agent": "planner", "phase": "plan", "error": "it ended without Plan"}])


def test_a_limit_is_the_reason() -> None:
    log = Log()
    log.begin("planner")
    log.end("failed", reason="limits.correlation_runs: it made 9 runs", outcome=None)
    assert log.document["errors"][0]["error"] == "limits.correlation_runs: it made 9 runs"
    assert log.said[-1]["error"] == "The workflow failed: limits.correlation_runs: it made 9 runs"


def test_cancelled_is_failed() -> None:
    log = Log()
    log.begin("planner")
    log.add("run.cancelled", "planner", attempt=1)
    log.end("cancelled")
    assert log.shows(
        status="failed",
        errors=[{"agent": "planner", "phase": "plan", "error": "Cancelled"}],
        failed_at="1970-01-01T00:00:05.000Z",
    )
    assert log.said[-1] == {"type": "error", "error": "The workflow failed: Cancelled"}


def test_a_retry_by_hand_makes_a_failed_session_run_again() -> None:
    log = Log(Workflow("short", "Requirements", FULL.phases[:1]))
    log.begin("planner")
    log.advance("planner", 0.4)
    log.fail("planner", "no luck")
    log.end("failed")
    assert log.shows(status="failed", progress=40.0)
    log.add("correlation.started", round=2)
    log.add("run.retrying", "planner", attempt=2, reason="redrive", error=None, due_at=None)
    assert log.shows(status="running", errors=[], failed_at=None, progress=40.0)
    log.start("planner")
    log.publish("Plan", {"steps": 1})
    log.end()
    assert log.shows(status="completed", progress=100.0, started_at="1970-01-01T00:00:03.000Z")


def test_what_has_completed_stays_so() -> None:
    log = Log(Workflow("short", "Requirements", FULL.phases[:1]))
    log.begin("planner")
    log.publish("Plan", {"steps": 1})
    log.end()
    before, said = log.document, list(log.said)
    log.add("correlation.started", round=2)
    log.publish("Plan", {"steps": 2}, None)
    log.fail("planner", "no luck")
    log.end("failed")
    assert (log.document, log.said, log.session.seq) == (before, said, 9)


def test_no_result_hides_a_field_of_the_session() -> None:
    log = Log(Workflow("short", "Requirements", FULL.phases[:1]))
    log.begin("planner")
    log.publish("Plan", {"status": "green", "progress": -1, "session_id": "other", "extra": 1})
    log.end()
    document = log.document
    assert (document["status"], document["progress"], document["session_id"]) == ("completed", 100.0, ID)
    assert document["extra"] == 1
    assert document["results"] == {"status": "green", "progress": -1, "session_id": "other", "extra": 1}


def test_the_latest_artifact_of_a_type_counts_and_a_list_stands_under_its_type() -> None:
    log = Log(Workflow("short", "Requirements", (Phase("plan", ("Plan", "Notes")),)))
    log.begin("planner")
    log.publish("Plan", {"steps": 1})
    log.publish("Plan", {"steps": 2})
    log.publish("Notes", ["a", "b"])
    assert log.shows(partial_results={"steps": 2, "Notes": ["a", "b"]})


def test_a_workflow_that_is_no_longer_declared() -> None:
    log = Log(Workflow("gone", "", ()))
    log.begin("planner")
    assert log.shows(status="running", progress=0.0, current_phase=None)
    log.end()
    assert log.shows(status="completed", progress=100.0, results={})


def test_the_engine_says_who_does_the_work() -> None:
    assert Progression(FULL, AGENTS).engine == "function+llm"
    assert Progression(Workflow("short", "Requirements", FULL.phases[:1]), AGENTS).engine == "function"
