"""A daemon with the demo flock, and a page of it in the system's Chromium, for each test of the page."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, Request, async_playwright

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
COMMAND = (sys.executable, "-m", "flockd", "serve")
READY = re.compile(r"flockd ready on (http://\S+)")
START_SECONDS = 60.0
SEE_MS = 20_000
"""How long the page may take to show what a test waits for: a limit for shared, slow machines."""

# The browser's own note on an answer that is not 2xx, or on a daemon that is away. Where it is about the API,
# a test has caused it; a file of the page must never be missing.
_FAILED_LOAD = "Failed to load resource"


class Daemon:
    """`flockd serve` with the demo flock as a subprocess. It keeps its port over restarts, for the page."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "board.db"
        self.url = ""
        self.output: list[str] = []
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it, on the port that it had, and wait for the ready line."""
        port = urlsplit(self.url).port or 0
        settings = {
            name: value for name, value in os.environ.items() if not name.startswith(("FLOCKD_", "API_"))
        }
        self._process = await asyncio.create_subprocess_exec(
            *COMMAND,
            *("--port", str(port), "--store", f"sqlite:///{self.store}"),
            cwd=self.folder,
            env=settings | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        assert self._process.stdout is not None
        ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._reading = asyncio.create_task(self._read(self._process.stdout, ready), name="daemon output")
        async with asyncio.timeout(START_SECONDS):
            self.url = await ready

    async def stop(self) -> None:
        """End it as an operator would (SIGTERM) and wait until it is gone. Nothing if it does not run."""
        await self._end(signal.SIGTERM)

    async def close(self) -> None:
        """End it at once, whatever it does."""
        await self._end(signal.SIGKILL)

    async def _end(self, number: signal.Signals) -> None:
        if self._process is None or self._reading is None:
            return
        if self._process.returncode is None:
            self._process.send_signal(number)
        async with asyncio.timeout(START_SECONDS):
            await self._process.wait()
            await self._reading
        self._process = None

    async def _read(self, stream: asyncio.StreamReader, ready: asyncio.Future[str]) -> None:
        while line := (await stream.readline()).decode(errors="replace"):
            self.output.append(line)
            if (found := READY.search(line)) and not ready.done():
                ready.set_result(found[1])
        if not ready.done():
            ready.set_exception(
                AssertionError("the daemon ended before it was ready:\n" + "".join(self.output))
            )


class Watch:
    """What a page must never do: log an error, raise one, or ask another host for anything."""

    def __init__(self, page: Page, home: str) -> None:
        self.host = urlsplit(home).netloc
        self.faults: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.faults.append(f"uncaught: {error}"))
        page.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type not in {"error", "warning"}:
            return
        api = urlsplit(message.location["url"]).path.startswith("/api/")
        if not (api and message.text.startswith(_FAILED_LOAD)):
            self.faults.append(f"{message.type}: {message.text} ({message.location['url']})")

    def _request(self, request: Request) -> None:
        if urlsplit(request.url).netloc != self.host:
            self.faults.append(f"a request to another host: {request.url}")


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    """A daemon that runs. What it printed is shown if the test fails."""
    daemon = Daemon(tmp_path)
    try:
        await daemon.start()
        yield daemon
    finally:
        await daemon.close()
        print("".join(daemon.output))


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """The system's Chromium, which asks nobody for updates."""
    if CHROMIUM is None:
        pytest.skip("there is no chromium on the PATH: install Debian's package chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ],
        )
        yield browser
        await browser.close()


@pytest.fixture
async def page(browser: Browser, daemon: Daemon) -> AsyncIterator[Page]:
    """An empty page; the test fails if it ever does what `Watch` forbids."""
    page = await browser.new_page(base_url=daemon.url)
    page.set_default_timeout(SEE_MS)
    watch = Watch(page, daemon.url)
    yield page
    assert watch.faults == []


@pytest.fixture
async def live(page: Page) -> Page:
    """The page of the daemon, connected."""
    await page.goto("/")
    await page.get_by_role("status").get_by_text("Live", exact=True).wait_for()
    return page
