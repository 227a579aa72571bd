"""The documents say what is there: files, headings, settings, metrics, states and rooms; nothing is left unlinked."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from flockd.api.metrics import BoardFigures, Metrics
from flockd.config import Config
from flockd.domain.event import EventKind
from flockd.domain.run import TRANSITIONS
from flockd.errors import FlockdError
from flockd.streams.streams import StreamFigures

from . import ROOT
from .test_imports import ANYTHING, AUTHORS, MAY_IMPORT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "bench").glob("*.md")])
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
OPERATIONS = (ROOT / "docs" / "operations.md").read_text("utf-8")

LINK = re.compile(r"\[[^\]]*\]\(([^()\s]+)\)")
CODE_BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"`((?:[\w.-]+/)+[\w.-]*\.(?:py|md|toml|sql|js|html|css|svg|png))`")
FOLDERS = (ROOT, ROOT / "flockd")
"""Where a file that a page names is looked for."""


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return CODE_BLOCK.sub("", page.read_text("utf-8"))


def anchors(page: Path) -> set[str]:
    """The headings of a page as GitHub names them in links."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def dead_links(page: Path) -> list[str]:
    """The links of a page, within this project, that lead nowhere."""
    dead = []
    for link in LINK.findall(prose(page)):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if link.startswith("https://"):
            continue
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    return dead


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_link_leads_somewhere(page: Path) -> None:
    assert dead_links(page) == []


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_file_that_is_named_is_there(page: Path) -> None:
    named = FILE.findall(prose(page))
    assert [file for file in named if not any((folder / file).is_file() for folder in FOLDERS)] == []


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_setting_that_is_named_is_there(page: Path) -> None:
    sections = {name: type(value).model_fields for name, value in Config() if isinstance(value, BaseModel)}
    named = re.findall(rf"`({'|'.join(sections)})\.([a-z_]+)(?: = [^`]*)?`", prose(page))
    unknown = {f"{section}.{name}" for section, name in named if name not in sections[section]}
    of_others = {name for name in unknown if name.endswith(".py") or _exists(name)} | set(EventKind)
    assert unknown - of_others == set()


def test_every_page_is_listed() -> None:
    index = ROOT / "docs" / "index.md"
    listed = {(index.parent / link).resolve() for link in LINK.findall(prose(index)) if "://" not in link}
    assert {page for page in PAGES if page.parent != ROOT / "bench"} - {index} <= listed


def test_dead_links_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A page, with `code`\n[a](page.md) [b](#a-page-with-code) [c](gone.md) [d](#gone) [e](https://e.example)\n"
        "```text\n[f](example.md)\n```\n",
        "utf-8",
    )
    assert dead_links(page) == ["gone.md", "#gone"]


def test_every_metric_is_explained() -> None:
    figures = BoardFigures(
        artifacts=0, agents=0, executions=0, runs_by_state={}, oldest_ready_seconds=0, head=0, ready=True,
        streams=StreamFigures({}, 0, 0, 0, 0, 0),
    )  # fmt: skip
    there = set(re.findall(r"^# TYPE (\w+)", Metrics().render(figures).decode(), re.MULTILINE))
    assert set(re.findall(r"^\| `((?:flockd|blackboard)_\w+)` \|", OPERATIONS, re.MULTILINE)) == there


def test_every_error_is_explained() -> None:
    text = (ROOT / "docs" / "http.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d{3}) \| (`[^|]*`) \|", text, re.MULTILINE)
    told = {(int(status), code) for status, codes in rows for code in re.findall(r"`(\w+)`", codes)}
    there = {FlockdError, *FlockdError.__subclasses__()}
    while deeper := {narrower for one in there for narrower in one.__subclasses__()} - there:
        there |= deeper
    assert told == {(error.status, error.code) for error in there}


def test_the_chart_shows_how_runs_move() -> None:
    (chart,) = re.findall(r"^stateDiagram-v2\n(.*?)^```$", ARCHITECTURE, re.MULTILINE | re.DOTALL)
    arrows = re.findall(r"^ +(\w+) --> (\w+)", chart, re.MULTILINE)
    assert {state for arrow in arrows for state in arrow} == {str(state) for state in TRANSITIONS}
    allowed = {(str(before), str(after)) for before, afters in TRANSITIONS.items() for after in afters}
    assert set(arrows) <= allowed
    assert set(re.findall(r"^ +(\w+) --> \[\*\]", chart, re.MULTILINE)) == {
        str(state) for state, afters in TRANSITIONS.items() if not afters
    }


@pytest.mark.parametrize("room", sorted(MAY_IMPORT.keys() - {AUTHORS, "__main__"}))
def test_the_table_of_rooms_is_the_rule(room: str) -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| .* \| ([^|]*) \|$", ARCHITECTURE, re.MULTILINE))
    if not _exists(room):
        assert room not in rows, f"{room} is not there yet"
        return
    told = {name.strip("` ") for name in rows[room].split(",")} - {"nothing of ours"}
    assert told == {name for name in MAY_IMPORT[room] if name in (ANYTHING, AUTHORS) or _exists(name)}


def _exists(module: str) -> bool:
    """Whether flockd has this module or package."""
    path = ROOT.joinpath("flockd", *module.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()
