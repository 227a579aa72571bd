"""`flock.flow`: what a class or a function says of the flow that it is to be."""

from typing import Any, Generic, TypeVar

import pytest
from pydantic import BaseModel, ConfigDict

from flockd import Context, Flock
from flockd.domain.agent import Agent
from flockd.flock import DeclarationError


class PoemState(BaseModel):
    sentence_count: int = 1
    poem: str = ""


class Request(BaseModel):
    sentence_count: int = 2


class Result(BaseModel):
    poem: str


class PoemFlow:
    """Writes poems.

    Short ones.
    """

    state: PoemState

    def kickoff(self) -> None: ...


def declared(flow: Any, **options: Any) -> Agent:
    flock = Flock()
    flock.flow(flow, **options)
    flock.validate()
    (agent,) = flock.agents().values()
    return agent


def refused(flow: Any, flock: Flock | None = None, **options: Any) -> str:
    with pytest.raises(DeclarationError) as wrong:
        (flock or Flock()).flow(flow, **options)
    return str(wrong.value)


def test_a_flow_is_an_agent_with_one_input_and_one_output() -> None:
    flock = Flock()
    assert flock.flow(PoemFlow) is PoemFlow
    agent = flock.agents()["poem_flow"]
    assert (agent.kind, flock.engine("poem_flow").kind) == ("flow", "flow")
    assert (agent.subscription.types, agent.subscription.mode) == (("PoemState",), "all")
    assert agent.outputs == ("PoemState",)
    assert agent.subscription.prevent_self_trigger, "it would wake itself, without an end"
    assert agent.description == "Writes poems."
    assert (agent.max_concurrency, agent.retries, agent.timeout_seconds) == (64, 0, 600.0)
    assert flock.types()["PoemState"].model is PoemState


def test_a_flow_whose_result_is_a_request_wakes_on_clients_alone_unless_it_is_told() -> None:
    assert declared(PoemFlow).subscription.from_agents == {"external"}
    assert declared(PoemFlow, result=Result).subscription.from_agents == frozenset()
    assert declared(PoemFlow, from_agents=[]).subscription.from_agents == frozenset()


def test_two_flows_on_the_same_state_do_not_wake_each_other() -> None:
    flock = Flock()
    flock.flow(PoemFlow, name="one")
    flock.flow(PoemFlow, name="other")
    assert [agent.hand_off for agent in flock.agents().values()] == [(), ()]


def test_models_and_options_of_its_own() -> None:
    agent = declared(
        PoemFlow,
        name="poems",
        request=Request,
        result=Result,
        description="Rhymes.",
        timeout="30s",
        retries=2,
        max_concurrency=3,
        priority="high",
        labels=["l"],
    )
    assert (agent.name, agent.subscription.types, agent.outputs) == ("poems", ("Request",), ("Result",))
    assert agent.description == "Rhymes."
    assert (agent.timeout_seconds, agent.retries, agent.max_concurrency) == (30.0, 2, 3)
    assert agent.priority is not None
    assert (agent.priority.name, agent.labels) == ("high", {"l"})


def test_as_a_decorator_with_and_without_options() -> None:
    flock = Flock()

    @flock.flow
    class HTTPCheck(PoemFlow):
        pass

    @flock.flow(name="Other", result=Result)
    class Whatever(PoemFlow):
        pass

    assert HTTPCheck.__name__ == "HTTPCheck"
    assert list(flock.agents()) == ["http_check", "Other"]
    assert [agent.description for agent in flock.agents().values()] == ["", ""], "not those of the base"
    assert flock.agents()["Other"].outputs == ("Result",)


@pytest.mark.parametrize(
    ("name", "flow_name"),
    [("PoemFlow", "poem_flow"), ("HTTPFlow", "http_flow"), ("Poem", "poem"), ("Top10Flow", "top10_flow")],
)
def test_the_name_is_that_of_the_class_in_snake_case(name: str, flow_name: str) -> None:
    assert declared(type(name, (PoemFlow,), {})).name == flow_name


T = TypeVar("T")


class CrewLike(Generic[T]):
    """Keeps the model of its state as a CrewAI flow does."""

    _initial_state_t: Any

    def __class_getitem__(cls, item: Any) -> Any:
        return type(f"{cls.__name__}[{item.__name__}]", (cls,), {"_initial_state_t": item})

    def __init__(self) -> None:
        raise AssertionError("nobody needs an instance to know its state")

    def kickoff(self, inputs: dict[str, Any] | None = None) -> None: ...

    async def kickoff_async(self, inputs: dict[str, Any] | None = None) -> None: ...


