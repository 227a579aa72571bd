"""The poem: as many sentences as asked for, from a class that knows nothing of flockd."""

import ast
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from flockd.demo import poem
from flockd.demo.poem import SENTENCES_MAX, PoemFlow, PoemRequest


@pytest.mark.parametrize("count", [1, 2, 3, 17, SENTENCES_MAX])
def test_a_poem_has_as_many_different_sentences(count: int) -> None:
    flow = PoemFlow()
    flow.state.sentence_count = count
    flow.kickoff()
    lines = flow.state.poem.split("\n")
    assert len(lines) == len(set(lines)) == count
    for line in lines:  # one sentence each, and no symbol or modifier left unexpanded
        assert re.fullmatch(r"[A-Z][A-Za-z ,’'-]+\.", line), line


def test_every_symbol_of_the_grammar_has_rules() -> None:
    rules = [rule for alternatives in poem._RULES.values() for rule in alternatives]
    symbols = {symbol.split(".")[0] for rule in rules for symbol in re.findall(r"#([^#]+)#", rule)}
    assert symbols <= set(poem._RULES)
    assert set(poem._RULES) - symbols == {"sentence"}


@pytest.mark.parametrize("count", [0, -1, SENTENCES_MAX + 1, 2.5, "many"])
def test_other_counts_are_refused(count: object) -> None:
    with pytest.raises(ValidationError) as refused:
        PoemRequest.model_validate({"sentence_count": count})
    assert refused.value.errors()[0]["loc"] == ("sentence_count",)


def test_the_flow_knows_nothing_of_who_runs_it() -> None:
    tree = ast.parse(Path(poem.__file__).read_text(encoding="utf-8"))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in (
            [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
        )
    }
    assert imported == {"pydantic", "tracery"}
