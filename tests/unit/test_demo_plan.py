"""Plans: what sentences of requirements become, and that no text is ever more than a name or a docstring."""

import keyword

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from flockd.demo.names import NAME_MAX_CHARACTERS
from flockd.demo.plan import STEPS_MAX, Plan, Step, make_plan
from flockd.demo.requirements import REQUIREMENTS_MAX_CHARACTERS, Requirements, sentences_of


def plan(text: str, **fields: str) -> Plan:
    return make_plan(Requirements.model_validate({"requirements": text, **fields}))


def steps(text: str) -> dict[str, str | None]:
    return {step.name: step.operation for step in plan(text).steps}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Create a calculator", ["add", "subtract", "multiply", "divide", "calculate"]),
        ("Build a calculator that adds and subtracts.", ["add", "subtract"]),
        ("Create a todo list", ["create_item", "read_item", "update_item", "delete_item", "list_items"]),
        ("Users can add, list and delete notes", ["create_item", "list_items", "delete_item"]),
        ("A text tool: it reverses strings and counts words", ["reverse_text", "count_words"]),
        # said twice, planned once
        ("Create a calculator. It must add and subtract. It must also divide.", [
            "add", "subtract", "multiply", "divide", "calculate",
        ]),
    ],
)  # fmt: skip
def test_several_operations_of_a_sentence_are_steps_of_their_own_names(
    text: str, expected: list[str]
) -> None:
    assert steps(text) == dict.fromkeys(expected) | {name: name for name in expected}


@pytest.mark.parametrize(
    ("text", "name", "operation"),
    [
        ("Create a simple API", "create_simple_api", "create_api"),
        ("Sort a list of numbers.", "sort_list_numbers", "sort"),
        ("Reverse a text", "reverse_text", "reverse_text"),
        ("Reverse a list", "reverse_list", "reverse"),
        ("Count the words in a text", "count_words_text", "count_words"),
        ("Count the values of a list", "count_values_list", "count"),
        ("Convert miles to kilometres", "convert_miles_kilometres", "convert"),
        ("Search the notes for a text", "search_notes_text", "search_items"),
        ("Create tasks", "create_tasks", "create_item"),
        ("Write a function that checks whether a number is prime", "checks_number_prime", "is_prime"),
        ("Send a reminder", "send_reminder", None),
        ("Delete", "delete", "delete_item"),
        # names that Python or the module needs itself
        ("Sum.", "do_sum", "add"),
        ("Import this", "do_import", None),
        ("print", "do_print", None),
        ("3 wishes", "step_3_wishes", None),
        ("対応する", "対応する", None),
        ("The", "the", None),
        ("ﬁnd ｎｏｔｅｓ", "find_notes", "search_items"),
    ],
)
def test_a_sentence_is_a_step_named_by_its_words(text: str, name: str, operation: str | None) -> None:
    assert steps(text) == {name: operation}


def test_the_words_of_the_other_sentences_decide_what_an_ambiguous_one_means() -> None:
    assert steps("Keep my contacts. Add one.") == {"keep_my_contacts": None, "add": "create_item"}
    assert steps("Work with numbers. Add two of them.")["add_two"] == "add"


def test_equal_names_are_told_apart_and_equal_sentences_are_one() -> None:
    text = "Sort users by name. sort users by NAME. Sort users by name, please! Sort users by name, now!"
    assert list(steps(text)) == ["sort_users_name", "sort_users_name_2", "sort_users_name_now"]
    many = "\n".join(f"Sort the users of the name of day {number}" for number in range(3))
    assert list(steps(many)) == ["sort_users_name_day", "sort_users_name_day_2", "sort_users_name_day_3"]


def test_sentences_end_at_marks_and_lines_and_bullets_go() -> None:
    text = "One. Second: e.g. v1.2!\n\n  - third\n* fourth?\n10) fifth; sixth - 7\r\n对列表排序。再反转。...\n- \n"
    assert list(sentences_of(text)) == [
        "One.", "Second: e.g.", "v1.2!", "third", "fourth?", "fifth;", "sixth - 7", "对列表排序。", "再反转。",
    ]  # fmt: skip


def test_the_title_and_the_module_are_those_of_the_first_sentence_or_as_configured() -> None:
    made = plan("Create a simple shop inventory. Sort it.")
    assert (made.title, made.module) == ("Create a simple shop inventory.", "shop_inventory")
    assert plan("Create a shop", module="My Shop!").module == "my_shop"
    assert plan("Create json").module == "json_module"
    assert plan("对列表排序").module == "generated"
    assert plan("…").steps[0].name == "nothing_particular"


def test_steps_beyond_the_most_are_counted() -> None:
    made = plan("\n".join(f"wish number{number}" for number in range(STEPS_MAX + 7)))
    assert (len(made.steps), made.omitted_steps) == (STEPS_MAX, 7)


@pytest.mark.parametrize(
    "unit",
    ["a", "a. ", "\n", "- ", ". ", "add ", "calculator. ", "Sort a list {n}.\n", "。", "x\u0301", "1)\n"],
)
def test_long_requirements_are_planned(unit: str) -> None:
    text = "".join(unit.replace("{n}", str(n)) for n in range(REQUIREMENTS_MAX_CHARACTERS // len(unit)))
    made = plan(text[:REQUIREMENTS_MAX_CHARACTERS])
    assert 1 <= len(made.steps) <= STEPS_MAX


@given(st.text(min_size=1, max_size=300))
def test_every_name_is_an_identifier_that_shadows_nothing(text: str) -> None:
    made = plan(text)
    for step in made.steps:
        assert step.name.isidentifier()
        assert not keyword.iskeyword(step.name)
        assert len(step.name) <= NAME_MAX_CHARACTERS + 10
        assert "\n" not in step.sentence
    assert Plan.model_validate_json(made.model_dump_json()) == made


@pytest.mark.parametrize(
    "name",
    [
        "x():\n import os\ndef y",
        "import",
        "print",
        "json",
        "__builtins__",
        "_x",
        "1a",
        "",
        "a b",
        "ﬁnd",
        "a" * 60,
    ],
)
def test_a_plan_of_others_has_no_name_that_is_code(name: str) -> None:
    with pytest.raises(ValidationError):
        Step(name=name, sentence="x")


@pytest.mark.parametrize(
    "fields",
    [
        {"module": "../x"},
        {"module": "os"},
        {"module": "X"},
        {"steps": []},
        {"steps": [{"name": "a", "sentence": ""}] * 2},
        {"steps": [{"name": "a", "sentence": "", "operation": "eval"}]},
    ],
)
def test_a_plan_of_others_is_checked(fields: dict[str, object]) -> None:
    valid = {"title": "x", "module": "x", "steps": [{"name": "a", "sentence": "", "operation": "add"}]}
    Plan.model_validate(valid)
    with pytest.raises(ValidationError):
        Plan.model_validate({**valid, **fields})
