"""Timers, as authors declare them: `schedule=` of an agent, `flock.schedule(…)`."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from flockd import After, Context, Cron, Daily, DeclarationError, Every, Flock, Once, Private
from flockd.domain.schedule import Schedule
from flockd.domain.timer import Publishes, Starts, Timer
from flockd.domain.visibility import PUBLIC


class Reminder(BaseModel):
    text: str = "look"
    at: timedelta | None = None


class Report(BaseModel):
    lines: int = 0


async def sweep(ctx: Context) -> Report:
    """Sweeps."""
    return Report()


def tidy() -> None:
    """Tidies, in a thread."""


async def read(reminder: Reminder) -> None: ...


def refused(declare: Callable[[], Any]) -> str:
    with pytest.raises(DeclarationError) as wrong:
        declare()
    return str(wrong.value)


def scheduled(schedule: Any, flock: Flock | None = None, **options: Any) -> Flock:
    flock = flock or Flock()
    flock.agent(schedule=schedule, **options)(sweep)
    return flock


# Agents with a schedule


@pytest.mark.parametrize(
    ("written", "schedule"),
    [
        (Every("5m", jitter="10s"), Every("5m", jitter="10s")),
        ({"every": "5m", "jitter": "10s"}, Every("5m", jitter="10s")),
        ({"daily": "09:00", "tz": "Europe/Berlin"}, Daily("09:00", tz="Europe/Berlin")),
        ({"cron": "0 9 * * 1-5", "catch_up": "once"}, Cron("0 9 * * 1-5", catch_up="once")),
        ({"every": "5m", "overlap": "skip"}, Every("5m", overlap="skip")),
        ({"every": 60, "max_repeats": 3}, Every(60, max_repeats=3)),
        ({"once": "2026-12-24T18:00:00Z"}, Once("2026-12-24T18:00:00Z")),
        (
            {"once": datetime(2026, 12, 24, 18, tzinfo=UTC)},
            Once(datetime(2026, 12, 24, 18, tzinfo=UTC)),
        ),
    ],
)
def test_an_agent_without_artifacts_starts_by_its_schedule(written: Any, schedule: Schedule) -> None:
    flock = scheduled(written)
    assert flock.timers() == (Timer("sweep", schedule, Starts("sweep")),)
    agent = flock.agents()["sweep"]
    assert (agent.subscription.types, agent.outputs, agent.description) == ((), ("Report",), "Sweeps.")
    flock.validate()


def test_a_plain_function_needs_not_even_a_context() -> None:
    flock = Flock()
    flock.agent(name="nightly-tidy", schedule=Daily("02:00"))(tidy)
    (timer,) = flock.timers()
    assert (timer.name, timer.target) == ("nightly-tidy", Starts("nightly-tidy"))


async def test_it_is_called_without_artifacts() -> None:
    flock = scheduled(Every("5m"))

    class Bare(Context):
        def __init__(self) -> None:
            self.agent = "sweep"

    outputs = await flock.engine("sweep").run([], Bare(), None)  # type: ignore[arg-type]
    assert [output.value for output in outputs] == [Report()]


@pytest.mark.parametrize(
    ("schedule", "sentence"),
    [
        ("5m", "schedule is '5m': write Every(\"5m\"), Daily("),
        ({}, "schedule is {}: write Every("),
        ({"every": "5m", "daily": "09:00"}, "schedule is {'every': '5m', 'daily': '09:00'}: write Every("),
        ({"every": "soon"}, "schedule: 'soon' is not a duration"),
        ({"every": "1ms"}, "schedule: an interval is from 1s to 3650d, not '1ms'"),
        ({"every": "5m", "tz": "UTC"}, "schedule: got an unexpected keyword argument 'tz'"),
        ({"daily": "9"}, "schedule: a time of day is written \"09:00\", not '9'"),
        ({"daily": "09:00", "tz": "Mars"}, "schedule: 'Mars' is not a time zone"),
        ({"cron": "x"}, "schedule: 'x' is not a cron expression"),
        ({"once": "soon"}, "schedule: 'soon' is not a moment"),
        ({"every": "5m", "catch_up": "all"}, "schedule: catch_up is"),
    ],
)
def test_a_wrong_schedule_is_refused(schedule: Any, sentence: str) -> None:
    flock = Flock()
    assert refused(lambda: scheduled(schedule, flock)).startswith(f"agent sweep: {sentence}")
    assert (list(flock.agents()), flock.timers()) == ([], ())


def test_an_agent_with_artifacts_has_no_schedule() -> None:
    wanted = (
        "schedule= starts it without artifacts, but it takes {}: take that away, or publish an artifact with "
        "flock.schedule(…)"
    )
    flock = Flock()
    assert refused(lambda: flock.agent(schedule=Every("5m"))(read)) == "agent read: " + wanted.format(
        "reminder"
    )
    assert refused(lambda: flock.agent(schedule=Every("5m"), consumes=Reminder)(sweep)) == (
        "agent sweep: " + wanted.format("Reminder")
    )
    assert scheduled(Every("5m"), consumes=[]).timers() != ()


# flock.schedule


def test_a_value_is_published() -> None:
    flock = Flock()
    flock.agent(read)
    flock.schedule(
        "morning",
        Daily("09:00"),
        publish=Reminder(text="stand up", at=timedelta(minutes=1)),
        tags=["daily", "team"],
        partition_key="p",
        visibility=Private(agents=("read",)),
    )
    (timer,) = flock.timers()
    assert (timer.name, timer.schedule) == ("morning", Daily("09:00"))
    payload = b'{"text":"stand up","at":"PT1M"}'
    assert timer.target == Publishes("Reminder", payload, ("daily", "team"), "p", Private(agents=("read",)))
    flock.validate()
    assert flock.warnings() == []


@pytest.mark.parametrize("named", [Reminder, "Reminder"])
def test_a_type_is_published_with_its_payload(named: Any) -> None:
    flock = Flock()
    flock.type(Reminder)
    flock.schedule("with", Every("5m"), publish=named, payload={"text": "x"}, tags="one")
    flock.schedule("without", Every("5m"), publish=named)
    given, default = (timer.target for timer in flock.timers())
    assert given == Publishes("Reminder", b'{"text":"x","at":null}', ("one",))
    assert default == Publishes("Reminder", b'{"text":"look","at":null}', (), None, PUBLIC)


def test_a_value_makes_its_model_a_type() -> None:
    flock = Flock()
    flock.schedule("tick", Every("5m"), publish=Report())
    flock.schedule("later", Every("5m"), publish=Report, visibility={"kind": "After", "ttl": "1h"})
    assert list(flock.types()) == ["Report"]
    target = flock.timers()[1].target
    assert isinstance(target, Publishes)
    assert target.visibility == After(ttl=3600)
    assert flock.warnings() == [
        "timer tick: it publishes Report, and no agent wakes on that",
        "timer later: it publishes Report, and no agent wakes on that",
    ]


def test_a_moment_that_is_over_and_a_visibility_for_nobody_are_warned_of() -> None:
    flock = Flock()

    @flock.agent
    async def read(report: Report) -> None: ...

    gone = "2020-01-01T00:00:00Z"
    flock.schedule("over", Once(gone), publish=Report())
    flock.schedule("made_up_for", Once(gone, catch_up="once"), publish=Report())
    flock.schedule("hidden", Every("5m"), publish=Report(), visibility=Private(agents=("reed", "READ")))
    assert flock.warnings() == [
        "timer over: its moment, 2020-01-01T00:00:00.000Z, is over, and it fires no more: where it never did, "
        'catch_up="once" makes up for it',
        "timer hidden: visibility= names reed, which is no agent: did you mean read?",
    ]


def test_plain_data_is_published_by_its_type() -> None:
    flock = Flock()
    ticket = flock.type("Ticket", schema={"type": "object", "required": ["id"]})
    flock.schedule("open", Every("5m"), publish=ticket, payload={"id": 3})
    assert flock.timers()[0].target == Publishes("Ticket", b'{"id":3}')


def test_an_agent_is_started_whatever_its_spelling() -> None:
    flock = Flock()
    flock.schedule("early", Every("5m"), run="Night-Sweep")
    flock.agent(name="night_sweep", consumes=[])(sweep)
    assert flock.timers()[0].target == Starts("night_sweep")
    flock.validate()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "timer t: it needs either publish= or run=, and not both"),
        ({"publish": Report(), "run": "sweep"}, "timer t: it needs either publish= or run=, and not both"),
        (
            {"run": "sweep", "tags": "x"},
            "timer t: run= starts an agent, and payload=, tags=, partition_key= and",
        ),
        ({"run": "sweep", "payload": {}}, "timer t: run= starts an agent, and payload="),
        ({"publish": Report(), "payload": {}}, "timer t: publish= is a Report, and payload= is for a type"),
        ({"publish": "Raport"}, "timer t: there is no artifact type Raport: did you mean Report?"),
        ({"publish": 5}, "timer t: publish= has <class 'int'>, which is no artifact type"),
        ({"publish": [Report()]}, "timer t: publish= has <class 'list'>, which is no artifact type"),
        (
            {"publish": Report, "payload": {"lines": "many"}},
            "timer t: its Report does not fit: payload.lines",
        ),
        ({"publish": Report, "payload": {"lines": object()}}, "timer t: JSON cannot hold its Report: "),
        ({"publish": Report(), "tags": [3]}, "timer t: tags has 3: give it a word or a list of words"),
        ({"publish": Report(), "visibility": "x"}, "timer t: visibility 'x' is none ("),
        ({"publish": Report(), "schedule": "5m"}, "timer t: schedule is '5m': write Every("),
        ({"publish": Report(), "name": "a b"}, "timer 'a b': a name begins with a letter"),
        (
            {"publish": Report(), "name": "Sweep"},
            "timer Sweep: there is already a timer sweep (case and - or",
        ),
    ],
)
def test_a_wrong_timer_is_refused(options: dict[str, Any], sentence: str) -> None:
    flock = scheduled(Every("5m"))
    options = {"name": "t", "schedule": Every("5m"), **options}
    assert refused(lambda: flock.schedule(**options)).startswith(sentence)
    assert [timer.name for timer in flock.timers()] == ["sweep"]


def test_an_agent_does_not_take_the_name_of_a_timer() -> None:
    flock = Flock()
    flock.schedule("Sweep", Every("5m"), publish=Report())
    assert refused(lambda: scheduled(Every("1h"), flock)).startswith(
        "timer sweep: there is already a timer Sweep"
    )
    assert list(flock.agents()) == []
    flock.agent(name="sweep", consumes=[])(sweep)
    assert list(flock.agents()) == ["sweep"]


def test_validate_knows_what_a_timer_cannot_start() -> None:
    flock = Flock()
    flock.agent(read)
    flock.schedule("one", Every("5m"), run="reed")
    flock.schedule("two", Every("5m"), run="read")
    flock.schedule("three", Every("5m"), run="zebra")
    assert refused(flock.validate).splitlines() == [
        "timer one: run= names reed, which is no agent: did you mean read?",
        "timer two: run= names read, which takes Reminder, and a timer starts it without: publish that with publish=",
        "timer three: run= names zebra, which is no agent: name an agent of this flock",
    ]


def test_included_timers_come_along_and_never_twice() -> None:
    one, other = scheduled(Every("5m")), Flock()
    one.schedule("tick", Every("5m"), publish=Report())
    other.include(one)
    assert other.timers() == one.timers()
    rival = Flock()
    rival.schedule("tick", Every("1h"), publish=Report())
    assert refused(lambda: other.include(rival)) == "timer tick: there is already a timer tick: rename one"
