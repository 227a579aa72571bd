"""Types, agents, flows, workflows and schedules that are declared in the configuration."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flockd.config import AgentTable, Config, FlowTable, PhaseTable, TimerTable, TypeTable, WorkflowTable
from flockd.config.llm_tables import ThinkingKeys
from flockd.config.tables import RunTable
from flockd.domain.rate import Rate
from flockd.domain.schedule import Cron, Daily, Every
from flockd.domain.timer import Publishes, Starts, Timer
from flockd.domain.workflow import Phase, Workflow
from flockd.engines.base import Output
from flockd.engines.llm.engine import LlmEngine
from flockd.flock import DeclarationError, Flock
from flockd.flock.options import AgentOptions, RunOptions
from flockd.flock.thinking import ThinkingOptions
from flockd.loading import load_flock, with_tables

from .test_loading import (
    AGENTS,
    FUNCTIONS,
    folder,
    nothing,
    refused,
    table,
    write,
)

__all__ = ["folder"]


def test_types_of_the_configuration(folder: Path) -> None:
    config = Config(
        types=[
            TypeTable(
                name="Question", fields="text: str | What to ask", description="A question.", version=2
            ),
            TypeTable(name="Ticket", schema={"type": "object", "required": ["id"]}),
        ]
    )
    types = with_tables(config, Flock()).types()
    assert (types["Question"].version, types["Question"].description) == (2, "A question.")
    assert types["Question"].parse(b'{"text": "x"}').text == "x"
    assert types["Ticket"].parse(b'{"id": 1}') == {"id": 1}


async def test_an_agent_of_the_configuration(folder: Path) -> None:
    write(folder / "functions.py", FUNCTIONS)
    agent_table = table(
        name="loud-speaker",
        input="text: str",
        output="answer: str | Louder",
        description="Speaks up.",
        where="text != ''",
        max_concurrency=2,
        retries=3,
        timeout="30s",
        priority="high",
        from_agents=["external"],
        tags=["a"],
        labels=["l"],
        tenant="acme",
        visibility={"kind": "Private", "agents": ["listener"]},
        prevent_self_trigger=False,
        output_tags=["loud"],
        concurrency_key="text",
        rate="10/1m",
        backoff={"timeout": "5s"},
        fan_out={"max": 2},
    )
    loaded = load_flock(Config(agents=[agent_table]))
    agent = loaded.agents()["loud-speaker"]
    assert agent.subscription.types == ("LoudSpeakerInput",)
    assert agent.outputs == ("LoudSpeakerOutput",)
    assert agent.description == "Speaks up."
    assert (agent.max_concurrency, agent.retries, agent.timeout_seconds) == (2, 3, 30.0)
    assert agent.priority is not None
    assert agent.priority.name == "high"
    assert (agent.subscription.from_agents, agent.subscription.tags) == ({"external"}, {"a"})
    assert (agent.tags, agent.rate, agent.backoff) == (("loud",), Rate(10, 60_000), {"timeout": 5.0})
    assert agent.concurrency_key is not None
    assert (agent.labels, agent.tenant, agent.subscription.prevent_self_trigger) == ({"l"}, "acme", False)
    assert agent.subscription.where is not None
    assert agent.visibility is not None
    assert agent.visibility.kind == "Private"

    class Inline:
        loop: Any = None

        async def start(self, work: Callable[[], Any], name: str) -> Any:
            return work()

    question = loaded.types()["LoudSpeakerInput"].parse(b'{"text": "hi"}')
    outputs = await loaded.engine("loud-speaker").run([question], nothing(), Inline())
    assert outputs == [Output("LoudSpeakerOutput", {"answer": "HI"})]


def test_an_agent_of_the_configuration_has_the_decorators_defaults(folder: Path) -> None:
    write(folder / "functions.py", FUNCTIONS)
    agent = load_flock(Config(agents=[table(input="text: str", output="answer: str")])).agents()["shouter"]
    assert agent.description == "Says it louder."
    assert (agent.max_concurrency, agent.retries, agent.timeout_seconds) == (64, 0, 600.0)
    assert agent.subscription.prevent_self_trigger


def test_tables_come_on_top_of_a_target(folder: Path) -> None:
    write(folder / "mine.py", AGENTS.format(name="mine", type="Idea", agent="reader"))
    write(folder / "functions.py", FUNCTIONS)
    config = Config(agents=[table(input="text: str", output="answer: str")])
    assert list(load_flock(config, "mine:flock").agents()) == ["reader", "shouter"]


def test_the_table_and_the_decorator_have_the_same_options() -> None:
    assert RunTable.option_names() == set(RunOptions.__annotations__)
    assert AgentTable.option_names() | {"name", "consumes", "publishes"} == set(AgentOptions.__annotations__)
    assert set(ThinkingKeys.model_fields) == set(ThinkingOptions.__annotations__)
    parameters = set(inspect.signature(Flock.schedule).parameters) - {"self"}
    assert set(TimerTable.model_fields) == parameters


FLOWS = """
from pydantic import BaseModel


