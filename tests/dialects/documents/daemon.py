"""A daemon of its own process with the demo, what the documents only name, and nothing else."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

from tests.process.daemon import READY, environment

from .flock import CONFIG

END_SECONDS = 60.0
"""A limit, not an expectation."""
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
    """A daemon, until the end of the block; it must end as it should. What it printed is printed."""
    daemon = Daemon(folder)
    process = subprocess.Popen(
        ("flockd", "serve", "--port", "0"),
        cwd=folder,
        env=daemon.environment,
        executable=folder / "bin" / "flockd",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )
    assert process.stdout is not None
    lines: list[str] = []
    reading = Thread(target=lines.extend, args=(process.stdout,), name="daemon output")
    try:
        while not (ready := READY.search("".join(lines[-1:]))):
            line = process.stdout.readline()
            assert line, "".join(lines)
            lines.append(line)
        daemon.url = ready[1]
        reading.start()
        yield daemon
        process.terminate()
        assert process.wait(END_SECONDS) == 0
    finally:
        process.kill()
        process.wait()
        if reading.is_alive():
            reading.join()
        process.stdout.close()
        print("".join(lines))