class OfProperty:
    @property
    def state(self) -> PoemState:
        return PoemState()

    def kickoff(self) -> None: ...


class OfInstance:
    def __init__(self) -> None:
        self.state = PoemState()

    def kickoff(self) -> None: ...


class OfBody:
    state = PoemState()

    def kickoff(self) -> None: ...


class OfInitialState(CrewLike[Any]):
    initial_state = PoemState


class OfText:
    state: "PoemState"

    def kickoff(self) -> None: ...


class BrokenHints(OfInstance):
    other: "NotThere"  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    "flow",
    [PoemFlow, CrewLike[PoemState], OfProperty, OfInstance, OfBody, OfInitialState, OfText, BrokenHints],
)
def test_the_model_of_the_state_is_found_where_it_is_said(flow: Any) -> None:
    agent = declared(flow, name="poem")
    assert (agent.subscription.types, agent.outputs) == (("PoemState",), ("PoemState",))


def test_a_model_that_is_local_to_the_function_that_declares_the_flow() -> None:
    class Local(BaseModel):
        text: str = ""

    flock = Flock()

    @flock.flow
    class LocalFlow:
        state: "Local"

        def kickoff(self) -> None: ...

    assert flock.agents()["local_flow"].outputs == ("Local",)


def test_with_both_models_the_state_may_be_anything_and_is_not_looked_at() -> None:
    class Opaque:
        def __init__(self) -> None:
            raise AssertionError("made at declaration")

        def kickoff(self, inputs: dict[str, Any]) -> None: ...

    assert declared(Opaque, request=Request, result=Result).name == "opaque"


def test_a_function_that_takes_the_request() -> None:
    async def poem_flow(request: Request, ctx: Context) -> Result:
        """Writes one."""
        return Result(poem="")

    agent = declared(poem_flow)
    assert (agent.name, agent.kind, agent.description) == ("poem_flow", "flow", "Writes one.")
    assert (agent.subscription.types, agent.outputs) == (("Request",), ("Result",))

    async def bare(request):  # type: ignore[no-untyped-def]
        return {}

    agent = declared(bare, request=Request, result=Result)
    assert (agent.subscription.types, agent.outputs) == (("Request",), ("Result",))


def test_types_may_be_named() -> None:
    flock = Flock()
    flock.type("Asked")(Request)
    flock.flow(PoemFlow, request="Asked")
    assert flock.agents()["poem_flow"].subscription.types == ("Asked",)


class NoKickoff:
    state: PoemState


class NeedsArguments:
    state: PoemState

    def __init__(self, model: str, level: int, *more: int, **others: int) -> None: ...

    def kickoff(self) -> None: ...


class KickoffNeeds:
    state: PoemState

    def kickoff(self, topic: str) -> None: ...


class Raises:
    def __init__(self) -> None:
        raise OSError("no network")

    def kickoff(self) -> None: ...


class NoState:
    def kickoff(self) -> None: ...


class DictState:
    def __init__(self) -> None:
        self.state: dict[str, Any] = {}

    def kickoff(self) -> None: ...


class More(BaseModel):
    sentence_count: int
    mood: str


class Unmade(BaseModel):
    rhyme: str


async def two_requests(one: Request, other: More) -> Result:
    return Result(poem="")


async def two_results(one: Request) -> Result | More:
    return Result(poem="")


async def no_result(one: Request) -> None: ...


async def either(one: Request | More) -> Result:
    return Result(poem="")


async def no_request() -> Result:
    return Result(poem="")


async def untyped(one) -> Result:  # type: ignore[no-untyped-def]
    return Result(poem="")


