"""The Dockerfile, read as a script: what can be known of the image without building it."""

import fnmatch
import json
import re
import shlex
import tomllib
from typing import NamedTuple

import pytest
from pydantic import BaseModel

from flockd.config import Config

from . import ROOT


class Instruction(NamedTuple):
    """One line of the Dockerfile, continuations joined: `COPY` and what follows it."""

    name: str
    text: str


def _instructions() -> list[Instruction]:
    lines = [
        line for line in (ROOT / "Dockerfile").read_text("utf-8").splitlines() if not line.startswith("#")
    ]
    script = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [Instruction(*line.split(maxsplit=1)) for line in script.splitlines() if line.strip()]


SCRIPT = _instructions()
LAST_STAGE = SCRIPT[max(index for index, each in enumerate(SCRIPT) if each.name == "FROM") :]


def _all(name: str, script: list[Instruction] = LAST_STAGE) -> list[str]:
    return [each.text for each in script if each.name == name]


def _one(name: str) -> str:
    [text] = _all(name)
    return text


def _sources_from_the_checkout() -> list[str]:
    copies = [shlex.split(text) for text in _all("COPY", SCRIPT)]
    return [source for words in copies if not words[0].startswith("--from") for source in words[:-1]]


def _is_sent_to_the_builder(path: str) -> bool:
    """Whether .dockerignore lets `path` through: its last matching line decides, as Docker reads it."""
    is_sent = True
    for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines():
        pattern = line.strip()
        if pattern and not pattern.startswith("#") and fnmatch.fnmatch(path, pattern.removeprefix("!")):
            is_sent = pattern.startswith("!")
    return is_sent


def test_it_is_built_in_stages_on_a_pinned_slim_base() -> None:
    bases = [text.split()[0] for text in _all("FROM", SCRIPT)]
    assert len(bases) == 2
    assert len(set(bases)) == 1, "an environment runs only on the Python that it was made with"
    assert re.fullmatch(r"python:3\.\d+-slim", bases[0])
    assert [text for text in _all("RUN") if "pip" in text or "apt-get" in text] == [], (
        "tools left in the image"
    )


@pytest.mark.parametrize("source", _sources_from_the_checkout())
def test_what_is_copied_is_there(source: str) -> None:
    assert (ROOT / source).exists()
    assert _is_sent_to_the_builder(source)


def test_all_that_the_wheel_is_built_from_is_copied() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {
        "pyproject.toml",
        "LICENSE",
        project["project"]["readme"],
        *wheel["packages"],
        *wheel["force-include"],
    }
    assert needed <= set(_sources_from_the_checkout())


def test_the_extras_that_it_installs_are_there() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    [chosen] = [text.removeprefix("EXTRAS=") for text in _all("ARG", SCRIPT) if text.startswith("EXTRAS=")]
    assert set(chosen.split(",")) <= set(extras)
    assert any("install" in text and "${EXTRAS:+[$EXTRAS]}" in text for text in _all("RUN", SCRIPT))


def test_nothing_private_is_sent_to_the_builder() -> None:
    assert not any(_is_sent_to_the_builder(path) for path in (".env", ".git", ".venv", "data", "tests"))


def test_one_process_which_gets_the_signals() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    [program] = json.loads(_one("ENTRYPOINT"))
    assert program in project["scripts"]
    assert json.loads(_one("CMD")) == ["serve"]
    assert _one("STOPSIGNAL") == "SIGTERM"


def test_it_does_not_run_as_root() -> None:
    user = _one("USER").partition(":")[0]
    assert user.isdigit()
    assert int(user) > 0
    names = [each.name for each in LAST_STAGE]
    assert names.index("USER") < names.index("ENTRYPOINT") < names.index("CMD")
    assert f"--uid {user}" in " ".join(_all("RUN")), "the user has no account"


def test_settings_exist_and_agree_with_the_image() -> None:
    settings = dict(word.split("=", 1) for word in shlex.split(_one("ENV")))
    ours = {name: value for name, value in settings.items() if name.startswith("FLOCKD_")}
    for name in ours:
        section, _, key = name.removeprefix("FLOCKD_").lower().partition("__")
        model = Config.model_fields[section].annotation
        assert isinstance(model, type)
        assert issubclass(model, BaseModel)
        assert key in model.model_fields, f"no such setting: {name}"
    assert ours["FLOCKD_SERVER__HOST"] == "0.0.0.0"
    assert ours["FLOCKD_SERVER__PORT"] == _one("EXPOSE")
    assert json.loads(_one("VOLUME")) == [ours["FLOCKD_STORE__DATA_DIR"]]


def test_its_health_is_asked_with_what_is_in_the_image() -> None:
    command = json.loads(_one("HEALTHCHECK").partition("CMD ")[2])
    assert command[:2] == ["python", "-c"]
    assert "/ready" in command[2]
    compile(command[2], "HEALTHCHECK", "exec")
