"""What scheduling promises, checked on a board that has come to rest: lists and log of one daemon."""

import itertools
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .client import Client, Json
from .people import Attempt
from .scheduled import EXPIRED, GATHERED, PACK
from .tail import Event

TIMERS = {"tick", "sweep"}


@dataclass(frozen=True)
class Board:
    """Everything that there is."""

    artifacts: list[Json]
    runs: list[Json]
    correlations: list[Json]
    questions: list[Json]
    log: list[Event]

    @classmethod
    async def read(cls, client: Client, log: list[Event]) -> "Board":
        """All of it, from a daemon at which nothing changes any more."""
        return cls(
            await client.artifacts(),
            await client.runs(),
            await client.correlations(),
            await client.questions(state="all"),
            log,
        )

    def of(self, *kinds: str, **fields: object) -> list[Event]:
        """The events of these kinds whose top-level fields have these values, in the order of the log."""
        return [e for e in self.log if e["kind"] in kinds and all(e[k] == v for k, v in fields.items())]


def check_gathered(board: Board) -> None:
    """Each half and each parcel was taken once, or (a half) told as expired once; and no pair was missed."""
    by_id = {artifact["id"]: artifact for artifact in board.artifacts}
    taken: Counter[str] = Counter()
    for run in board.runs:
        if run["agent"] not in GATHERED.values():
            continue
        assert run["state"] == "completed", run
        inputs = [by_id[one] for one in run["inputs"]]
        (output,) = (by_id[one] for one in run["outputs"])
        numbers = [one["payload"]["n"] for one in inputs]
        if run["agent"] == "pairer":
            assert [one["type"] for one in inputs] == ["Left", "Right"]
            assert inputs[0]["payload"]["key"] == inputs[1]["payload"]["key"]
            assert [output["payload"]["n"], output["payload"]["other"]] == numbers
        else:
            assert 1 <= len(inputs) <= PACK
            assert output["payload"]["parcels"] == numbers
        taken.update(run["inputs"])
    expired = {one: event["seq"] for event in board.of("join.expired") for one in event["data"]["artifacts"]}
    told = Counter(one for event in board.of("join.expired") for one in event["data"]["artifacts"])
    gathered = [artifact for artifact in board.artifacts if artifact["type"] in GATHERED]
    assert taken + told == Counter(artifact["id"] for artifact in gathered)
    assert not [one for one in expired if by_id[one]["type"] == "Parcel"]
    in_vain: dict[str, list[Json]] = defaultdict(list)
    for one in expired:
        in_vain[by_id[one]["payload"]["key"]].append(by_id[one])
    for waited in in_vain.values():
        for one, other in itertools.combinations(sorted(waited, key=lambda half: half["seq"]), 2):
            assert one["type"] == other["type"] or expired[one["id"]] < other["seq"], "they could have met"


def check_batches(board: Board, batches: list[Json]) -> None:
    """Each item of each batch has its workflow and its place, and the progress counts them one by one."""
    children: dict[str, list[str]] = defaultdict(list)
    for correlation in board.correlations:
        if correlation["batch_id"] is not None:
            children[correlation["batch_id"]].append(correlation["id"])
    outputs = Counter(a["payload"]["n"] for a in board.artifacts if a["type"] == "Weighed")
    results: list[int] = []
    for batch in batches:
        total = batch["total_items"]
        assert (batch["status"], batch["completed_items"], batch["failed_items"]) == ("completed", total, 0)
        progress = [event["data"] for event in board.of("batch.progress", correlation_id=batch["batch_id"])]
        assert [one["completed"] for one in progress] == list(range(1, total + 1))
        assert sorted(one["item"] for one in progress) == list(range(total))
        ended = sorted(one["item_correlation_id"] for one in progress)
        assert ended == sorted(children.pop(batch["batch_id"]))
        results += [result["n"] for result in batch["results"]]
    assert not children
    assert outputs == Counter(results)
    assert set(outputs.values()) <= {1}


def check_answers(board: Board, attempts: dict[str, list[Attempt]]) -> None:
    """Each question ended once: with the one answer that was taken, or by itself; its run has that answer."""
    ends = {event["data"]["question_id"]: event["data"] for event in board.of("question.answered")}
    assert len(ends) == len(board.of("question.answered")) == len(board.of("question.asked"))
    granted = {a["correlation_id"]: a["payload"]["answer"] for a in board.artifacts if a["type"] == "Granted"}
    assert len(granted) == len(board.questions) == len(ends)
    for question in board.questions:
        tried = attempts[question["id"]]
        taken = {one.value for one in tried if one.answered is not None and one.answered.status == 200}
        assert question["state"] in {"answered", "expired"}
        assert {name: ends[question["id"]][name] for name in ("state", "answer", "answered_by")} == {
            name: question[name] for name in ("state", "answer", "answered_by")
        }
        if question["state"] == "answered":
            assert question["answer"] in {one.value for one in tried}
            assert taken <= {question["answer"]}, f"{question} took {tried}"
            assert granted[question["correlation_id"]] == question["answer"]
        else:
            assert not taken
            assert granted[question["correlation_id"]] == EXPIRED
        check_repeats(tried)


