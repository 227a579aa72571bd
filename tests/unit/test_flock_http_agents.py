"""Agents that are services, as they are declared: in Python and in the configuration."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from flockd import BatchSpec, Every, Flock, JoinSpec
from flockd.config import Config
from flockd.domain.artifact_type import ArtifactType
from flockd.flock import DeclarationError
from flockd.loading import LoadError, with_tables

URL = "https://prices.example/runs"


class Order(BaseModel):
    n: int


class Payment(BaseModel):
    n: int


class Receipt(BaseModel):
    n: int


def declared(**options: Any) -> Flock:
    flock = Flock()
    flock.http_agent("pricer", **{"consumes": Order, "publishes": Receipt, "url": URL, **options})
    flock.validate()
    return flock


def test_an_agent_as_any_other() -> None:
    flock = declared(
        retries=2, timeout="30s", max_concurrency=3, description="Prices orders.", where="n > `1`"
    )
    agent = flock.agents()["pricer"]
    assert (agent.kind, agent.subscription.types, agent.outputs) == ("http", ("Order",), ("Receipt",))
    assert (agent.retries, agent.timeout_seconds, agent.max_concurrency) == (2, 30, 3)
    assert agent.description == "Prices orders."
    assert flock.engine("pricer").kind == "http"
    assert list(flock.types()) == ["Order", "Receipt"]
    assert flock.warnings() == []


def test_several_types_are_alternatives_and_with_a_join_one_of_each() -> None:
    assert declared(consumes=[Order, Payment]).agents()["pricer"].subscription.mode == "any"
    joined = declared(consumes=[Order, Payment], join=JoinSpec(by="n", within="1h")).agents()["pricer"]
    assert (joined.subscription.mode, joined.subscription.types) == ("all", ("Order", "Payment"))


def test_only_a_timer_starts_one_that_takes_nothing() -> None:
    flock = Flock()
    flock.http_agent("cleaner", consumes=[], publishes=[], url=URL)
    flock.schedule("nightly", Every("1d"), run="cleaner")
    flock.validate()
    assert (flock.agents()["cleaner"].subscription.types, flock.agents()["cleaner"].outputs) == ((), ())


def test_several_types_without_a_class() -> None:
    """Which a dict returned by a function would leave open, and the answer of a service says."""
    flock = Flock()
    plain = [flock.type(name, schema={"type": "object"}) for name in ("One", "Other")]
    flock.http_agent("pricer", consumes=Order, publishes=plain, url=URL)
    assert flock.agents()["pricer"].outputs == ("One", "Other")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"url": "http://127.0.0.1:9/x"}, "url: 127.0.0.1 is a private address: say allow_private = true if it is a"),
        ({"url": "http://localhost:9/"}, "url: localhost is a private address: say allow_private = true"),
        ({"url": "prices.example"}, "url: this is no URL of a service: write https://host/path"),
        ({"url": "https://me:hunter2@prices.example/"}, "url: it has a user name or a password in it"),
        ({"url": 7}, "url is 7: write https://host/path"),
        ({"allow_private": "yes"}, "allow_private is 'yes': give it True or False"),
        ({"headers": ["X"]}, "headers is no table: write headers = {Authorization"),
        ({"headers": {"X Y": "V"}}, "headers has 'X Y', which is no name of a header"),
        ({"headers": {"Content-Length": "V"}}, "headers has Content-Length, which flockd sets itself"),
        ({"headers": {"Webhook-Signature": "V"}}, "headers has Webhook-Signature, which flockd sets itself"),
        ({"headers": {"Authorization": "Bearer hunter2"}}, "headers has for Authorization something that is no name"),
        ({"secret_env": "whsec_hunter2=="}, "secret_env is something that is no name of an environment variable"),
        ({"consumes": [], "batch": BatchSpec(size=2, timeout="1s")}, "consumes= is empty, and it gathers"),
        ({"consumes": "Nothing"}, "there is no artifact type Nothing"),
        ({"retires": 3}, "there is no option retires: did you mean retries?"),
        ({"header": {"A": "B"}}, "there is no option header: did you mean headers?"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_there_and_then(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DeclarationError) as refused:
        declared(**options)
    assert str(refused.value).startswith(f"agent pricer: {sentence}")
    assert "hunter2" not in str(refused.value)


def test_what_the_environment_lacks_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("PRICES_TOKEN", "PRICES_SECRET"):
        monkeypatch.delenv(variable, raising=False)
    flock = declared(headers={"Authorization": "PRICES_TOKEN"}, secret_env="PRICES_SECRET")
    said = "agent pricer: the environment variable {} is not set, which holds {}"
    assert flock.warnings() == [said.format("PRICES_TOKEN", "the header Authorization")]
    monkeypatch.setenv("PRICES_TOKEN", "hunter2")
    assert flock.warnings() == [said.format("PRICES_SECRET", "the signature")]
    monkeypatch.setenv("PRICES_SECRET", "hunter2")
    assert flock.warnings() == []
    assert "hunter2" not in repr(vars(flock.engine("pricer")))


def tables(*agents: dict[str, Any], types: tuple[str, ...] = ()) -> Flock:
    config = Config.model_validate(
        {"agents": list(agents), "types": [{"name": name, "fields": "n: int"} for name in types]}
    )
    return with_tables(config, Flock())


def test_a_table_with_fields() -> None:
    flock = tables(
        {
            "name": "pricer",
            "engine": "http",
            "url": "http://127.0.0.1:9/price?currency=eur",
            "allow_private": True,
            "headers": {"Authorization": "PATH"},
            "secret_env": "PATH",
            "input": "item: str",
            "output": "price: float",
            "retries": 3,
            "timeout": "5s",
        }
    )
    agent = flock.agents()["pricer"]
    assert (agent.kind, agent.subscription.types, agent.outputs) == (
        "http",
        ("PricerInput",),
        ("PricerOutput",),
    )
    assert (agent.retries, agent.timeout_seconds) == (3, 5)
    engine: Any = flock.engine("pricer")
    assert engine.target.url == "http://127.0.0.1:9/price?currency=eur"
    assert (engine.target.headers, engine.target.secret_env) == ({"Authorization": "PATH"}, "PATH")


def test_a_table_with_types() -> None:
    flock = tables(
        {
            "name": "pricer",
            "engine": "http",
            "url": URL,
            "consumes": ["Order", "Payment"],
            "publishes": ["Receipt"],
            "join": {"by": "n", "within": "1h"},
        },
        {"name": "notifier", "engine": "http", "url": URL, "consumes": ["Receipt"], "publishes": []},
        types=("Order", "Payment", "Receipt"),
    )
    agents = flock.agents()
    assert (agents["pricer"].subscription.types, agents["pricer"].outputs) == (
        ("Order", "Payment"),
        ("Receipt",),
    )
    assert (agents["notifier"].subscription.types, agents["notifier"].outputs) == (("Receipt",), ())
    assert isinstance(flock.types()["Order"], ArtifactType)


def test_a_private_url_in_a_table_is_refused_at_load() -> None:
    with pytest.raises(
        LoadError, match=r"agent pricer: url: 127.0.0.1 is a private address: say allow_private = tr"
    ):
        tables(
            {
                "name": "pricer",
                "engine": "http",
                "url": "http://127.0.0.1/",
                "input": "n: int",
                "output": "n: int",
            }
        )


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"input": "n: int", "output": "n: int"}, 'has engine = "http" and needs url = "https://…"'),
        ({"url": URL, "output": "n: int"}, "needs input or consumes"),
        ({"url": URL, "consumes": []}, "needs output or publishes"),
        ({"url": URL, "input": "n: int", "consumes": ["A"], "publishes": []}, "has input and consumes: keep one"),
        ({"url": URL, "function": "m:f"}, 'has engine = "http", which takes no function'),
        ({"url": URL, "model": "openai:gpt-4.1"}, 'has engine = "http", which takes no model'),
        ({"engine": "function", "function": "m:f", "url": URL}, 'which has no url; did you mean engine = "http"?'),
        ({"engine": "llm", "url": URL, "input": "n: int", "output": "n: int"}, '"llm", which takes no url'),
    ],
)  # fmt: skip
def test_tables_that_are_none(table: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError) as refused:
        Config.model_validate({"agents": [{"name": "pricer", "engine": "http", **table}]})
    assert sentence in str(refused.value)
