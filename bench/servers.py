"""Starts and stops what is measured: flockd and its ceiling, each a process with a database of its own."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import Self

from flockd.config.sections import StoreSettings

PROJECT = Path(__file__).resolve().parent.parent

_READY = re.compile(r"ready on http://([^:/\s]+):(\d+)")
_START_LIMIT_SECONDS = 120.0
_STOP_LIMIT_SECONDS = 30.0
_LINES_KEPT = 50


class DidNotStart(Exception):
    """The process ended, or said nothing in time; the message ends with what it printed last."""


@dataclass
class Server:
    """A server process, ready from `__enter__` on and gone after `__exit__`."""

    name: str
    command: list[str]
    directory: Path
    host: str = ""
    port: int = 0
    ready_seconds: float = 0.0
    """From the start of the process until its ready line was read."""
    _ready: threading.Event = field(default_factory=threading.Event)
    _printed: deque[str] = field(default_factory=lambda: deque(maxlen=_LINES_KEPT))

    def __enter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._started = time.monotonic()
        self._process = subprocess.Popen(
            self.command,
            cwd=self.directory,
            env=_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read_output, name=f"{self.name} output", daemon=True)
        self._reader.start()
        if not self._ready.wait(_START_LIMIT_SECONDS) or not self.port:
            self._end(signal.SIGKILL)
            raise DidNotStart(
                f"{self.name} did not get ready: {' '.join(self.command)}\n{''.join(self._printed)}"
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(signal.SIGTERM)
        if error is not None:
            print(f"{self.name} printed last:\n{''.join(self._printed)}", file=sys.stderr)

    def wait_until_200(self, path: str) -> float:
        """Asks until the answer is 200; gives the seconds since the start of the process."""
        status = 0
        while time.monotonic() - self._started < _START_LIMIT_SECONDS:
            connection = HTTPConnection(self.host, self.port, timeout=_START_LIMIT_SECONDS)
            connection.request("GET", path)
            status = connection.getresponse().status
            connection.close()
            if status == 200:
                return time.monotonic() - self._started
        raise DidNotStart(f"{self.name} answers {path} with {status}")

    def resident_bytes(self) -> int:
        """The memory of the process that is in RAM."""
        listed = Path(f"/proc/{self._process.pid}/statm")
        if listed.exists():
            return int(listed.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        asked = ["ps", "-o", "rss=", "-p", str(self._process.pid)]
        return int(subprocess.run(asked, capture_output=True, text=True, check=True).stdout) * 1024

    def _read_output(self) -> None:
        """Keeps the pipe empty, or a server that logs would block on it."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._printed.append(line)
            if not self._ready.is_set() and (match := _READY.search(line)):
                self.ready_seconds = time.monotonic() - self._started
                self.host, self.port = match.group(1), int(match.group(2))
                self._ready.set()
        self._ready.set()

    def _end(self, with_signal: signal.Signals) -> None:
        self._process.send_signal(with_signal)
        try:
            self._process.wait(_STOP_LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(_STOP_LIMIT_SECONDS)
        assert self._process.stdout is not None
        self._process.stdout.close()


def flockd(directory: Path, database: Path | None = None) -> Server:
    """The daemon with the bench flock, on a new database in `directory` or on the given one."""
    store = database or directory / "flockd.db"
    options = ["--host", "127.0.0.1", "--port", "0", "--store", f"sqlite:///{store}"]
    return Server(
        "flockd", [sys.executable, "-m", "flockd", "serve", "bench.flock:flock", *options], directory
    )


def ceiling(directory: Path) -> Server:
    """The bare server, on a new database in `directory`."""
    return _bare("ceiling", directory)


def bare_streams(directory: Path) -> Server:
    """The bare server of streams, on a new database in `directory`."""
    return _bare("bare_streams", directory)


def _bare(module: str, directory: Path) -> Server:
    page_cache = str(StoreSettings.model_validate({}).page_cache_bytes)
    options = ["--store", str(directory / f"{module}.db"), "--page-cache-bytes", page_cache]
    return Server(module, [sys.executable, "-m", f"bench.{module}", *options], directory)


def _environment() -> dict[str, str]:
    """The environment without settings for flockd: its defaults are measured. Only its stop does not wait."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FLOCKD_", "API_"))}
    return kept | {"PYTHONPATH": str(PROJECT), "FLOCKD_SHUTDOWN__GRACE_SECONDS": "0"}
