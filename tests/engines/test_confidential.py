"""What was told in confidence is taken out of texts, whole or in part; other words stay."""

import pytest

from flockd.engines.confidential import without, without_secrets


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROXY_AUTH", "Bearer zq-7777777")
    monkeypatch.setenv("SOME_TOKEN", "four of them")
    monkeypatch.setenv("SHORT_KEY", "abcdefg")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("wrong: Bearer abcdef", "wrong: ***"),
        ("wrong: abcdef", "wrong: ***"),
        ("abcdef-and-more is longer", "*** is longer"),
        ("what bears that", "what bears that"),
    ],
)
def test_values_and_their_words_are_taken_out_the_longest_first(text: str, left: str) -> None:
    assert without(text, ["Bearer abcdef", "abcdef-and-more", "what"]) == left


@pytest.mark.parametrize(
    ("text", "key_variable", "left"),
    [
        ("no: four of them", None, "no: ***"),
        ("which four of whom", None, "which four of whom"),
        ("abcdefg", None, "abcdefg"),
        ("abcdefg", "SHORT_KEY", "***"),
        ("Incorrect key: zq-7777777", None, "Incorrect key: zq-7777777"),
        ("Incorrect key: zq-7777777", "PROXY_AUTH", "Incorrect key: ***"),
        ("at https://me:hunter2@example.com/", None, "at https://***@example.com/"),
        ("at https://me:hunter@2@example.com/", None, "at https://***@example.com/"),
        ("nothing", "NOT_SET", "nothing"),
    ],
)
def test_secrets_are_known_by_the_names_of_their_variables(
    text: str, key_variable: str | None, left: str
) -> None:
    assert without_secrets(text, key_variable) == left
