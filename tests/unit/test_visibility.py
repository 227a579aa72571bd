"""Who may see what, and what an output inherits."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from flockd.domain.visibility import (
    PUBLIC,
    READER,
    Labelled,
    Private,
    Public,
    Tenant,
    Viewer,
    may_see,
    narrowest,
    visibility_from_json,
    visibility_to_json,
)

ADA = Viewer("ada", frozenset({"secret", "eu"}), "acme")
BOB = Viewer("bob")

WORDS = st.sampled_from(["ada", "bob", "eve"])
VISIBILITIES = st.one_of(
    st.just(PUBLIC),
    st.lists(WORDS, min_size=1, unique=True).map(lambda agents: Private(agents=tuple(agents))),
    st.lists(WORDS, min_size=1, unique=True).map(lambda labels: Labelled(required_labels=tuple(labels))),
    WORDS.map(lambda tenant: Tenant(tenant_id=tenant)),
)


@pytest.mark.parametrize(
    ("visibility", "ada", "bob"),
    [
        (Public(), True, True),
        (Private(agents=("ada",)), True, False),
        (Private(agents=("bob", "ada")), True, True),
        (Private(agents=("Ada",)), True, False),
        (Labelled(required_labels=("secret",)), True, False),
        (Labelled(required_labels=("secret", "eu")), True, False),
        (Labelled(required_labels=("secret", "us")), False, False),
        (Tenant(tenant_id="acme"), True, False),
        (Tenant(tenant_id="other"), False, False),
    ],
)
def test_who_may_see(visibility: Any, ada: bool, bob: bool) -> None:
    assert (may_see(ADA, visibility), may_see(BOB, visibility)) == (ada, bob)
    assert may_see(READER, visibility)


@pytest.mark.parametrize(
    ("inputs", "output"),
    [
        ([], PUBLIC),
        ([PUBLIC, Public()], PUBLIC),
        ([PUBLIC, Tenant(tenant_id="acme")], Tenant(tenant_id="acme")),
        ([Tenant(tenant_id="acme"), Labelled(required_labels=("x",))], Labelled(required_labels=("x",))),
        ([Labelled(required_labels=("x",)), Private(agents=("ada",))], Private(agents=("ada",))),
        (
            [Labelled(required_labels=("x",)), Labelled(required_labels=("a", "x"))],
            Labelled(required_labels=("a", "x")),
        ),
        ([Private(agents=("ada", "bob")), Private(agents=("bob", "eve"))], Private(agents=("bob",))),
        ([Private(agents=("ada", "b-1")), Private(agents=("B_1", "eve"))], Private(agents=("b-1",))),
    ],
)
def test_an_output_is_as_narrow_as_its_narrowest_input(inputs: list[Any], output: Any) -> None:
    assert narrowest(inputs) == output


@given(st.lists(VISIBILITIES, max_size=4))
def test_an_output_is_one_of_the_kinds_of_its_inputs_and_no_wider(inputs: list[Any]) -> None:
    order = ["Private", "Labelled", "Tenant", "Public"]
    kinds = [visibility.kind for visibility in inputs]
    assert narrowest(inputs).kind == min(kinds, key=order.index, default="Public")


@given(VISIBILITIES)
def test_it_is_stored_and_read_back(visibility: Any) -> None:
    stored = visibility_to_json(visibility)
    assert (stored is None) == (visibility == PUBLIC)
    assert visibility_from_json(stored) == visibility


@pytest.mark.parametrize(
    "stored",
    [
        '{"kind": "Secret"}',
        '{"kind": "After"}',
        '{"kind": "Private"}',
        '{"kind": "Private", "agents": []}',
        '{"kind": "Tenant", "tenant_id": ""}',
        '{"kind": "Public", "more": 1}',
        '"Public"',
    ],
)
def test_what_is_no_visibility(stored: str) -> None:
    with pytest.raises(ValidationError):
        visibility_from_json(stored)
