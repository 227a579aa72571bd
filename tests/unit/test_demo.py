"""The demo's analyses as plain functions: real findings on real source, and no input makes them raise."""

import pytest
import radon.metrics
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from flockd import Public
from flockd.demo import bugs, complexity, flock
from flockd.demo.bugs import find_bugs
from flockd.demo.complexity import measure_complexity
from flockd.demo.review import CodeReview, review_code
from flockd.demo.source import (
    FSTRING_MAX_CHARACTERS,
    SOURCE_MAX_CHARACTERS,
    CodeSubmission,
    Complaint,
    parse_source,
)
from flockd.demo.text import (
    KEYWORDS_MAX,
    TEXT_MAX_CHARACTERS,
    TextAnalyzerInput,
    analyze_text,
    keywords,
    sentiment,
)
from flockd.domain.artifact import EXTERNAL
from flockd.domain.subscription import Candidate, Matcher

BUGGY = '''\
import os


def greet(name):
    """Says hello."""
    print("Hello, %s and %s" % (nme,))
    return "\\d"


def tangle(a, b, c):
    total = 0
    for i in range(a):  # counts
        if i % 2 and b:
            total += 1
        elif i % 3 or c:
            total += 2
        elif i % 5:
            total += 3
        while total > 100:
            total -= 1 if a else 2
        try:
            total += int(b)
        except (TypeError, ValueError):
            total -= 1
    return [t for t in range(total) if t]
'''


def submission(code: str, **fields: str) -> CodeSubmission:
    return CodeSubmission.model_validate({"code": code, **fields})


def review(code: str) -> CodeReview:
    return review_code(find_bugs(submission(code)), measure_complexity(submission(code)))


def test_findings_have_the_place_the_rule_and_the_severity() -> None:
    analysis = find_bugs(submission(BUGGY, filename="greet.py"))
    found = [(f.line, f.column, f.severity, f.rule) for f in analysis.findings]
    assert found == [
        (1, 1, "warning", "UnusedImport"),
        (6, 11, "error", "PercentFormatPositionalCountMismatch"),
        (6, 33, "error", "UndefinedName"),
        (7, 1, "warning", "SyntaxWarning"),
    ]
    assert analysis.findings[2].message == "undefined name 'nme'"
    assert (analysis.errors, analysis.warnings, analysis.omitted, analysis.filename) == (2, 2, 0, "greet.py")


@pytest.mark.parametrize(
    ("code", "line", "column", "message"),
    [
        ("x = 1\ndef f(:\n    pass\n", 2, 7, "Syntax error: "),
        ("x = 1\ny = '\0'\n", 2, 6, "Syntax error: NUL character in source"),
        ("(" * 100_000, 1, None, "Syntax error: too many nested parentheses"),
        ("-" * 100_000 + "1", 1, 1, "Nested too deeply to be analysed"),
        ("a" + ".b" * 90_000, 1, 1, "Nested too deeply to be analysed"),
        ("x = " + "1" * 10_000, 1, None, "Syntax error: Exceeds the limit"),
    ],
    ids=["syntax", "nul", "brackets", "operators", "attributes", "digits"],
)
def test_source_that_cannot_be_parsed_is_one_finding(
    code: str, line: int, column: int | None, message: str
) -> None:
    analysis = find_bugs(submission(code))
    (finding,) = analysis.findings
    assert (finding.line, finding.severity, finding.rule) == (line, "error", "SyntaxError")
    assert column is None or finding.column == column
    assert finding.message.startswith(message)

    report = measure_complexity(submission(code))
    assert report.unmeasured == finding.message
    assert report.functions == []
    assert report.maintainability_index is None

    joined = review(code)
    assert joined.verdict == "request changes"
    assert joined.summary.endswith("Its complexity could not be measured.")


@pytest.mark.parametrize("prefix", ["f", "Rf", "x = 1; F"])
@pytest.mark.parametrize("quotes", ['"', "'''"])
def test_an_f_string_that_would_hold_up_the_daemon_is_refused(prefix: str, quotes: str) -> None:
    places = (FSTRING_MAX_CHARACTERS - 10) // 3
    assert parse_source(f"\n{prefix}{quotes}{'{x}' * places}{quotes}").error is None
    parsed = parse_source(f"\n{prefix}{quotes}{'{x}' * (places + 10)}{quotes}")
    assert parsed.tree is None
    assert parsed.error == Complaint(
        2, 8 if ";" in prefix else 1, "Unreadable source: an f-string of more than 20,000 characters"
    )


