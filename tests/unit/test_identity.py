"""Identifiers."""

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flockd.domain.identity import id_bytes, id_text, new_id, parse_id
from flockd.domain.moment import now_ms


def test_a_new_id_is_a_canonical_uuid_of_version_7_and_now() -> None:
    before = now_ms()
    made = UUID(new_id())
    assert str(made) == parse_id(str(made))
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert before <= made.int >> 80 <= now_ms()


def test_ids_differ() -> None:
    assert len({new_id() for _ in range(10_000)}) == 10_000


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("01936f2e-8c0a-7def-8123-0123456789ab", "01936f2e-8c0a-7def-8123-0123456789ab"),
        ("01936F2E-8C0A-7DEF-8123-0123456789AB", "01936f2e-8c0a-7def-8123-0123456789ab"),
        ("01936f2e8c0a7def81230123456789ab", "01936f2e-8c0a-7def-8123-0123456789ab"),
        ("{01936f2e-8c0a-7def-8123-0123456789ab}", "01936f2e-8c0a-7def-8123-0123456789ab"),
        ("", None),
        ("01936f2e", None),
        ("01936f2e-8c0a-7def-8123-0123456789ag", None),
        ("../../etc/passwd", None),
    ],
)
def test_ids_of_clients_are_read(text: str, canonical: str | None) -> None:
    assert parse_id(text) == canonical


def test_a_uuid_of_any_version_is_one() -> None:
    random = str(uuid4())
    assert parse_id(random) == random


@given(st.uuids())
def test_an_id_is_stored_in_sixteen_bytes(drawn: UUID) -> None:
    assert id_bytes(str(drawn)) == drawn.bytes
    assert id_text(drawn.bytes) == str(drawn)