def check_repeats(tried: list[Attempt]) -> None:
    """Without a key one request at most was taken; with a key all of them say the same."""
    answers = [(one.key, one.answered) for one in tried if one.answered is not None]
    assert sum(answer.status == 200 and not answer.replayed for _, answer in answers) <= 1
    keyed = [answer for key, answer in answers if key is not None and answer.status == 200]
    assert len({str(answer.body) for answer in keyed}) <= 1
    assert all(answer.replayed for answer in keyed[1:])


def check_steps(board: Board, folder: Path) -> None:
    """A step that was recorded has had its last effect: whoever comes later gets what that gave."""
    tokens: dict[str, str] = {}
    for file in folder.iterdir():
        lines = [line.split() for line in file.read_text().splitlines()]
        happened = [what for what, _ in lines]
        first = happened.index("recorded")
        assert "did" not in happened[first:], f"{file.name}: {lines}"
        assert len({token for what, token in lines[first - 1 :]}) == 1, f"{file.name}: {lines}"
        tokens[file.name] = lines[first][1]
    used: set[str] = set()
    by_id = {artifact["id"]: artifact for artifact in board.artifacts}
    for run in board.runs:
        names = {"spender": ["first", "second"], "genie": ["price"]}.get(run["agent"], [])
        if names:
            files = [f"{run['id']}-{name}" for name in names]
            payload = by_id[run["outputs"][0]]["payload"]
            assert payload.get("tokens", [payload.get("token")]) == [tokens[file] for file in files]
            used.update(files)
    assert used == set(tokens)


def check_timers(board: Board) -> None:
    """Firings are counted without a gap, their moments rise, and each has its workflow with what it makes."""
    fired: dict[str, list[Event]] = defaultdict(list)
    for event in board.of("timer.fired"):
        fired[event["data"]["timer"]].append(event)
    assert set(fired) == TIMERS
    for events in fired.values():
        assert [event["data"]["fired"] for event in events] == list(range(1, len(events) + 1))
        moments = [event["data"]["due_at"] for event in events]
        assert all(one < two for one, two in itertools.pairwise(moments)), moments
    made: dict[str, Counter[str]] = defaultdict(Counter)
    for artifact in board.artifacts:
        made[artifact["correlation_id"]][artifact["type"]] += 1
    expected = {"tick": Counter(Tick=1, Tock=1), "sweep": Counter(Swept=1)}
    for name, events in fired.items():
        mine = [correlation["id"] for correlation in board.correlations if correlation["name"] == name]
        assert Counter(mine) == Counter(event["correlation_id"] for event in events)
        assert all(made[one] == expected[name] for one in mine)


def check_hidden(board: Board) -> None:
    """What was hidden became visible once, and nobody began to work on it before."""
    visible = {event["artifact"]["id"]: event["seq"] for event in board.of("artifact.visible")}
    assert len(visible) == len(board.of("artifact.visible"))
    assert set(visible) == {artifact["id"] for artifact in board.artifacts if artifact["type"] == "Later"}
    for event in board.of("run.started", agent="watchman"):
        (artifact_id,) = event["data"]["inputs"]
        assert visible[artifact_id] < event["seq"]


def check_pauses(board: Board) -> None:
    """Between pausing and resuming, nothing of that agent, or of that workflow, started."""
    batch_of = {correlation["id"]: correlation["batch_id"] for correlation in board.correlations}
    paused: set[Any] = set()
    for event in board.log:
        what, _, change = event["kind"].partition(".")
        subject = event["agent"] if what == "agent" else event["correlation_id"]
        if change == "paused":
            paused.add(subject)
        elif change == "resumed":
            paused.remove(subject)
        elif event["kind"] == "run.started":
            correlation_id = event["correlation_id"]
            bound = {event["agent"], correlation_id, batch_of[correlation_id]}
            assert not paused & bound, f"{event} started while {paused & bound} was paused"


def check_places(board: Board) -> None:
    """Of each customer one errand was at work at a time."""
    customers = {a["id"]: a["payload"]["customer"] for a in board.artifacts if a["type"] == "Errand"}
    at_work: dict[str, str] = {}
    for event in board.of("run.started", "run.retrying", "run.completed", agent="runner"):
        if event["kind"] == "run.started":
            customer = customers[event["data"]["inputs"][0]]
            assert customer not in at_work.values(), event
            at_work[event["run_id"]] = customer
        else:
            del at_work[event["run_id"]]
    assert not at_work


def check_errors(board: Board) -> None:
    """Each run that failed for good was told of by one AgentError, and that was taken by one run."""
    dead = Counter(run["id"] for run in board.runs if run["state"] == "dead")
    assert dead == Counter(a["payload"]["run_id"] for a in board.artifacts if a["type"] == "AgentError")
    assert dead == Counter(a["payload"]["run_id"] for a in board.artifacts if a["type"] == "Buried")
