"""What it costs to find the agents for an artifact beside thousands that do not want it."""

from collections.abc import Callable, Sequence

from bench.choices import Choice, choice_rows
from bench.report import Row
from bench.rounds import Bench
from flockd.domain.agent import Agent
from flockd.domain.predicate import compile_where
from flockd.domain.subscription import Candidate, Matcher, Subscription
from flockd.domain.visibility import PUBLIC
from flockd.domain.where import WherePayload

MOST_MICROSECONDS = 50.0
"""To match one artifact, whoever else subscribes."""

CARE = 10
"""Agents that subscribe to the type of the artifact, where some do."""


def measure_match(bench: Bench) -> list[Row]:
    """One artifact against 1,000 and 10,000 subscriptions, each against ten."""
    measures: list[tuple[str, Callable[[int], Choice]]] = [
        ("match an artifact that nobody wants", _match_none),
        ("match, 1 agent wants its type", _match_one),
        (f"match, {CARE} ask more of it", _match_choosy),
    ]
    return [
        row
        for what, build in measures
        for row in choice_rows(bench, "match", what, "agents", build, MOST_MICROSECONDS)
    ]


# -- matching -----------------------------------------------------------------------------------------------------


def _match_none(count: int) -> Choice:
    return _match(_others(count), expected=0)


def _match_one(count: int) -> Choice:
    return _match([*_others(count - 1), Agent("wants", Subscription(("Wanted",)), ())], expected=1)


def _match_choosy(count: int) -> Choice:
    """Of those that want the type, every other one refuses: by its predicate, its tags or its producers."""
    where = [WherePayload(compile_where(f"n == `{n}`")) for n in (1, 2)]
    tags = [frozenset({"red"}), frozenset({"blue"})]
    producers = [frozenset({"external"}), frozenset({"nobody"})]
    choosy = [
        Subscription(("Wanted",), where=where[n % 2], tags=tags[0], from_agents=producers[0])
        if n % 3 == 0
        else Subscription(("Wanted",), where=where[0], tags=tags[n % 2], from_agents=producers[0])
        if n % 3 == 1
        else Subscription(("Wanted",), where=where[0], tags=tags[0], from_agents=producers[n % 2])
        for n in range(CARE)
    ]
    agents = [Agent(f"choosy{n}", subscription, ()) for n, subscription in enumerate(choosy)]
    return _match([*_others(count - CARE), *agents], expected=CARE // 2)


def _match(agents: Sequence[Agent], *, expected: int) -> Choice:
    matcher = Matcher(agents)

    def match() -> int:
        candidate = Candidate("Wanted", b'{"n":1}', None, "external", ("red",), PUBLIC)
        return len(matcher.match(candidate))

    if match() != expected:
        raise AssertionError(f"the artifact wakes {match()} agents, not {expected}")
    return match


def _others(count: int) -> list[Agent]:
    return [Agent(f"other{n}", Subscription((f"Other{n}",)), ()) for n in range(count)]
