"""The README's commands run, in their order, and print what it shows, but for ids, times and the port.

A command is a block `sh`; the block behind it (`text` or `json`) is what it prints. Lines are compared without
their order, since agents that work side by side end in any.
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from .daemon import READY, ROOT
from .machine import Machine, plain

README = (ROOT / "README.md").read_text("utf-8")

SELF = "make test"
"""The command that runs these tests."""
SERVES = {"make serve": "flockd serve", "flockd serve hello:flock": "flockd serve hello:flock"}
"""Commands that end with a ready line, and what they come to where all is installed."""
WATCHES = ("flockd tail", "curl -sN")
"""Commands that may go on for ever: they are ended when they have printed as much as is shown."""
SESSION_ID = "$SESSION_ID"
"""What a reader takes from the answer to the command before."""

PROGRESS = re.compile(r"^\d+ of \d+ items\n", re.MULTILINE)
"""How far a batch is: a bar on a terminal, and here as many lines as there is time for."""


class Step(NamedTuple):
    """A file to save, or a command and what it prints."""

    language: str
    text: str
    shown: str


def steps() -> Iterator[Step]:
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    for (language, text), (following, output) in zip(blocks, [*blocks[1:], ("", "")], strict=True):
        if language in ("sh", "python"):
            yield Step(language, text.strip(), output if following in ("text", "json") else "")


@pytest.mark.timeout(180)
def test_the_commands_print_what_is_shown(machine: Machine) -> None:
    printed = ""
    for step in steps():
        command = step.text
        shown = Counter(plain(step.shown))
        if step.language == "python":
            (machine.folder / "hello.py").write_text(command, "utf-8")
            continue
        if command == SELF:
            continue
        if SESSION_ID in command:
            session = re.search(r'"session_id": "(.{36})"', printed)
            assert session is not None, printed
            command = command.replace(SESSION_ID, session[1])
        if command in SERVES:
            printed = machine.serve(SERVES[command])
            shown = Counter(plain("\n".join(line for line in step.shown.splitlines() if READY.search(line))))
        elif command.startswith(WATCHES):
            printed = machine.watch(command, shown.total())
        else:
            printed = PROGRESS.sub("", machine.run(command))
        assert shown, f"the README does not show what this prints:\n{command}\n\n{printed}"
        assert Counter(plain(printed)) == shown, command
    machine.stop()


def test_what_make_test_prints_is_what_make_runs() -> None:
    (shown,) = [step.shown for step in steps() if step.text == SELF]
    makefile = (ROOT / "Makefile").read_text("utf-8").replace("$(BIN)", ".venv/bin").replace(" $(ARGS)", "")
    makefile = makefile.replace("$(PARALLEL)", re.findall(r"^PARALLEL \?= (.*)$", makefile, re.MULTILINE)[0])
    commands = [line for line in shown.splitlines() if line.startswith(".venv/bin/")]
    assert commands
    assert [line for line in commands if f"\t{line}\n" not in makefile] == []


def test_every_command_is_known() -> None:
    commands = [step.text for step in steps() if step.language == "sh"]
    assert {SELF, *SERVES} <= set(commands)
    assert "flockd publish CodeSubmission --set code=@docs/example.py --wait" in commands
    assert all(command.startswith(("make ", "flockd ", "curl ", "printf ")) for command in commands)
