"""What `flock.serve` and `flock.start_api` hand to the daemon."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from flockd import Flock, FlockAPI
from flockd.config import Config, ConfigError

TABLE = """
[server]
port = 9000

[[types]]
name = "Ticket"
fields = "id: int"
"""


class App(ModuleType):
    """The daemon's module, which only notes what it is asked to serve."""

    def __init__(self, code: int = 0) -> None:
        super().__init__("flockd.process")
        self.code = code
        self.served: list[tuple[Config, Flock]] = []

    def serve(self, config: Config, flock: Flock) -> int:
        self.served.append((config, flock))
        return self.code

    async def serve_async(self, config: Config, flock: Flock) -> int:
        return self.serve(config, flock)


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> App:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    made = App()
    monkeypatch.setitem(sys.modules, "flockd.process", made)
    return made


def settings(config: Config) -> tuple[Any, ...]:
    return config.server.host, config.server.port, config.store.url, config.auth.mode


async def test_serve_without_arguments_keeps_the_defaults(app: App) -> None:
    await Flock(name="mine").serve()
    ((config, flock),) = app.served
    assert settings(config) == settings(Config())
    assert flock.name == "mine"


async def test_what_serve_is_given_wins_over_the_file(app: App, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(TABLE, encoding="utf-8")
    await Flock().serve(host="127.0.0.2", store="sqlite:///x.db", auth="open")
    ((config, flock),) = app.served
    assert settings(config) == ("127.0.0.2", 9000, "sqlite:///x.db", "open")
    assert list(flock.types()) == ["Ticket"]


async def test_serve_reads_the_file_that_it_is_given(app: App, tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text(TABLE, encoding="utf-8")
    await Flock().serve(config=tmp_path / "other.toml", port=0)
    ((config, _),) = app.served
    assert config.server.port == 0
    with pytest.raises(ConfigError, match=r"There is no configuration file absent\.toml"):
        await Flock().serve(config="absent.toml")


@pytest.mark.parametrize("page", [True, False])
async def test_the_page_is_switched_by_dashboard_and_by_create_ui(app: App, page: bool) -> None:
    await Flock().serve(dashboard=page)
    Flock().start_api(create_ui=page)
    assert [config.server.page for config, _ in app.served] == [page, page]


def test_start_api_names_the_server_and_blocks(app: App) -> None:
    Flock(name="mine").start_api("127.0.0.2", 0, server_name="My API")
    ((config, flock),) = app.served
    assert (config.server.host, config.server.port, flock.name) == ("127.0.0.2", 0, "My API")


def test_the_api_of_a_flock_starts_it_as_it_would_itself(app: App, tmp_path: Path) -> None:
    flock = Flock(name="mine")
    FlockAPI(flock).start(host="127.0.0.2", port=0)
    FlockAPI(flock).start("::1", 1, "My API", False, store="sqlite:///x.db", auth="open")
    (config, _), (second, named) = app.served
    assert (config.server.host, config.server.port) == ("127.0.0.2", 0)
    assert settings(second) == ("::1", 1, "sqlite:///x.db", "open")
    assert (named.name, second.server.page) == ("My API", False)


def test_an_address_that_others_can_reach_needs_a_word(app: App) -> None:
    with pytest.raises(ConfigError, match=r"which others can reach.*auth\.mode = .open."):
        FlockAPI(Flock()).start(host="0.0.0.0", port=8344)


@pytest.mark.parametrize("serve", [lambda: Flock().start_api(), lambda: asyncio.run(Flock().serve())])
def test_what_cannot_serve_ends_the_process_with_the_daemons_code(
    app: App, serve: Callable[[], None]
) -> None:
    app.code = 1
    with pytest.raises(SystemExit) as ended:
        serve()
    assert ended.value.code == 1