class Poem(BaseModel):
    sentence_count: int = 1
    poem: str = ""


class Request(BaseModel):
    sentence_count: int


class PoemFlow:
    \"\"\"Writes poems.\"\"\"

    state: Poem

    def kickoff(self):
        self.state.poem = "A line. " * self.state.sentence_count


async def haiku(request: Request) -> Poem:
    return Poem()
"""


def test_flows_of_the_configuration(folder: Path) -> None:
    write(folder / "flows.py", FLOWS)
    tables = [
        FlowTable.model_validate({"class": "flows:PoemFlow"}),
        FlowTable.model_validate(
            {
                "name": "poems",
                "class": "flows:PoemFlow",
                "request": "flows:Request",
                "result": "flows:Poem",
                "description": "Rhymes.",
                "timeout": "30s",
                "max_concurrency": 2,
            }
        ),
        FlowTable.model_validate({"class": "flows:haiku"}),
    ]
    loaded = load_flock(Config(flows=tables))
    agents = loaded.agents()
    assert list(agents) == ["poem_flow", "poems", "haiku"]
    assert {agent.kind for agent in agents.values()} == {"flow"}
    assert (agents["poem_flow"].subscription.types, agents["poem_flow"].description) == (
        ("Poem",),
        "Writes poems.",
    )
    assert (agents["poems"].subscription.types, agents["poems"].outputs) == (("Request",), ("Poem",))
    assert (agents["poems"].description, agents["poems"].timeout_seconds) == ("Rhymes.", 30.0)
    assert agents["poems"].max_concurrency == 2


GATHERING = """
from pydantic import BaseModel


class Order(BaseModel):
    id: str


class Payment(BaseModel):
    order_id: str


async def ship(order: Order, payment: Payment) -> None: ...
async def count(orders: list[Order]) -> list[Order]: ...
async def sweep() -> Order: ...
"""


def test_joins_batches_and_schedules_of_the_configuration(folder: Path) -> None:
    write(folder / "gathering.py", GATHERING)
    write(
        folder / "config.toml",
        """
        [[agents]]
        name = "ship"
        function = "gathering:ship"
        join = { by = { Order = "id", Payment = "order_id" }, within = "1h" }

        [[agents]]
        name = "count"
        function = "gathering:count"
        batch = { size = 10, timeout = "30s", by = "id" }
        fan_out = 3
        backoff = "2s"

        [[agents]]
        name = "sweep"
        function = "gathering:sweep"
        schedule = { every = "5m", jitter = "10s" }

        [[timers]]
        name = "morning"
        schedule = { daily = "09:00", tz = "Europe/Berlin", catch_up = "once", overlap = "skip" }
        publish = "Order"
        payload = { id = "x" }
        tags = ["daily"]

        [[timers]]
        name = "noon"
        schedule = { cron = "0 12 * * *", max_repeats = 2 }
        run = "Sweep"
        """,
    )
    loaded = load_flock(Config.load(folder / "config.toml"))
    loaded.validate()
    agents = loaded.agents()
    assert repr(agents["ship"].subscription.gathering) == (
        "JoinSpec(by={'Order': 'id', 'Payment': 'order_id'}, within=3600)"
    )
    assert repr(agents["count"].subscription.gathering) == "BatchSpec(size=10, timeout=30, by='id')"
    assert agents["count"].backoff == {"*": 2.0}
    assert loaded.timers() == (
        Timer("sweep", Every("5m", jitter="10s"), Starts("sweep")),
        Timer(
            "morning",
            Daily("09:00", tz="Europe/Berlin", catch_up="once", overlap="skip"),
            Publishes("Order", b'{"id":"x"}', ("daily",)),
        ),
        Timer("noon", Cron("0 12 * * *", max_repeats=2), Starts("sweep")),
    )


def test_workflows_of_the_configuration_name_types_of_everything_that_was_loaded(folder: Path) -> None:
    write(folder / "mine.py", AGENTS.format(name="mine", type="Idea", agent="reader"))
    workflow = WorkflowTable(
        name="full",
        description="All.",
        start="Idea",
        phases=[PhaseTable(name="plan", types=["Plan", "ThinkerOutput"])],
    )
    thinker = AgentTable(
        name="thinker",
        engine="llm",
        input="idea: str",
        output="plan: str",
        instructions="Think.",
        hand_off="reader",
    )
    config = Config(types=[TypeTable(name="Plan", fields="a: str")], agents=[thinker], workflows=[workflow])
    loaded = load_flock(config, "mine:flock")
    assert loaded.workflows() == (
        Workflow("full", "Idea", (Phase("plan", ("Plan", "ThinkerOutput")),), "All."),
    )
    agent = loaded.agents()["thinker"]
    assert (agent.kind, agent.subscription.types, agent.outputs) == (
        "llm",
        ("ThinkerInput",),
        ("ThinkerOutput",),
    )
    assert agent.description == "Think."
    engine = loaded.engine("thinker")
    assert isinstance(engine, LlmEngine)
    assert engine.default_model == "a-model", "that of the first flock"
    with pytest.raises(DeclarationError, match="hand_off has reader, which needs text"):
        loaded.validate()


def test_what_a_module_declares_is_carried_along(folder: Path) -> None:
    write(
        folder / "mine.py",
        FLOWS
        + """
