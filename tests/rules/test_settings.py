"""`config.toml` and `docs/settings.md` say what the models say, for every setting."""

import subprocess
import sys

import pytest
from pydantic import BaseModel

from flockd.config import TABLES, Config
from flockd.config.pages import sections, settings_page, toml_file

from . import ROOT

SETTINGS = [(name, setting) for name, _, settings in sections() for setting in settings]
UNITS = ("_bytes", "_seconds", "_milliseconds", "_hours", "_chars")


def test_the_file_parses_to_the_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.chdir(str(tmp_path))
    assert Config.load(ROOT / "config.toml") == Config()


@pytest.mark.parametrize(
    ("file", "text", "command"),
    [("config.toml", toml_file(), "toml"), ("docs/settings.md", settings_page(), "page")],
)
def test_the_files_are_what_the_models_say(file: str, text: str, command: str) -> None:
    assert (ROOT / file).read_text("utf-8") == text, f"run: python -m flockd.config {command} > {file}"


def test_every_setting_is_in_both_with_its_reason() -> None:
    toml = (ROOT / "config.toml").read_text("utf-8").replace("\n# ", " ")
    page = (ROOT / "docs" / "settings.md").read_text("utf-8")
    for section, setting in SETTINGS:
        dotted = f"{section}.{setting.name}" if section else setting.name
        assert setting.reason.endswith("."), f"{dotted} has no reason"
        assert setting.reason in toml, f"config.toml does not give the reason of {dotted}"
        assert f"\n{setting.name} = {setting.literal}" in toml, f"config.toml does not set {dotted}"
        assert f"| `{dotted}` | `{setting.literal}`" in page, f"docs/settings.md does not list {dotted}"


def test_every_section_of_the_model_is_listed() -> None:
    assert {name for name, _, _ in sections()} | {"modules", *TABLES} == {"", *Config.model_fields}


@pytest.mark.parametrize("table", TABLES.values())
def test_every_key_of_a_table_is_explained(table: type[BaseModel]) -> None:
    page = (ROOT / "docs" / "settings.md").read_text("utf-8")
    for key, field in table.model_fields.items():
        assert field.description, f"{table.__name__}.{key} has no description"
        assert f"| `{field.alias or key}` |" in page


def test_a_time_or_a_size_has_its_unit_in_its_name() -> None:
    times = {setting.name for _, setting in SETTINGS if isinstance(setting.default, float)}
    assert times, "no setting is a time"
    assert {name for name in times if not name.endswith(UNITS)} == set()


def test_the_command_prints_the_pages() -> None:
    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "flockd.config", *arguments],
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=30,
        )  # fmt: skip

    assert command("toml").stdout == toml_file()
    assert command("page").stdout == settings_page()
    wrong = command("pages")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("usage: ")
