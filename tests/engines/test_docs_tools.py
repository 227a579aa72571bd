"""The examples of docs/tools.md: they declare what the page says, and a model can call what they offer."""

import re
import tomllib
from pathlib import Path

from flockd import Flock
from flockd.config import Config
from flockd.engines.llm.tool_function import read_tools
from flockd.engines.outside import Outside

from .attempts import Attempt
from .scripted import Script

PAGE = Path(__file__).parents[2] / "docs" / "tools.md"
TEXT = PAGE.read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def program() -> dict[str, object]:
    names: dict[str, object] = {"__name__": "tools_page"}
    for code in blocks("python"):
        exec(compile(code, str(PAGE), "exec"), names)
    return names


def test_the_agents_are_declared() -> None:
    flock = program()["flock"]
    assert isinstance(flock, Flock)
    flock.validate()
    assert {agent.kind for agent in flock.agents().values()} == {"llm"}
    assert len(flock.agents()) == 3


async def test_a_model_can_call_the_tools() -> None:
    names = program()
    functions = [names["orders_of"], names["refund"]]
    attempt = Attempt(Outside())
    script = Script(
        [("orders_of", {"customer": "7", "limit": 1})], [("refund", {"order": "7-0", "amount": 12.5})]
    )
    await script.run(attempt.context, *functions)  # type: ignore[arg-type]  # they are functions
    (key,) = [step for step in attempt.kept.steps if step.startswith("tool/refund/")]
    assert script.told == [
        [(["7-0"], "success")],
        [(f"refunded 12.5 for 7-0 (r/{key})", "success")],
    ]
    assert [tool.name for tool in read_tools(functions)] == ["orders_of", "refund"]  # type: ignore[arg-type]


def test_the_table_is_right() -> None:
    (code,) = blocks("toml")
    (agent,) = Config.model_validate(tomllib.loads(code)).agents
    said = agent.thinking()
    assert said["tools"] == ["shop.tools:orders_of", "shop.tools:refund"]
    assert said["context"] == {"limit": 5}