from flockd import Flock

flock = Flock()
flock.flow(PoemFlow)
flock.workflow("poetry", start=Poem, phases={"write": [Poem]})
""",
    )
    for loaded in (load_flock(Config(modules=["mine"])), load_flock(Config(), "mine:flock")):
        assert list(loaded.agents()) == ["poem_flow"]
        assert [workflow.name for workflow in loaded.workflows()] == ["poetry"]


@pytest.mark.parametrize(
    ("tables", "sentence"),
    [
        (
            {"flows": [{"class": "flows:PomFlow"}]},
            "flow flows:PomFlow ([[flows]]): flows:PomFlow: flows has no PomFlow: did you mean PoemFlow?",
        ),
        (
            {"flows": [{"name": "p", "class": "flows:PoemFlow", "result": "flows:Nix"}]},
            "flow p ([[flows]]): flows:Nix: flows has no Nix",
        ),
        ({"flows": [{"class": "flows:Poem"}]}, "flow poem: Poem has neither kickoff() nor kickoff_async()"),
        (
            {"flows": [{"class": "flows:PoemFlow"}, {"class": "flows:PoemFlow"}]},
            "flow poem_flow: there is already a flow poem_flow",
        ),
        (
            {"timers": [{"name": "t", "schedule": {"every": "5m"}, "publish": "Nix"}]},
            "timer t: there is no artifact type Nix",
        ),
        (
            {"timers": [{"name": "t", "schedule": {"every": "soon"}, "run": "x"}]},
            "timer t: schedule: 'soon' is not a duration",
        ),
        (
            {"timers": [{"name": "t", "schedule": {"once": "soon"}, "run": "x"}]},
            "timer t: schedule: 'soon' is not a moment",
        ),
        (
            {"workflows": [{"name": "w", "start": "Nix", "phases": [{"name": "p", "types": ["Nix"]}]}]},
            "workflow w: there is no artifact type Nix",
        ),
        (
            {"agents": [{"name": "a", "engine": "llm", "input": "q: strr", "output": "r: str"}]},
            "agent a ([[agents]]): input: the fields 'q: strr': at character 4",
        ),
    ],
)
def test_a_table_that_declares_wrongly_is_a_sentence(
    folder: Path, tables: dict[str, Any], sentence: str
) -> None:
    write(folder / "flows.py", FLOWS)
    config = Config.model_validate(tables)
    assert refused(lambda: with_tables(config, Flock())).startswith(sentence)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (
            {"types": [TypeTable(name="X", fields="a: string")]},
            "artifact type X ([[types]]): the fields 'a: string': at character 4: 'string' is no type",
        ),
        (
            {"types": [TypeTable(name="X", schema={"type": "objekt"})]},
            "artifact type X: this is no JSON Schema: ",
        ),
        (
            {"types": [TypeTable(name="X", fields="a: int"), TypeTable(name="X", fields="b: int")]},
            "artifact type X: ",
        ),
        (
            {"agents": [table(input="a", output="b: str")]},
            "agent shouter ([[agents]]): input: the fields 'a': at character 1: the field a has no type",
        ),
        (
            {"agents": [table(function="functions:shoot")]},
            "agent shouter ([[agents]]): functions:shoot: functions has no ",
        ),
        (
            {"agents": [table(function="functions:NOT_A_FLOCK")]},
            "agent shouter: 5 is not a function: write an async def or a def",
        ),
        (
            {"agents": [table(function="absent:x")]},
            "agent shouter ([[agents]]): the module absent cannot be imported",
        ),
        (
            {"agents": [table(output="answer: str")]},
            "agent shouter: the parameter question has no annotation: ",
        ),
        ({"agents": [table(input="text: str")]}, "agent shouter: it does not say what it publishes: "),
        (
            {"agents": [table(input="t: str", output="a: str", timeout="soon")]},
            "agent shouter: timeout: 'soon' is ",
        ),
        (
            {"agents": [table(name="a b", input="t: str", output="a: str")]},
            "agent 'a b': a name begins with a letter",
        ),
    ],
)
def test_wrong_tables_are_refused(folder: Path, config: dict[str, Any], sentence: str) -> None:
    write(folder / "functions.py", FUNCTIONS)
    assert refused(lambda: load_flock(Config(**config))).startswith(sentence)