@pytest.mark.parametrize(
    "code",
    [
        "x = '" + "y" * 50_000 + "'",
        "# it's f\"" + "y" * 50_000,
        "x = 'f' + \"" + "y" * 50_000 + '"',
        "x = 'it\\'s f\"'" + "\ny = 1" * 5_000,
        'f"{x}"\n' * 5_000,
    ],
    ids=["plain", "comment", "letter", "escape", "many"],
)
def test_long_source_without_a_long_f_string_is_read(code: str) -> None:
    assert parse_source(code).error is None


@pytest.mark.parametrize("unit", ['"', "'", '"""', 'f"', '\\"', "f'''{", '"a\n', "#'\n"])
def test_quotes_that_never_end_are_looked_through_once(unit: str) -> None:
    parsed = parse_source((unit * SOURCE_MAX_CHARACTERS)[:SOURCE_MAX_CHARACTERS])
    assert (parsed.tree is None) == (parsed.error is not None)


def test_a_tree_too_deep_for_the_visitors_is_said() -> None:
    deep = "x = 1" + " + 1" * 900
    assert [f.rule for f in find_bugs(submission(deep)).findings] == ["Unfinished"]
    assert measure_complexity(submission(deep)).unmeasured == "Nested too deeply to be measured"


def test_an_analysis_that_runs_out_of_time_keeps_what_it_found_and_says_so() -> None:
    analysis = find_bugs(submission(BUGGY), seconds=0)
    assert analysis.findings[0].message == "The analysis was stopped after 0 s: there may be more findings"
    assert {finding.rule for finding in analysis.findings} == {"Unfinished", "SyntaxWarning"}


def test_names_made_global_later_are_not_reported() -> None:
    late_global = "def a():\n    return counter\n\ndef b():\n    global counter\n    counter = 1\n"
    assert find_bugs(submission(late_global)).findings == []


def test_many_findings_are_counted_and_the_errors_are_listed_first() -> None:
    code = "import os\n" * 300 + "missing\n" * 5
    analysis = find_bugs(submission(code))
    assert analysis.errors == 5
    assert analysis.warnings > bugs.FINDINGS_MAX
    assert len(analysis.findings) == bugs.FINDINGS_MAX
    assert analysis.omitted == analysis.errors + analysis.warnings - bugs.FINDINGS_MAX
    assert sum(finding.severity == "error" for finding in analysis.findings) == 5
    assert [f.line for f in analysis.findings] == sorted(f.line for f in analysis.findings)


def test_messages_that_quote_the_source_stay_short() -> None:
    (finding,) = find_bugs(submission("n" * 100_000)).findings
    assert len(finding.message) == 300


def test_complexity_of_each_function_the_most_complex_first() -> None:
    report = measure_complexity(submission(BUGGY))
    assert [(f.name, f.line, f.complexity, f.rank) for f in report.functions] == [
        ("tangle", 10, 12, "C"),
        ("greet", 4, 1, "A"),
    ]
    assert (report.function_count, report.average_complexity) == (2, 6.5)
    assert report.raw.model_dump() == {
        "loc": 25, "sloc": 20, "lloc": 20, "comments": 1, "docstrings": 1, "blank": 4,
    }  # fmt: skip
    assert report.maintainability_rank == "A"


def test_methods_and_inner_functions_carry_their_owners_names() -> None:
    code = "class A:\n  class B:\n    def m(self):\n      def inner(): pass\n      return inner\n"
    names = {function.name for function in measure_complexity(submission(code)).functions}
    assert names == {"A.B.m", "m.inner"}


def test_maintainability_stays_close_to_radons_own() -> None:
    # Not equal: radon takes the colon of an annotation for the end of a statement, and counts two.
    for module in (bugs, complexity):
        assert module.__file__
        with open(module.__file__, encoding="utf-8") as file:
            code = file.read()
        index = measure_complexity(submission(code)).maintainability_index
        assert index == pytest.approx(radon.metrics.mi_visit(code, multi=True), abs=10)


def test_long_statements_and_strings_are_measured() -> None:
    table = "x = {\n" + "1: 2,\n" * 20_000 + "}\ny = '''\n" + "\n" * 20_000 + "'''\n"
    report = measure_complexity(submission(table))
    assert (report.raw.loc, report.raw.sloc, report.raw.blank) == (40_004, 40_004, 0)
    assert find_bugs(submission(table)).findings == []


