"""Joins over a key and batches, as authors declare them: `join=`, `batch=`, and `list[T]` as a parameter."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, computed_field

from flockd import BatchSpec, Context, DeclarationError, Flock, JoinSpec
from flockd.domain.agent import Agent


class Order(BaseModel):
    id: str
    customer: dict[str, str] = {}


class Payment(BaseModel):
    order_id: str
    cents: int = 0


class Parcel(BaseModel):
    id: str


class Loose(BaseModel):
    model_config = ConfigDict(extra="allow")


class Renamed(BaseModel):
    number: int = Field(serialization_alias="no")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def parity(self) -> int:
        return self.number % 2


BY_TYPE = {"Order": "id", "Payment": "order_id"}


async def ship(order: Order, payment: Payment) -> Parcel: ...
async def tally(orders: list[Order]) -> None: ...
async def mixed(items: list[Order | Payment], ctx: Context) -> None: ...
async def sequence(orders: Sequence[Order]) -> None: ...
async def single(order: Order) -> None: ...
async def either(what: Order | Payment) -> None: ...
async def untyped(what: Any) -> None: ...
async def two_lists(orders: list[Order], payments: list[Payment]) -> None: ...
async def list_and_one(orders: list[Order], payment: Payment) -> None: ...
async def optional_list(orders: list[Order | None]) -> None: ...
async def numbers(counts: list[int]) -> None: ...
async def nothing(ctx: Context) -> None: ...
async def list_of_lists(orders: list[list[Order]]) -> None: ...


def declared(function: Callable[..., Any], flock: Flock | None = None, **options: Any) -> Agent:
    flock = flock or Flock()
    flock.agent(**options)(function)
    return flock.agents()[options.get("name", function.__name__)]


def refused(function: Callable[..., Any], **options: Any) -> str:
    with pytest.raises(DeclarationError) as wrong:
        declared(function, **options)
    return str(wrong.value)


# Joins


@pytest.mark.parametrize(
    "join",
    [
        JoinSpec(by=BY_TYPE, within="1h"),
        {"by": BY_TYPE, "within": "1h"},
        {"by": BY_TYPE, "within": timedelta(hours=1)},
    ],
)
def test_a_join_takes_one_of_each_parameter_by_its_key(join: Any) -> None:
    subscription = declared(ship, join=join).subscription
    assert (subscription.types, subscription.mode, subscription.joins) == (("Order", "Payment"), "all", False)
    assert isinstance(subscription.gathering, JoinSpec)
    assert (subscription.gathering.by, subscription.gathering.within_ms) == (BY_TYPE, 3_600_000)


def test_two_of_one_type_can_be_joined() -> None:
    async def pair(one: Order, other: Order) -> None: ...

    subscription = declared(pair, join=JoinSpec(by="id", within="1m")).subscription
    assert subscription.needed == {"Order": 2}


def test_plain_data_is_joined_by_naming_a_type_for_each_parameter() -> None:
    flock = Flock()
    flock.type("Left", schema={"type": "object"})
    flock.type("Right", schema={"type": "object", "properties": {"k": {}}, "additionalProperties": False})

    async def meet(left: dict[str, Any], right: dict[str, Any]) -> None: ...

    options: dict[str, Any] = {"consumes": ["Left", "Right"]}
    agent = declared(meet, flock, **options, join=JoinSpec(by="k", within="1m"))
    assert (agent.subscription.types, agent.subscription.mode) == (("Left", "Right"), "all")
    with pytest.raises(DeclarationError, match="join= goes by key, but Right has no field key: there are k"):
        declared(meet, flock, name="other", **options, join=JoinSpec(by="key", within="1m"))


@pytest.mark.parametrize("path", ["no", "parity", '"no"', " no"])
def test_a_path_is_of_the_payload_as_it_is_stored(path: str) -> None:
    async def pair(one: Renamed, other: Renamed) -> None: ...

    assert declared(pair, join=JoinSpec(by=path, within="1m")).subscription.gathering is not None
    assert "Renamed has no field number" in refused(pair, join=JoinSpec(by="number", within="1m"))


def test_a_type_that_takes_any_field_has_any_path() -> None:
    async def pair(one: Loose, other: Loose) -> None: ...

    assert declared(pair, join=JoinSpec(by="whatever.id", within="1m")).subscription.gathering is not None


@pytest.mark.parametrize(
    ("function", "join", "sentence"),
    [
        (
            single,
            JoinSpec(by="id", within="1h"),
            "join= is for several artifacts of one key, and it takes Order: give it a parameter for each of them",
        ),
        (
            either,
            JoinSpec(by=BY_TYPE, within="1h"),
            "join= is for several artifacts of one key, and it takes Order or Payment: give it a parameter for each",
        ),
        (nothing, JoinSpec(by="id", within="1h"), "it takes no artifact: "),
        (
            ship,
            JoinSpec(by={"Order": "id"}, within="1h"),
            "join= does not say where the key of Payment is: give by= a path for each type",
        ),
        (
            ship,
            JoinSpec(by={**BY_TYPE, "Paymant": "x"}, within="1h"),
            "join= has a path for Paymant, which it does not take: did you mean Payment?",
        ),
        (
            ship,
            JoinSpec(by={**BY_TYPE, "Zebra": "x"}, within="1h"),
            "join= has a path for Zebra, which it does not take: it takes Order and Payment",
        ),
        (
            ship,
            JoinSpec(by="order_id", within="1h"),
            "join= goes by order_id, but Order has no field order_id: there are customer, id",
        ),
        (
            ship,
            JoinSpec(by={"Order": "id", "Payment": "orderid.x"}, within="1h"),
            "join= goes by orderid.x, but Payment has no field orderid: did you mean order_id?",
        ),
        (ship, "id", "join is 'id': write join=JoinSpec(by="),
        (ship, {"by": "id"}, "join: missing 1 required positional argument: 'within': write join=JoinSpec("),
        (ship, {"within": "1h"}, "join: missing 1 required positional argument: 'by'"),
        (ship, {"by": "id", "within": "soon"}, "join: 'soon' is not a duration"),
        (ship, {"by": "id", "within": 0}, "join: a duration must be longer than zero"),
        (ship, {"by": "a || b", "within": "1h"}, "join: the field path 'a || b' uses "),
        (ship, {"by": 5, "within": "1h"}, "join: "),
        (ship, {"by": "id", "within": "1h", "size": 3}, "join: got an unexpected keyword argument 'size'"),
        (ship, BatchSpec(3, "1h"), "join is BatchSpec(size=3, timeout=3600): write join=JoinSpec("),
    ],
)
def test_a_join_that_could_never_meet_is_refused(
    function: Callable[..., Any], join: Any, sentence: str
) -> None:
    assert refused(function, join=join).startswith(f"agent {function.__name__}: {sentence}")


# Batches


@pytest.mark.parametrize(
    ("function", "types", "mode"),
    [
        (tally, ("Order",), "all"),
        (sequence, ("Order",), "all"),
        (mixed, ("Order", "Payment"), "any"),
    ],
)
def test_a_list_as_a_parameter_is_a_batch(
    function: Callable[..., Any], types: tuple[str, ...], mode: str
) -> None:
    subscription = declared(function, batch=BatchSpec(size=10, timeout="30s")).subscription
    assert (subscription.types, subscription.mode, subscription.joins) == (types, mode, False)
    assert isinstance(subscription.gathering, BatchSpec)
    assert (subscription.gathering.size, subscription.gathering.within_ms) == (10, 30_000)


@pytest.mark.parametrize(("consumes", "mode"), [(Order, "all"), ([Order, Parcel], "any"), ("Parcel", "all")])
def test_a_batch_of_what_consumes_names(consumes: Any, mode: str) -> None:
    flock = Flock()
    flock.type(Parcel)
    agent = declared(untyped, flock, consumes=consumes, batch={"size": 2, "timeout": "1s", "by": "id"})
    assert agent.subscription.mode == mode
    assert repr(agent.subscription.gathering) == "BatchSpec(size=2, timeout=1, by='id')"


async def test_the_function_gets_the_whole_list() -> None:
    seen: list[Any] = []

    async def take(orders: list[Order], limit: int = 3) -> list[Parcel]:
        seen.append(orders)
        return [Parcel(id=order.id) for order in orders]

    flock = Flock()
    flock.agent(batch=BatchSpec(size=3, timeout="1s"))(take)
    orders = (Order(id="1"), Order(id="2"))
    outputs = await flock.engine("take").run(orders, Bare(), None)  # type: ignore[arg-type]
    assert seen == [[Order(id="1"), Order(id="2")]]
    assert [output.value for output in outputs] == [Parcel(id="1"), Parcel(id="2")]


class Bare(Context):
    """A Context that only has a name."""

    def __init__(self) -> None:
        self.agent = "take"


@pytest.mark.parametrize(
    ("function", "options", "sentence"),
    [
        (
            tally,
            {},
            f"the parameter orders is a batch (list[{__name__}.Order]), and a batch must know when it is full: say "
            "batch=BatchSpec(size=…, timeout=…), or take one artifact",
        ),
        (
            single,
            {"batch": BatchSpec(2, "1s")},
            "batch= gives it a list: annotate order as list[Model], not Order",
        ),
        (
            either,
            {"batch": BatchSpec(2, "1s")},
            f"batch= gives it a list: annotate what as list[Model], not {__name__}.Order | {__name__}.Payment",
        ),
        (
            two_lists,
            {"batch": BatchSpec(2, "1s")},
            "a batch is one parameter, a list, but it has orders and payments: write one (of list[A | B] for several",
        ),
        (
            list_and_one,
            {"batch": BatchSpec(2, "1s")},
            "a batch is one parameter, a list, but it has orders and",
        ),
        (list_and_one, {}, "the parameter orders is a batch"),
        (
            nothing,
            {"batch": BatchSpec(2, "1s")},
            "a batch is one parameter, a list, but it takes no artifact",
        ),
        (
            optional_list,
            {"batch": BatchSpec(2, "1s")},
            "the parameter orders is optional, but an agent only wakes",
        ),
        (numbers, {"batch": BatchSpec(2, "1s")}, "the parameter counts is int, which is no artifact type"),
        (list_of_lists, {"batch": BatchSpec(2, "1s")}, "the parameter orders is a batch ("),
        (
            tally,
            {"batch": BatchSpec(2, "1s", by="customr.id")},
            "batch= goes by customr.id, but Order has no field customr: did you mean customer?",
        ),
        (
            mixed,
            {"batch": BatchSpec(2, "1s", by="customer.id")},
            "batch= goes by customer.id, but Payment has no field customer",
        ),
        (tally, {"batch": 5}, 'batch is 5: write batch=BatchSpec(size=10, timeout="30s")'),
        (tally, {"batch": {"size": 5}}, "batch: missing 1 required positional argument: 'timeout'"),
        (tally, {"batch": {"size": 0, "timeout": "1s"}}, "batch: the size of a batch is 1 to 1000, not 0"),
        (
            tally,
            {"batch": {"size": "2", "timeout": "1s"}},
            "batch: the size of a batch is 1 to 1000, not '2'",
        ),
        (
            tally,
            {"batch": {"size": 2.5, "timeout": "1s"}},
            "batch: the size of a batch is 1 to 1000, not 2.5",
        ),
        (
            tally,
            {"batch": {"size": True, "timeout": "1s"}},
            "batch: the size of a batch is 1 to 1000, not True",
        ),
        (
            tally,
            {"batch": {"size": 2, "timeout": "1s", "by": ["id"]}},
            "batch: a key is a field path, such as \"order.id\", not ['id']",
        ),
        (tally, {"batch": {"size": 2, "timeout": "x"}}, "batch: 'x' is not a duration"),
        (
            tally,
            {"batch": BatchSpec(2, "1s"), "join": JoinSpec("id", "1s")},
            "it has join= and batch=, and gathers by one of them: make two agents of it",
        ),
    ],
)
def test_a_wrong_batch_is_refused(
    function: Callable[..., Any], options: dict[str, Any], sentence: str
) -> None:
    assert refused(function, **options).startswith(f"agent {function.__name__}: {sentence}")


@pytest.mark.parametrize(
    ("by", "sentence"),
    [
        (None, "the key of a join is a field path, or one for each type, not None"),
        (
            ["id", "order_id"],
            "the key of a join is a field path, or one for each type, not \\['id', 'order_id'\\]",
        ),
        ({"Order": 1}, 'a key is a field path, such as "order.id", not 1'),
        ({Order: "id"}, "a join has its paths by the names of types, such as .*, not by <class"),
    ],
)
def test_a_key_that_is_no_path_is_refused_where_it_is_written(by: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        JoinSpec(by=by, within="1h")


# With the rest


def test_a_model_gathers_too() -> None:
    flock = Flock("a-model")
    flock.llm_agent(
        "pairs", consumes=[Order, Payment], publishes=Parcel, join=JoinSpec(by=BY_TYPE, within="1h")
    )
    flock.llm_agent("counts", consumes=[Order, Payment], publishes=Parcel, batch=BatchSpec(5, "1m"))
    pairs, counts = (flock.agents()[name].subscription for name in ("pairs", "counts"))
    assert (pairs.mode, type(pairs.gathering)) == ("all", JoinSpec)
    assert (counts.mode, type(counts.gathering)) == ("any", BatchSpec)
    with pytest.raises(DeclarationError, match="agent one: join= is for several artifacts of one key"):
        flock.llm_agent("one", consumes=Order, publishes=Parcel, join=JoinSpec(by="id", within="1h"))


def test_a_flow_gathers_nothing() -> None:
    async def pay(order: Order) -> Parcel: ...

    with pytest.raises(DeclarationError, match="flow pay: there is no option batch"):
        Flock().flow(batch=BatchSpec(2, "1s"))(pay)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("function", "options", "taken"),
    [
        (ship, {"join": JoinSpec(by=BY_TYPE, within="1h")}, "Order and Payment together"),
        (tally, {"batch": BatchSpec(2, "1s")}, "Order together"),
        (nothing, {"consumes": []}, "no artifact"),
    ],
)
def test_nobody_hands_off_to_what_gathers(
    function: Callable[..., Any], options: dict[str, Any], taken: str
) -> None:
    async def giver(payment: Payment) -> Parcel: ...

    flock = Flock()
    flock.agent(**options)(function)
    flock.agent(hand_off=function.__name__)(giver)
    name = function.__name__
    assert flock.agents()[name].subscription.types == tuple(
        dict.fromkeys(flock.agents()[name].subscription.types)
    )
    with pytest.raises(DeclarationError) as wrong:
        flock.validate()
    assert str(wrong.value) == (
        f"agent giver: hand_off has {name}, which takes {taken}: hand off to an agent with one input"
    )
