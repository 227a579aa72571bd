"""A daemon of its own process with the demo, what the documents only name, and nothing else."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.process import daemon as process
from tests.process.daemon import END_SECONDS, environment

from .flock import CONFIG

CSV = "text\nThis is great!\nThis is awful.\n"
CURL_SETTINGS = 'silent\ninclude\nnoproxy = "*"\n'
"""What curl is told beside the command: to print the head of the answer, and no progress."""


class Place:
    """A folder with the configuration, and the environment in which the clients of a document run there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "config.toml").write_text(CONFIG, "utf-8")
        (folder / "batches").mkdir()
        (folder / "batches" / "texts.csv").write_text(CSV, "utf-8")
        (folder / ".curlrc").write_text(CURL_SETTINGS, "utf-8")
        programs = folder / "bin"
        programs.mkdir()
        for name, command in (("python", "-X dev"), ("flockd", "-m flockd")):
            (programs / name).write_text(
                f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {command} "$@"\n', "utf-8"
            )
            (programs / name).chmod(0o755)
        self.environment = environment() | {
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "CURL_HOME": str(folder),
            "NO_PROXY": "*",
        }

    def run(self, *words: str, given: str = "") -> tuple[int, str, str]:
        """The exit code of a command, and what it prints on its two outputs."""
        done = subprocess.run(
            words,
            input=given,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=END_SECONDS,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr


class Daemon(Place):
    """A daemon that runs in that folder."""

    url: str

    @property
    def host(self) -> str:
        """Host and port, which stand here for those of the documents."""
        return self.url.removeprefix("http://")


@contextmanager
def serving(folder: Path) -> Iterator[Daemon]:
    """A daemon, until the end of the block."""
    daemon = Daemon(folder)
    command = (str(folder / "bin" / "flockd"), "serve", "--port", "0")
    with process.serving(command, folder, daemon.environment) as daemon.url:
        yield daemon
