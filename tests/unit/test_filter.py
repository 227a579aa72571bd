"""Event filters: all fields combined, against a model that takes its time; and their one canonical form."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from flockd.domain.artifact import Artifact
from flockd.domain.event import Event, EventKind
from flockd.domain.filter import EVERYTHING, EventFilter, payload_of

WORDS = ["a", "b", "c"]
KINDS = [EventKind.artifact_published, EventKind.run_started, EventKind.run_output]
WHERE = {
    "n > `1`": lambda payload: isinstance(payload, dict) and payload.get("n", 0) > 1,
    "n == `0`": lambda payload: isinstance(payload, dict) and payload.get("n") == 0,
    "starts_with(word, 'x')": lambda payload: (
        isinstance(payload, dict) and payload.get("word", "").startswith("x")
    ),
}

word = st.sampled_from(WORDS)
some = st.frozensets(word, max_size=2)
payloads = st.one_of(
    st.builds(lambda n, text: {"n": n, "word": text}, st.integers(0, 3), st.sampled_from(["x1", "y"])),
    st.just([1, 2]),
    st.just({}),
)
artifacts = st.builds(
    lambda kind, by, tags, key, payload: Artifact(
        1, "id", kind, orjson.dumps(payload), by, "c", 1, tags=tuple(tags), partition_key=key
    ),
    word,
    word,
    st.lists(word, max_size=3, unique=True),
    st.none() | word,
    payloads,
)
events = st.builds(
    lambda kind, agent, correlation, artifact: Event(
        1, kind, 1, correlation, agent, "run", b"{}", artifact if kind is KINDS[0] else None
    ),
    st.sampled_from(KINDS),
    st.none() | word,
    word,
    artifacts,
)
filters = st.builds(
    EventFilter,
    kinds=st.frozensets(st.sampled_from([kind.value for kind in KINDS]), max_size=2),
    agents=some,
    correlation_ids=some,
    types=some,
    produced_by=some,
    tags=some,
    partition_keys=some,
    where=st.frozensets(st.sampled_from(sorted(WHERE)), max_size=2),
)


def naively(wanted: EventFilter, event: Event) -> bool:
    """Field by field, as the contract says it."""
    said = [
        (wanted.kinds, event.kind.value in wanted.kinds),
        (wanted.agents, event.agent in wanted.agents),
        (wanted.correlation_ids, event.correlation_id in wanted.correlation_ids),
    ]
    artifact = event.artifact
    if artifact is None:
        said += [(given, False) for given in wanted[3:]]
    else:
        payload = orjson.loads(artifact.payload)
        said += [
            (wanted.types, artifact.type in wanted.types),
            (wanted.produced_by, artifact.produced_by in wanted.produced_by),
            (wanted.tags, set(wanted.tags) <= set(artifact.tags)),
            (wanted.partition_keys, artifact.partition_key in wanted.partition_keys),
            (wanted.where, any(WHERE[expression](payload) for expression in wanted.where)),
        ]
    return all(holds for given, holds in said if given)


@given(wanted=filters, event=events)
def test_a_filter_is_all_of_its_fields(wanted: EventFilter, event: Event) -> None:
    assert wanted.admits(event) is naively(wanted, event)
    assert EVERYTHING.admits(event)


def test_filters_that_say_the_same_are_one() -> None:
    one = EventFilter(kinds=frozenset(["run.started", "run.failed"]), where=frozenset(["a", "b"]))
    other = EventFilter(kinds=frozenset(["run.failed", "run.started"]), where=frozenset(["b", "a", "b"]))
    assert one == other
    assert len({one, other}) == 1


def published(payload: Any) -> Event:
    artifact = Artifact(1, "id", "T", orjson.dumps(payload), "external", "c", 1)
    return Event(1, EventKind.artifact_published, 1, "c", artifact=artifact)


def test_an_expression_that_fails_on_a_payload_is_no_match() -> None:
    wanted = EventFilter(where=frozenset({"n > `1`"}))
    assert wanted.admits(published({"n": 2}))

    def broken(_artifact: Artifact) -> Any:
        raise ValueError("not JSON after all")

    assert not wanted.admits(published({"n": 2}), broken)


def test_the_payload_is_asked_for_only_where_it_matters() -> None:
    asked: list[str] = []

    def payload(artifact: Artifact) -> Any:
        asked.append(artifact.id)
        return payload_of(artifact)

    event = published({"n": 2})
    assert EventFilter(types=frozenset({"T"})).admits(event, payload)
    assert not EventFilter(types=frozenset({"U"}), where=frozenset({"n == `2`"})).admits(event, payload)
    assert asked == []
    assert EventFilter(types=frozenset({"T"}), where=frozenset({"n == `2`"})).admits(event, payload)
    assert asked == ["id"]


def test_the_one_workflow_of_a_filter() -> None:
    assert EventFilter(correlation_ids=frozenset({"c"})).correlation_id == "c"
    assert EventFilter(correlation_ids=frozenset({"c", "d"})).correlation_id is None
    assert EVERYTHING.correlation_id is None
