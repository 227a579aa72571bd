"""One flockd daemon as a subprocess: start it, wait for its ready line, signal it, start it again."""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from threading import Thread
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FLOCK = "tests.process.flocks:flock"
FLOCKD = ("-m", "flockd")
DEVELOPING = (sys.executable, "-X", "dev")
"""How Python is started: with all of its own checks, which make it several times slower."""
READY = re.compile(r"flockd ready on (http://\S+)")
START_SECONDS = 60.0
"""A limit, not an expectation: the machines that run this are shared and slow at times."""
END_SECONDS = 60.0
"""Another."""


class DaemonEndedError(Exception):
    """The daemon ended before it was ready. `code` is its exit code (negative: the signal that ended it)."""

    def __init__(self, code: int, output: str) -> None:
        super().__init__(f"flockd ended with {code} before it was ready:\n{output}")
        self.code = code
        self.output = output


class Daemon:
    """A daemon with a working directory and a store of its own. Not running until `start`; ended by `close`.

    Every start takes a new free port, so ask for `url` at each request. `up` is set from the ready line to
    the end of the process, however it ends.
    """

    def __init__(
        self, folder: Path, store: Path | None = None, *, interpreter: Sequence[str] = DEVELOPING
    ) -> None:
        """`folder` becomes the working directory; the store is `flockd.db` in it, or the file `store`."""
        self.folder = folder
        self.flock = FLOCK
        self.interpreter = interpreter
        self.file = store or folder / "flockd.db"
        self.url = ""
        self.up = asyncio.Event()
        self.lines: list[str] = []
        self._printed = asyncio.Condition()
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[int] | None = None

    @property
    def store(self) -> str:
        """The store's URL, as `--store` takes it."""
        return f"sqlite:///{self.file}"

    @property
    def output(self) -> str:
        """Everything that all processes of this daemon have printed so far, on both of their outputs."""
        return "\n".join(self.lines)

    @property
    def pid(self) -> int:
        assert self._process is not None, "the daemon was never started"
        return self._process.pid

    async def start(
        self,
        *arguments: str,
        settings: Mapping[str, str] | None = None,
        program: Sequence[str] = FLOCKD,
        limit: float = START_SECONDS,
    ) -> None:
        """Start it and wait for the ready line; `DaemonEndedError` if it ends before that.

        `arguments` come after those that name the flock, the port and the store, `settings` are environment
        variables, and `program` is what Python runs instead of flockd itself.
        """
        ready = await self.launch(*arguments, settings=settings, program=program)
        assert self._watch is not None
        either: tuple[asyncio.Future[Any], ...] = (ready, self._watch)
        async with asyncio.timeout(limit):
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            ready.cancel()
            raise DaemonEndedError(self._watch.result(), self.output)

    async def launch(
        self,
        *arguments: str,
        settings: Mapping[str, str] | None = None,
        program: Sequence[str] = FLOCKD,
    ) -> asyncio.Future[None]:
        """Start it as `start` does, but do not wait: the future is done at the ready line, if it comes."""
        assert self._watch is None or self._watch.done(), "the daemon is still running"
        process = await asyncio.create_subprocess_exec(
            *(*self.interpreter, *program, "serve", self.flock, "--port", "0", "--store", self.store),
            *arguments,
            cwd=self.folder,
            env=environment() | dict(settings or {}),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._process = process
        self._watch = asyncio.create_task(self._follow(process, ready), name="daemon output")
        return ready

    async def wait(self, limit: float = 30.0) -> int:
        """Its exit code, once it has ended and all that it printed has been read."""
        assert self._watch is not None, "the daemon was never started"
        async with asyncio.timeout(limit):
            return await asyncio.shield(self._watch)

    async def printed(self, text: str, limit: float = 30.0) -> None:
        """Wait until a line with this text has been printed, by this process or one before it."""
        async with asyncio.timeout(limit), self._printed:
            await self._printed.wait_for(lambda: any(text in line for line in self.lines))

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; nothing if it has already ended."""
        assert self._process is not None, "the daemon was never started"
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def terminate(self) -> None:
        """Ask it to end (SIGTERM); `wait` for it."""
        self.send(signal.SIGTERM)

    async def kill(self) -> int:
        """End it with SIGKILL and wait until it is gone; its exit code tells whether it had ended before."""
        self.up.clear()
        self.send(signal.SIGKILL)
        return await self.wait()

    async def close(self) -> None:
        """End what still runs. May be called at any time, and twice."""
        if self._watch is not None:
            await self.kill()

    async def command(self, *arguments: str, limit: float = 60.0) -> tuple[int, str]:
        """Run another verb of flockd in the same directory: its exit code and what it printed."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *FLOCKD, *arguments),
            cwd=self.folder,
            env=environment(),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(limit):
            output, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode()

    async def verify(self) -> None:
        """`flockd verify` finds nothing: over HTTP while the daemon is up, else on the file that it left."""
        where = ("--url", self.url) if self.up.is_set() else ("--store", self.store)
        code, output = await self.command("verify", *where)
        assert code == 0, f"flockd verify {where[0]} found:\n{output}"

    async def _follow(self, process: asyncio.subprocess.Process, ready: asyncio.Future[None]) -> int:
        assert process.stdout is not None
        assert process.stderr is not None
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read("out", process.stdout, ready))
            group.create_task(self._read("err", process.stderr, ready))
            code = await process.wait()
            self.up.clear()
        self.lines.append(f"--- ended with {code} ---")
        return code

    async def _read(self, name: str, stream: asyncio.StreamReader, ready: asyncio.Future[None]) -> None:
        while line := (await stream.readline()).decode(errors="replace"):
            self.lines.append(f"{name}: {line.rstrip()}")
            if (found := READY.search(line)) and name == "out" and not ready.done():
                self.url = found[1].rstrip("/.,;")
                self.up.set()
                ready.set_result(None)
            async with self._printed:
                self._printed.notify_all()


@contextlib.contextmanager
def serving(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """A daemon for clients that block, until the end of the block: its URL. It must end as it should.

    What it printed is printed.
    """
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
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
        reading.start()
        yield ready[1]
        process.terminate()
        assert process.wait(END_SECONDS) == 0
    finally:
        process.kill()
        process.wait()
        if reading.is_alive():
            reading.join()
        process.stdout.close()
        print("".join(lines))


@contextlib.contextmanager
def serving_flock(flock: str, folder: Path) -> Iterator[str]:
    """The same for one flock (`module:name`), with a store in that folder."""
    command = (
        sys.executable,
        *FLOCKD,
        "serve",
        flock,
        "--port",
        "0",
        "--store",
        f"sqlite:///{folder / 'flockd.db'}",
    )
    with serving(command, folder, environment() | {"FLOCKD_SHUTDOWN__GRACE_SECONDS": "0.1"}) as url:
        yield url


def environment() -> dict[str, str]:
    """This process's environment without settings of flockd and keys of providers, and with the tests importable."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("FLOCKD_", "API_")) and not name.endswith("_API_KEY")
    }
    return kept | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
