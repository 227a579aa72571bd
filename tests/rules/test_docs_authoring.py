"""The examples of docs/authoring.md run, in their order, as one program."""

import re
import tomllib
import typing
from collections import Counter
from pathlib import Path

from flockd import Context, Flock
from flockd.config import Config
from flockd.domain.fields import parse_fields
from flockd.flock.gathering import read_gathering
from flockd.flock.options import AgentOptions
from flockd.flock.schedules import read_schedule

PAGE = Path(__file__).parents[2] / "docs" / "authoring.md"
TEXT = PAGE.read_text(encoding="utf-8")


def blocks(language: str) -> list[tuple[int, str]]:
    """The code of each block that is exactly of this language, with the number of its first line."""
    return [
        (TEXT.count("\n", 0, found.start()) + 2, found[1])
        for found in re.finditer(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    ]


def test_the_examples_run() -> None:
    program: dict[str, object] = {"__name__": "authoring"}
    for line, code in blocks("python"):
        exec(compile("\n" * (line - 1) + code, str(PAGE), "exec"), program)
    flock = program["flock"]
    assert isinstance(flock, Flock)
    flock.validate()
    kinds = Counter(agent.kind for agent in flock.agents().values())
    assert kinds == {
        "function": code_count("@flock.agent"),
        "flow": code_count("flock.flow"),
        "llm": code_count("flock.llm_agent"),
    }
    assert len(flock.workflows()) == code_count("flock.workflow(")


def code_count(text: str) -> int:
    """How often it is written in the code that runs, but for comments and what reads it."""
    code = "".join(code for _, code in blocks("python"))
    return len(re.findall(rf"^@?{re.escape(text.removeprefix('@'))}(?!s\b)", code, re.MULTILINE))


def test_the_tables_of_the_configuration_are_right() -> None:
    ((_, code),) = blocks("toml")
    config = Config.model_validate(tomllib.loads(code))
    analyzer, critic, digest, sweeper = config.agents
    for fields in (config.types[0].fields, analyzer.input, analyzer.output, critic.input, critic.output):
        assert fields is not None
        assert parse_fields(fields)
    assert [(flow.flow_class, flow.timeout) for flow in config.flows] == [("poems.flow:PoemFlow", "1m")]
    ((phase,),) = [workflow.phases for workflow in config.workflows]
    assert phase.types == ["TextAnalyzerOutput"]
    gathering = read_gathering("agent digest", None, digest.options()["batch"])
    assert repr(gathering) == "BatchSpec(size=20, timeout=60)"
    for schedule in (sweeper.options()["schedule"], config.timers[0].schedule.model_dump(exclude_none=True)):
        assert read_schedule("timer", schedule).text


def test_every_option_and_member_is_told() -> None:
    told = set(re.findall(r"`(?:await )?(\w+)", "\n".join(re.findall(r"^\| (.*?) \|", TEXT, re.MULTILINE))))
    assert set(AgentOptions.__annotations__) <= told
    members = {name for name in vars(Context) if not name.startswith("_")}
    members |= set(typing.get_type_hints(Context.__init__)) - {"return", "on_progress", "on_write"}
    assert members - {"memory", "outside"} <= told  # which are for engines
