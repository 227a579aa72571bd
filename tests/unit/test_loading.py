"""Finding the flock to serve."""

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flockd.config import AgentTable, Config
from flockd.engines.base import Context
from flockd.loading import LoadError, load_flock

AGENTS = '''
from pydantic import BaseModel

from flockd import Flock

flock = Flock("a-model", name="{name}", description="Loaded.")


class {type}(BaseModel):
    text: str


@flock.agent
async def {agent}(idea: {type}) -> None:
    """Reads."""
'''

FUNCTIONS = '''
from pydantic import BaseModel


class Idea(BaseModel):
    text: str


def shout(question):
    """Says it louder.

    Much louder.
    """
    return {"answer": question.text.upper()}


async def think(idea: Idea) -> Idea:
    return idea


NOT_A_FLOCK = 5
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory; what is imported from it is forgotten again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        module_file = getattr(sys.modules[name], "__file__", None)
        if module_file and Path(module_file).is_relative_to(tmp_path):
            del sys.modules[name]


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(textwrap.dedent(text), encoding="utf-8")


def refused(load: Callable[[], Any]) -> str:
    with pytest.raises(LoadError) as wrong:
        load()
    return str(wrong.value)


def table(**options: Any) -> AgentTable:
    return AgentTable(**{"name": "shouter", "function": "functions:shout", **options})


def nothing(context: str = "r") -> Context:
    async def query(type: str | None, where: str | None, limit: int, scope: str) -> list[Any]:
        return []

    return Context(
        agent="a",
        correlation_id="c",
        run_id=context,
        attempt=1,
        inputs=(),
        on_progress=lambda fraction, phase, message: None,
        on_write=lambda text: None,
        query=query,
    )


# Which flock


def test_without_anything_it_is_the_demo(folder: Path) -> None:
    loaded = load_flock(Config())
    assert loaded.name == "demo"
    assert "code_reviewer" in loaded.agents()


def test_with_a_model_the_demo_has_it_write_the_code(folder: Path) -> None:
    loaded = load_flock(Config.model_validate({"llm": {"model": "openai:gpt-4.1"}}))
    kinds = {name: agent.kind for name, agent in loaded.agents().items()}
    assert (kinds["planner"], kinds["coder"], kinds["tester"]) == ("llm", "llm", "function")
    assert kinds.keys() == load_flock(Config()).agents().keys()


def test_a_target_names_a_flock_in_the_working_directory(folder: Path) -> None:
    write(folder / "mine.py", AGENTS.format(name="mine", type="Idea", agent="reader"))
    loaded = load_flock(Config(modules=["ignored"]), "mine:flock")
    assert (loaded.name, loaded.model, loaded.description) == ("mine", "a-model", "Loaded.")
    assert list(loaded.agents()) == ["reader"]
    assert loaded.agents()["reader"].description == "Reads."


def test_a_target_in_src_and_in_a_package_and_behind_an_attribute(folder: Path) -> None:
    write(
        folder / "src" / "pack" / "mod.py",
        AGENTS.format(name="mine", type="Idea", agent="reader") + "\nclass Holder:\n    inner = flock\n",
    )
    assert load_flock(Config(), "pack.mod:Holder.inner").name == "mine"


def test_modules_are_merged_and_their_own_flocks_stay_as_they_are(folder: Path) -> None:
    write(folder / "one.py", AGENTS.format(name="one", type="Idea", agent="first"))
    write(
        folder / "two.py",
        AGENTS.format(name="two", type="Note", agent="second") + "\nfrom one import flock as other\n",
    )
    config = Config(modules=["one", "two"])
    for _ in range(2):  # a second load finds the same
        loaded = load_flock(config)
        assert loaded.name == "one"
        assert list(loaded.agents()) == ["first", "second"]
        assert list(loaded.types()) == ["Idea", "Note"]
    assert list(sys.modules["one"].flock.agents()) == ["first"]


def test_agents_of_the_configuration_alone_are_a_flock(folder: Path) -> None:
    write(folder / "functions.py", FUNCTIONS)
    loaded = load_flock(Config(agents=[AgentTable(name="thinker", function="functions:think")]))
    assert list(loaded.agents()) == ["thinker"]
    assert list(loaded.types()) == ["Idea"]


# What is wrong with it


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("mine", "'mine' names nothing: write MODULE:ATTR, such as mine:flock"),
        ("src/mine.py:flock", "'src/mine.py:flock' names nothing: write MODULE:ATTR, such as src.mine:flock"),
        (":flock", "':flock' names nothing: write MODULE:ATTR, such as my_agents:flock"),
        ("mine:flok", "mine:flok: mine has no flok: did you mean flock?"),
        ("mine:zzz", "mine:zzz: mine has no zzz"),
        ("mine:Idea", "mine:Idea is a ModelMetaclass, not a Flock: name the object that Flock(…) made"),
    ],
)
def test_a_wrong_target_is_refused(folder: Path, target: str, sentence: str) -> None:
    write(folder / "mine.py", AGENTS.format(name="mine", type="Idea", agent="reader"))
    assert refused(lambda: load_flock(Config(), target)) == sentence


@pytest.mark.parametrize(
    ("source", "error", "line"),
    [
        ("x = 1\n\nx.y\n", "AttributeError: 'int' object has no attribute 'y'", 3),
        ("import flockd\nimport gone_missing\n", "ModuleNotFoundError: No module named 'gone_missing'", 2),
        ("x = 1\nx = = 2\n", "SyntaxError: invalid syntax (broken.py, line 2)", 2),
        ("raise SystemExit('stop')\n", "SystemExit: stop", 1),
        ("import json\n\njson.loads('')\n", "JSONDecodeError: Expecting value: line 1 column 1 (char 0)", 3),
        (
            "from flockd import Daily\n\nDaily('25:00')\n",
            "ValueError: a time of day is written \"09:00\", not '25:00'",
            3,
        ),
        (
            "from flockd import After, Public\n\nAfter(ttl='soon', them=Public())\n",
            'ValidationError: After: ttl: Value error, \'soon\' is not a duration: write "30s", "5m", "2h" or an '
            'ISO 8601 one such as "PT30S"; them: Extra inputs are not permitted',
            3,
        ),
    ],
)
def test_a_failed_import_names_the_folders_and_the_line(
    folder: Path, source: str, error: str, line: int
) -> None:
    write(folder / "src" / "keep", "")
    write(folder / "broken.py", source)
    assert refused(lambda: load_flock(Config(), "broken:flock")) == (
        f"the module broken cannot be imported (looked in {folder} and {folder / 'src'}, and the installed "
        "packages): "
        f"{error} ({folder / 'broken.py'}:{line})"
    )


def test_a_module_that_is_not_there_names_the_folders(folder: Path) -> None:
    assert refused(lambda: load_flock(Config(modules=["absent_module"]))) == (
        f"the module absent_module cannot be imported (looked in {folder}, and the installed packages): "
        "ModuleNotFoundError: No module named 'absent_module'"
    )


def test_a_wrong_declaration_names_the_line(folder: Path) -> None:
    write(
        folder / "mine.py",
        """
        from flockd import Flock
        flock = Flock()

        @flock.agent(retries=1)
        async def lost(x) -> None: ...
        """,
    )
    sentence = refused(lambda: load_flock(Config(), "mine:flock"))
    assert sentence.startswith("agent lost: the parameter x has no annotation: ")
    assert sentence.endswith(f" ({folder / 'mine.py'}:5)")


def test_a_module_without_a_flock_is_refused(folder: Path) -> None:
    write(folder / "functions.py", FUNCTIONS)
    assert refused(lambda: load_flock(Config(modules=["functions"]))) == (
        "the module functions (modules in the configuration) has no flock: write flock = Flock() in it, "
        "or take it off the list"
    )


def test_two_modules_with_one_agent_name_are_refused(folder: Path) -> None:
    write(folder / "one.py", AGENTS.format(name="one", type="Idea", agent="first"))
    write(folder / "two.py", AGENTS.format(name="two", type="Note", agent="First"))
    assert refused(lambda: load_flock(Config(modules=["one", "two"]))).startswith(
        "agent First: there is already an agent first"
    )