@pytest.mark.parametrize(
    ("flow", "options", "sentence"),
    [
        (
            NoKickoff,
            {},
            "flow no_kickoff: NoKickoff has neither kickoff() nor kickoff_async(): give it one of them, or write a "
            "function",
        ),
        (
            NeedsArguments,
            {},
            "flow needs_arguments: NeedsArguments() needs model and level: a flow is made anew for each execution, "
            "without arguments; give them defaults",
        ),
        (
            KickoffNeeds,
            {},
            "flow kickoff_needs: kickoff() needs topic: it is called with inputs= or with nothing; give them "
            "defaults",
        ),
        (
            Raises,
            {},
            "flow raises: Raises() raised OSError: no network; a flow is made anew for each execution",
        ),
        (
            NoState,
            {"request": Request},
            "flow no_state: NoState has no state: annotate it with a pydantic model (state: PoemState), or say "
            "request= and result=",
        ),
        (
            DictState,
            {},
            "flow dict_state: DictState has a state that is a dict: annotate it with a pydantic model (state: "
            "PoemState), or say request= and result=",
        ),
        (
            PoemFlow,
            {"request": More},
            "flow poem_flow: More has mood, which PoemState does not have: give the state a field of this name, or "
            "kickoff() a parameter inputs",
        ),
        (
            PoemFlow,
            {"result": Unmade},
            "flow poem_flow: Unmade needs rhyme, which PoemState does not have: the result is made from the state",
        ),
        (PoemFlow, {"request": 5}, "flow poem_flow: request= has 5, which is no artifact type"),
        (PoemFlow, {"result": "Nix"}, "flow poem_flow: there is no artifact type Nix: declare it first"),
        (PoemFlow, {"result": [Result, More]}, "flow poem_flow: result= is [<class"),
        (PoemFlow, {"timeout": "soon"}, "flow poem_flow: timeout: "),
        (PoemFlow, {"requst": Request}, "flow poem_flow: there is no option requst: did you mean request?"),
        (PoemFlow, {"consumes": Request}, "flow poem_flow: there is no option consumes"),
        (PoemFlow, {"name": "9"}, "flow '9': a name begins with a letter"),
        (
            PoemFlow,
            {"name": "External"},
            "flow External: this name stands for what clients publish: give the flow",
        ),
        (
            two_requests,
            {},
            "flow two_requests: it takes one and other, and a flow takes its request: write one",
        ),
        (two_results, {}, "flow two_results: it has 2 result models, and a flow has one"),
        (no_result, {}, "flow no_result: it has 0 result models, and a flow has one"),
        (either, {}, "flow either: it has 2 request models, and a flow has one"),
        (untyped, {}, "flow untyped: the parameter one has no annotation"),
        (
            two_requests,
            {"request": Request},
            "flow two_requests: it takes one and other, and a flow takes its request: write one parameter for it",
        ),
        (
            no_request,
            {},
            "flow no_request: it takes no artifact, and a flow takes its request",
        ),
    ],
)
def test_what_is_declared_wrongly_is_a_sentence(flow: Any, options: dict[str, Any], sentence: str) -> None:
    assert refused(flow, **options).startswith(sentence)


def test_an_instance_is_no_flow() -> None:
    assert "is neither a class nor a function: a flow is made anew for each execution, so name its class" in (
        refused(OfInstance(), name="poem")
    )


def test_a_schema_is_no_model() -> None:
    flock = Flock()
    flock.type("Loose", schema={"type": "object"})
    assert refused(PoemFlow, flock, request="Loose") == (
        "flow poem_flow: request= is 'Loose': name one pydantic model"
    )


def test_a_state_that_allows_more_takes_any_request() -> None:
    class Open(BaseModel):
        model_config = ConfigDict(extra="allow")

    class OpenFlow:
        state: Open

        def kickoff(self) -> None: ...

    assert declared(OpenFlow, request=More, result=Unmade).name == "open_flow"


def test_agents_and_flows_share_their_names() -> None:
    flock = Flock()
    flock.flow(PoemFlow)
    assert refused(PoemFlow, flock, name="Poem-Flow") == (
        "flow Poem-Flow: there is already a flow poem_flow (case and - or _ make no difference): give one of "
        "them another with name="
    )

    async def poem_flow(request: Request) -> Result:
        return Result(poem="")

    with pytest.raises(DeclarationError, match=r"^agent poem_flow: there is already a flow poem_flow: give"):
        flock.agent(poem_flow)
    other = Flock()
    other.agent(poem_flow)
    assert refused(PoemFlow, other).startswith("flow poem_flow: there is already an agent poem_flow: give")


def test_a_route_keeps_its_name() -> None:
    flock = Flock()
    flock.flow(PoemFlow, name="executions")
    with pytest.raises(DeclarationError, match=r"^flow executions: a route has this name: give it another"):
        flock.validate(["executions"])


def test_include_takes_flows_over() -> None:
    flock, other = Flock(), Flock()
    other.flow(PoemFlow, result=Result)
    flock.include(other)
    assert flock.agents()["poem_flow"] == other.agents()["poem_flow"]
    assert flock.engine("poem_flow") is other.engine("poem_flow")
