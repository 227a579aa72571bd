"""An answering daemon, and the command line in a folder and an environment without settings."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flockd.cli import main
from tests.unit.cli.answering import Answering, answering


@pytest.fixture
def daemon() -> Iterator[Answering]:
    with answering() as daemon:
        yield daemon


@pytest.fixture
def flockd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """`flockd("verb", "--option", stdin="…")`: its exit code and what it printed."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith(("FLOCKD_", "API_")):
            monkeypatch.delenv(name)
    return lambda *arguments, stdin=None: CliRunner().invoke(main, arguments, input=stdin)