def test_a_clean_source_is_approved() -> None:
    joined = review("def double(x):\n    return 2 * x\n")
    assert joined.model_dump() == {
        "filename": None,
        "verdict": "approve",
        "score": 100,
        "summary": (
            "No findings in 2 lines. 1 function, the most complex is double in line 1 (1, rank A)."
            " Maintainability index 89 of 100."
        ),
        "remarks": [],
    }


def test_an_empty_source_is_an_empty_report() -> None:
    assert find_bugs(submission("")).findings == []
    assert measure_complexity(submission("")).functions == []
    assert review("").summary.startswith("No findings in an empty source.")


def test_the_review_joins_both_with_errors_first() -> None:
    joined = review(BUGGY)
    assert joined.verdict == "request changes"
    assert [(r.line, r.severity, r.source) for r in joined.remarks] == [
        (6, "error", "bugs"),
        (6, "error", "bugs"),
        (1, "warning", "bugs"),
        (7, "warning", "bugs"),
        (10, "warning", "complexity"),
    ]
    assert joined.remarks[-1].message == "tangle has a complexity of 12 (C): consider splitting it"
    assert joined.score == 100 - 2 * 20 - 2 * 4 - 5
    assert joined.summary.startswith(
        "2 errors and 2 warnings in 25 lines. 2 functions, the most complex is tangle"
    )


@given(
    st.text(max_size=200)
    | st.from_regex(r"([\[({'\"\\\n :;@a=]|def |class |lambda|f'{){0,40}", fullmatch=True)
)
def test_no_source_makes_an_agent_fail(code: str) -> None:
    assert 0 <= review(code).score <= 100


def test_a_submission_is_bounded_and_its_language_is_normalised() -> None:
    assert submission("", language=" Python ").language == "python"
    with pytest.raises(ValidationError, match="at most"):
        submission("x" * (SOURCE_MAX_CHARACTERS + 1))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Flock makes building agents easy and fun!", "positive"),
        ("This is great!", "positive"),
        ("I hate this terrible, broken product.", "negative"),
        ("The train leaves at noon. The service was awful.", "negative"),
        ("The meeting is on Tuesday.", "neutral"),
        ("", "neutral"),
        ("\0 \n\n ... 😀", "positive"),
    ],
)
def test_sentiment(text: str, expected: str) -> None:
    assert sentiment(text) == expected


def test_keywords_are_phrases_between_stop_words_in_order_of_weight() -> None:
    abstract = (
        "Compatibility of systems of linear constraints over the set of natural numbers. Criteria of"
        " compatibility of a system of linear Diophantine equations, strict inequations, and nonstrict"
        " inequations are considered."
    )
    found = keywords(abstract)
    assert found[0] == "linear diophantine equations"
    assert "linear constraints" in found[:3]
    assert len(found) == KEYWORDS_MAX
    assert keywords("C++ or node.js, in 2026? It’s state-of-the-art node.js.") == [
        "state-of-the-art node.js", "node.js", "c++",
    ]  # fmt: skip
    assert keywords("It is what it is. 1 2 3 " + "x" * 1_000) == []


@pytest.mark.parametrize("unit", ["but ", "word ", "a", "!", ". ", "\n", "great but bad ", "a."])
def test_long_text_is_analysed(unit: str) -> None:
    text = unit * (TEXT_MAX_CHARACTERS // len(unit))
    assert analyze_text(TextAnalyzerInput(text=text)).sentiment in {"positive", "neutral", "negative"}


@given(st.text(max_size=300))
def test_no_text_makes_the_agent_fail(text: str) -> None:
    assert len(analyze_text(TextAnalyzerInput(text=text)).keywords) <= KEYWORDS_MAX


@pytest.mark.parametrize(
    ("language", "woken"), [("python", {"bug_detector", "complexity_analyst"}), ("rust", set())]
)
def test_another_language_wakes_nobody(language: str, woken: set[str]) -> None:
    code = submission("", language=language)
    published = Candidate(
        "CodeSubmission",
        code.model_dump_json().encode(),
        code,
        produced_by=EXTERNAL,
        tags=(),
        visibility=Public(),
    )
    assert {agent.name for agent in Matcher(flock.agents().values()).match(published)} == woken
