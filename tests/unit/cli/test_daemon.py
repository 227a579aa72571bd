"""How a verb reaches its daemon, and what it says when that fails."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from tests.unit.cli.answering import Answering

Flockd = Callable[..., Result]
EMPTY = {"differences": []}


def test_the_url_comes_from_the_configuration(flockd: Flockd, daemon: Answering) -> None:
    daemon.answer("POST /api/v1/admin/verify", EMPTY)
    port = daemon.url.rpartition(":")[2]
    Path("config.toml").write_text(f"[server]\nport = {port}", "utf-8")
    Path("other.toml").write_text("[server]\nport = 1", "utf-8")
    assert flockd("verify").exit_code == 0
    assert flockd("verify", "--config", "other.toml").exit_code == 1
    assert flockd("verify", "--config", "other.toml", "--url", daemon.url + "/").exit_code == 0


def test_a_client_with_a_url_needs_no_configuration(flockd: Flockd, daemon: Answering) -> None:
    daemon.answer("POST /api/v1/admin/verify", EMPTY)
    Path("config.toml").write_text("[sever]", "utf-8")
    assert flockd("verify", "--url", daemon.url).exit_code == 0
    refused = flockd("verify")
    assert (refused.exit_code, refused.stderr) == (
        1,
        "Error: config.toml: there is no setting sever. Did you mean server?\n",
    )


def test_no_daemon_is_a_sentence(flockd: Flockd) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    result = flockd("status", "--url", url)
    assert result.exit_code == 1
    assert result.stderr == f"Error: There is no daemon at {url}: start one with `flockd serve`.\n"
    assert result.stdout == ""


@pytest.mark.parametrize("url", ["nonsense", "ftp://127.0.0.1", "http://127.0.0.1:x"])
def test_what_is_no_url_is_a_sentence(flockd: Flockd, url: str) -> None:
    result = flockd("status", "--url", url)
    assert result.exit_code == 1
    assert result.stderr == f"Error: {url} is not a URL of a daemon: write http://HOST:PORT.\n"


def test_an_error_of_the_daemon_is_its_message(flockd: Flockd, daemon: Answering) -> None:
    daemon.refuse("POST /api/v1/admin/verify", 503, "The store cannot write: the disk is full")
    result = flockd("verify", "--url", daemon.url, "--json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: The store cannot write: the disk is full\n"


def test_another_program_is_told_from_a_daemon(flockd: Flockd, daemon: Answering) -> None:
    missing = flockd("verify", "--url", daemon.url)
    assert missing.stderr == f"Error: {daemon.url} answered 404 to POST /api/v1/admin/verify.\n"
    daemon.answer("POST /api/v1/admin/verify", b"<html>")
    page = flockd("verify", "--url", daemon.url)
    assert page.stderr == f"Error: {daemon.url} does not answer as flockd does: is another program there?\n"
    assert (missing.exit_code, page.exit_code) == (1, 1)


def test_a_wrong_command_line_is_told_from_a_failure(flockd: Flockd) -> None:
    assert flockd("publish").exit_code == 2
    assert flockd("tail", "--after", "1", "--from-start", "--url", "http://127.0.0.1:1").exit_code == 2


def test_every_verb_explains_itself(flockd: Flockd) -> None:
    listed = flockd("--help").stdout
    for verb in ("serve", "check", "publish", "run", "status", "tail", "verify", "backup", "reset"):
        assert f"  {verb} " in listed
        assert flockd(verb, "--help").exit_code == 0
