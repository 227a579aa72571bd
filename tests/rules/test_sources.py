"""How the sources are laid out: names that say something, files that can be read."""

import re

from . import ROOT

SAYS_NOTHING = {"utils", "util", "common", "core", "helpers", "models", "misc"}
LINES_MAX = 600
FILES = sorted(path for path in (ROOT / "flockd").rglob("*") if path.suffix in {".py", ".sql"})


def test_names_say_what_is_inside() -> None:
    found = {path for path in FILES if SAYS_NOTHING & set(path.relative_to(ROOT).with_suffix("").parts)}
    assert found == set()


def test_files_can_be_read_in_one_go() -> None:
    lines = {str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines()) for path in FILES}
    assert lines, "no sources found"
    assert {file: count for file, count in lines.items() if count >= LINES_MAX} == {}


def test_every_target_of_the_makefile_has_a_line_of_help() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    phony = re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    assert phony is not None
    helped = set(re.findall(r"^([a-z]+):.*## \S", makefile, re.MULTILINE))
    assert set(phony[1].split()) == helped
    assert {"serve", "test", "help"} <= helped


def test_ci_runs_what_everybody_runs() -> None:
    script = ROOT / ".ci" / "run"
    text = script.read_text("utf-8")
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "set -euo pipefail" in text
    assert "export FLOCKD_TEST_STRICT=1" in text
    assert re.search(r"^make test\b", text, re.MULTILINE)
    assert script.stat().st_mode & 0o111, "not executable"
