"""What `@flock.agent` reads from a function and its options."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Optional

import pytest
from pydantic import BaseModel

from flockd import Context, Flock
from flockd.domain.agent import Agent
from flockd.domain.artifact_type import ArtifactType
from flockd.engines.base import Output, Threads
from flockd.engines.blocking import BlockingContext
from flockd.flock import DeclarationError


class Idea(BaseModel):
    text: str


class Note(BaseModel):
    text: str


class Plan(BaseModel):
    steps: list[str]


@dataclass
class Point:
    x: int


def declared(function: Callable[..., Any], flock: Flock | None = None, **options: Any) -> Agent:
    flock = flock or Flock()
    flock.agent(**options)(function)
    return flock.agents()[options.get("name", function.__name__)]


def refused(function: Callable[..., Any], flock: Flock | None = None, **options: Any) -> str:
    with pytest.raises(DeclarationError) as wrong:
        declared(function, flock, **options)
    return str(wrong.value)


async def note(idea: Idea) -> Note:
    """Notes an idea
    down.

    The rest is for whoever reads the code.
    """
    return Note(text=idea.text)


def test_everything_comes_from_the_annotations() -> None:
    flock = Flock(name="notes")
    assert flock.agent(note) is note
    agent = flock.agents()["note"]
    assert agent.subscription.types == ("Idea",)
    assert agent.subscription.mode == "all"
    assert agent.outputs == ("Note",)
    assert agent.description == "Notes an idea down."
    assert (agent.kind, agent.max_concurrency, agent.retries, agent.timeout_seconds) == (
        "function",
        64,
        0,
        600.0,
    )
    assert (agent.priority, agent.visibility, agent.tenant, agent.labels) == (None, None, None, frozenset())
    assert agent.subscription.prevent_self_trigger
    assert list(flock.types()) == ["Idea", "Note"]
    assert flock.types()["Idea"].model is Idea
    assert flock.engine("note").kind == "function"


def test_one_function_can_be_several_agents() -> None:
    flock = Flock()
    flock.agent(note)
    flock.agent(name="second", where="text == 'x'")(note)
    assert list(flock.agents()) == ["note", "second"]


async def both(idea: Idea, note: Note) -> None: ...
async def twice(one: Idea, other: Idea) -> None: ...
async def either(what: Idea | Note) -> None: ...
async def with_context_first(ctx: Context, idea: Idea, note: Note) -> None: ...
async def annotated(idea: Annotated[Idea, "any"]) -> None: ...
async def with_default(idea: Idea, limit: int = 5, other=None) -> None: ...
async def keyword_only(*, idea: Idea) -> None: ...
async def in_quotes(idea: "Idea") -> "Note": ...


@pytest.mark.parametrize(
    ("function", "types", "mode"),
    [
        (both, ("Idea", "Note"), "all"),
        (twice, ("Idea", "Idea"), "all"),
        (either, ("Idea", "Note"), "any"),
        (with_context_first, ("Idea", "Note"), "all"),
        (annotated, ("Idea",), "all"),
        (with_default, ("Idea",), "all"),
        (keyword_only, ("Idea",), "all"),
        (in_quotes, ("Idea",), "all"),
    ],
)
def test_parameters_say_what_wakes_it(
    function: Callable[..., Any], types: tuple[str, ...], mode: str
) -> None:
    subscription = declared(function).subscription
    assert (subscription.types, subscription.mode) == (types, mode)


async def returns_nothing(idea: Idea) -> None: ...
async def returns_list(idea: Idea) -> list[Note]: ...
async def returns_sequence(idea: Idea) -> Sequence[Note]: ...
async def returns_pair(idea: Idea) -> tuple[Note, Plan]: ...
async def returns_any_length(idea: Idea) -> tuple[Note, ...]: ...
async def returns_either(idea: Idea) -> Note | Plan | None: ...
async def returns_optional(idea: Idea) -> Optional[Note]: ...  # noqa: UP045
async def returns_mixed(idea: Idea) -> tuple[Note, list[Plan | Note]]: ...
def returns_in_thread(idea: Idea) -> Note: ...


async def yields(idea: Idea) -> AsyncIterator[Note | Plan]:
    yield Note(text="")


def yields_in_thread(idea: Idea) -> Iterator[Note]:
    yield Note(text="")


@pytest.mark.parametrize(
    ("function", "outputs"),
    [
        (returns_nothing, ()),
        (returns_list, ("Note",)),
        (returns_sequence, ("Note",)),
        (returns_pair, ("Note", "Plan")),
        (returns_any_length, ("Note",)),
        (returns_either, ("Note", "Plan")),
        (returns_optional, ("Note",)),
        (returns_mixed, ("Note", "Plan")),
        (returns_in_thread, ("Note",)),
        (yields, ("Note", "Plan")),
        (yields_in_thread, ("Note",)),
    ],
)
def test_the_result_says_what_it_publishes(function: Callable[..., Any], outputs: tuple[str, ...]) -> None:
    assert declared(function).outputs == outputs


def test_consumes_and_publishes_stand_in_for_annotations() -> None:
    async def untyped(what, ctx: Context):
        return None

    agent = declared(untyped, consumes=[Idea, Note], publishes=Plan)
    assert (agent.subscription.types, agent.subscription.mode) == (("Idea", "Note"), "any")
    assert agent.outputs == ("Plan",)
    agent = declared(untyped, consumes=Idea, publishes=[])
    assert (agent.subscription.types, agent.subscription.mode) == (("Idea",), "all")
    assert agent.outputs == ()


def test_types_by_json_schema_are_named_by_object_or_by_name() -> None:
    flock = Flock()
    ticket = flock.type("Ticket", schema={"type": "object", "required": ["id"]})
    assert isinstance(ticket, ArtifactType)

    async def close(ticket: dict[str, Any]) -> dict[str, Any]:
        return ticket

    agent = declared(close, flock, consumes=ticket, publishes="Ticket")
    assert (agent.subscription.types, agent.outputs) == (("Ticket",), ("Ticket",))


def test_classes_that_are_local_to_a_function_are_found() -> None:
    class Local(BaseModel):
        x: int

    flock = Flock()

    @flock.agent
    async def plain(local: "Local") -> "Local":
        return local

    @flock.agent(retries=1)
    async def with_options(local: "Local") -> "Local":
        return local

    assert flock.agents()["plain"].subscription.types == ("Local",)
    assert flock.agents()["with_options"].outputs == ("Local",)


async def test_the_context_may_stand_anywhere() -> None:
    class NoThreads:
        loop: Any = None

        def start(self, work: Callable[[], Any], name: str) -> Any:
            raise AssertionError("an async def needs no thread")

    async def nothing(type: str | None, where: str | None, limit: int, scope: str) -> list[Any]:
        return []

    async def think(one: Idea, ctx: Context, *, other: Note) -> Note:
        return Note(text=f"{ctx.run_id} {one.text} {other.text}")

    flock = Flock()
    flock.agent(think)
    context = Context(
        agent="think",
        correlation_id="c",
        run_id="r",
        attempt=1,
        inputs=(),
        on_progress=lambda fraction, phase, message: None,
        on_write=lambda text: None,
        query=nothing,
    )
    threads: Threads = NoThreads()
    outputs = await flock.engine("think").run([Idea(text="a"), Note(text="b")], context, threads)
    assert outputs == [Output("Note", Note(text="r a b"))]


# What is refused. Each sentence names the agent and the mend.


async def no_artifact(ctx: Context) -> None: ...
async def unannotated(idea) -> None: ...
async def number(count: int) -> None: ...
async def batch(ideas: list[Idea]) -> None: ...
async def optional(idea: Idea | None) -> None: ...
async def or_inside_and(what: Idea | Note, plan: Plan) -> None: ...
async def variadic(idea: Idea, *rest: Note) -> None: ...
async def positional_only(idea: Idea, /) -> None: ...
async def two_contexts(idea: Idea, one: Context, two: Context) -> None: ...
async def blocking(idea: Idea, ctx: BlockingContext) -> None: ...
async def no_result(idea: Idea): ...
async def string_result(idea: Idea) -> str: ...
async def dict_result(idea: Idea) -> dict[str, Any]: ...
async def bare_list(idea: Idea) -> list: ...
async def no_yield(idea: Idea) -> AsyncIterator[Note]: ...
async def unknown_name(idea: "Ideal") -> None: ...  # noqa: F821
async def bare_model(idea: BaseModel) -> None: ...
async def dataclass_undeclared(point: Point) -> None: ...


async def yields_but_returns(idea: Idea) -> Note:
    yield Note(text="")


def yields_in_thread_but_returns(idea: Idea) -> list[Note]:
    yield Note(text="")


MODEL_OR_CLASS = "a pydantic model, a class under @flock.type"


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (
            no_artifact,
            "it takes no artifact: give it a parameter annotated with the pydantic model that wakes it, or say "
            "schedule= (or consumes=[], where a client or flock.schedule(…) starts it)",
        ),
        (
            unannotated,
            "the parameter idea has no annotation: annotate it with a pydantic model, or with Context",
        ),
        (
            number,
            "the parameter count is int, which is no artifact type: annotate it with a pydantic model or a "
            "class under "
            "@flock.type, or say consumes=",
        ),
        (
            bare_model,
            "the parameter idea is BaseModel, which is no artifact type: annotate it with a pydantic model "
            "or a class "
            "under @flock.type, or say consumes=",
        ),
        (
            dataclass_undeclared,
            "the parameter point is Point, which is no artifact type: annotate it with a pydantic model or "
            "a class "
            "under @flock.type, or say consumes=",
        ),
        (
            batch,
            f"the parameter ideas is a batch (list[{__name__}.Idea]), and a batch must know when it is full: say "
            "batch=BatchSpec(size=…, timeout=…), or take one artifact",
        ),
        (
            optional,
            "the parameter idea is optional, but an agent only wakes with its artifact there: take None away",
        ),
        (
            or_inside_and,
            f"the parameter what has alternatives ({__name__}.Idea | {__name__}.Note) beside other "
            "artifacts: "
            "make two agents of it, or give each parameter one type",
        ),
        (variadic, "the parameter rest cannot be passed by its name: write plain parameters"),
        (positional_only, "the parameter idea cannot be passed by its name: write plain parameters"),
        (two_contexts, "both one and two are a Context: keep one of them"),
        (blocking, "the parameter ctx of an async def is a Context, not a BlockingContext"),
        (
            no_result,
            "it does not say what it publishes: annotate its result (-> Model, or -> None for nothing), or "
            "say "
            "publishes=",
        ),
        (
            string_result,
            f"its result is str, which is no artifact type: return {MODEL_OR_CLASS}, a list or tuple of "
            "them, or None, "
            "or say publishes=",
        ),
        (
            dict_result,
            f"its result is dict[str, typing.Any], which is no artifact type: return {MODEL_OR_CLASS}, a "
            "list or tuple "
            "of them, or None, or say publishes=",
        ),
        (
            bare_list,
            f"its result is list, which is no artifact type: return {MODEL_OR_CLASS}, a list or tuple of "
            "them, or "
            "None, or say publishes=",
        ),
        (
            no_yield,
            f"its result is collections.abc.AsyncIterator[{__name__}.Note], but it has no yield: return a "
            "list",
        ),
        (yields_but_returns, "it yields, so its result is AsyncIterator[Model], not Note"),
        (
            yields_in_thread_but_returns,
            f"it yields, so its result is Iterator[Model], not list[{__name__}.Note]",
        ),
        (
            unknown_name,
            "an annotation names Ideal, which is not known where the agent is declared: define or import "
            "it above the "
            "agent (an import under TYPE_CHECKING does not count)",
        ),
    ],
)
def test_a_wrong_signature_is_refused(function: Callable[..., Any], sentence: str) -> None:
    assert refused(function) == f"agent {function.__name__}: {sentence}"


def test_consumes_names_a_type_for_each_of_several_parameters() -> None:
    async def untyped(one, other) -> None: ...

    subscription = declared(untyped, consumes=[Idea, Note]).subscription
    assert (subscription.types, subscription.mode) == (("Idea", "Note"), "all")
    for types, named in (([Idea], "Idea"), ([Idea, Note, Plan], "Idea and Note and Plan")):
        assert refused(untyped, consumes=types) == (
            f"agent untyped: consumes= names {named}, but it has one and other: name one type for each of them, or "
            "leave consumes= out and annotate them"
        )


def test_consumes_of_nothing_is_an_agent_that_a_client_or_a_timer_starts() -> None:
    async def sweep(ctx: Context) -> Note: ...

    assert declared(sweep, consumes=[]).subscription.types == ()
    assert refused(sweep, consumes=Idea) == (
        "agent sweep: consumes= names Idea, and there is no parameter that takes it"
    )


def test_what_is_no_function_is_refused() -> None:
    assert refused(Idea, name="x").endswith("is not a function: write an async def or a def")
    with pytest.raises(
        DeclarationError, match=r"@flock\.agent has 'x': give it options by their names, as name='x'"
    ):
        Flock().agent("x")  # type: ignore[call-overload]


@pytest.mark.parametrize("name", ["", "9lives", "a b", "a" * 65, "ü", "a/b"])
def test_bad_names_are_refused(name: str) -> None:
    assert refused(note, name=name).endswith("give it another with name=")


@pytest.mark.parametrize("name", ["external", "External"])
def test_external_is_nobodys_name(name: str) -> None:
    assert refused(note, name=name) == (
        f"agent {name}: this name stands for what clients publish: give the agent another with name="
    )


@pytest.mark.parametrize(
    ("name", "hint"), [("note_taker", ""), ("Note-Taker", " (case and - or _ make no difference)")]
)
def test_two_agents_never_share_a_name(name: str, hint: str) -> None:
    flock = Flock()
    declared(note, flock, name="note_taker")
    assert refused(note, flock, name=name) == (
        f"agent {name}: there is already an agent note_taker{hint}: give one of them another with name="
    )


def test_two_outputs_of_plain_data_cannot_be_told_apart() -> None:
    flock = Flock()
    flock.type("A", schema={"type": "object"})
    flock.type("B", schema={"type": "object"})
    assert refused(note, flock, publishes=["A", "B"]) == (
        "agent note: it publishes A and B, and a dict does not say which it is: make all but one of them a "
        "class"
    )


def test_a_wrong_agent_is_not_declared() -> None:
    flock = Flock()
    refused(note, flock, timeout="soon")
    assert list(flock.agents()) == []


def test_validate_knows_reserved_names_and_producers() -> None:
    flock = Flock()
    declared(note, flock, name="Runs")
    declared(note, flock, name="reader", from_agents=["external", "runs", "nobody"])
    with pytest.raises(DeclarationError) as wrong:
        flock.validate({"runs", "artifacts"})
    assert str(wrong.value).splitlines() == [
        "agent Runs: a route has this name: give it another with name=",
        "agent reader: from_agents has nobody, which is no agent: name an agent of this flock, or external",
        "agent reader: from_agents has runs, which is no agent: did you mean Runs?",
    ]


def test_validate_lets_a_right_flock_pass() -> None:
    flock = Flock()
    declared(note, flock)
    declared(both, flock, from_agents=["note", "external"])
    flock.validate({"runs", "artifacts"})
    assert list(flock.agents()) == ["note", "both"]
