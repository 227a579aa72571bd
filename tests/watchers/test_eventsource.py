"""The EventSource of a real browser, across restarts of the daemon: what it mends by itself, and what a page must."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable

import orjson
import pytest
from playwright.async_api import Browser, Page

from tests.process.client import Client
from tests.process.daemon import Daemon

from .board import end, log, restart, work
from .filters import KINDS, Json
from .proxy import Proxy

pytestmark = pytest.mark.timeout(180)

WATCH = """
([name, kinds, url, mended]) => {
  let last = null;
  function open() {
    const source = new EventSource(last === null ? url : `${url.split("?")[0]}?after=${last}`);
    for (const kind of kinds) {
      source.addEventListener(kind, (message) => {
        last = message.lastEventId;
        window.said(name, kind, message.lastEventId, message.data);
      });
    }
    for (const kind of ["hello", "gap", "goodbye"]) {
      source.addEventListener(kind, (message) => window.said(name, kind, message.lastEventId, message.data));
    }
    source.addEventListener("message", (message) => window.said(name, "message", "", message.data));
    source.addEventListener("error", () => {
      window.said(name, source.readyState === EventSource.CLOSED ? "closed" : "connecting", "", "");
      if (mended && source.readyState === EventSource.CLOSED) setTimeout(open, 100);
    });
    window[name] = source;
  }
  open();
}
"""
"""An EventSource that tells what it hears. `mended`: opened again after its last event once the browser gives it up."""


class Ear:
    """What the page's sources heard, in order: (kind, last event id, data), by the name of the source."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self._heard: dict[str, list[tuple[str, str, str]]] = {}
        self._changed = asyncio.Condition()

    async def said(self, name: str, kind: str, last_event_id: str, data: str) -> None:
        """Called by the page."""
        async with self._changed:
            self._heard.setdefault(name, []).append((kind, last_event_id, data))
            self._changed.notify_all()

    async def visit(self, origin: str) -> None:
        """Go to an empty page of this origin, whose policy forbids nothing."""
        await self.page.route("**/empty", lambda route: route.fulfill(content_type="text/html", body="<p>"))
        await self.page.goto(f"{origin}/empty")

    async def watch(self, name: str, url: str, *, mended: bool = False) -> None:
        """Open a source in the page."""
        self._heard[name] = []
        await self.page.evaluate(WATCH, [name, list(KINDS), url, mended])

    async def until(self, condition: Callable[[], bool], limit: float = 60.0) -> None:
        """Wait until something that was heard makes this true."""
        try:
            async with asyncio.timeout(limit), self._changed:
                await self._changed.wait_for(condition)
        except TimeoutError:
            kinds = {name: [kind for kind, *_ in heard][-10:] for name, heard in self._heard.items()}
            raise AssertionError(f"heard in {limit} s only {kinds}") from None

    def kinds(self, name: str) -> list[str]:
        """The kinds of what a source heard, in order, each run of equal ones once."""
        return [kind for kind, _ in itertools.groupby(kind for kind, *_ in self._heard[name])]

    def events(self, name: str) -> list[Json]:
        """The events of the log that a source heard; each under the id that the browser keeps as its cursor."""
        events = []
        for kind, last_event_id, data in self._heard[name]:
            if kind in KINDS:
                events.append(orjson.loads(data))
                assert (str(events[-1]["seq"]), events[-1]["kind"]) == (last_event_id, kind)
        return events

    def seq(self, name: str) -> int:
        """The last seq that a source heard."""
        events = self.events(name)
        return events[-1]["seq"] if events else 0


@pytest.fixture
async def ear(browser: Browser) -> AsyncIterator[Ear]:
    """A page of the browser, to be sent to the origin that it shall watch."""
    page = await browser.new_page()
    ear = Ear(page)
    await page.expose_function("said", ear.said)
    yield ear
    await page.close()


@pytest.mark.parametrize("killed", [False, True], ids=["SIGTERM", "SIGKILL"])
async def test_it_resumes_by_itself_across_a_restart(
    daemon: Daemon, client: Client, ear: Ear, killed: bool
) -> None:
    await daemon.start()
    await work(client, 3)
    await ear.visit(daemon.url)
    await ear.watch("plain", "/api/v1/events?from=start")
    head = await work(client, 2)
    await ear.until(lambda: ear.seq("plain") >= head)

    await restart(daemon, killed=killed, same_port=True)
    head = await work(client, 3)
    await ear.until(lambda: ear.seq("plain") >= head)

    assert ear.events("plain") == log(daemon)
    kinds = ear.kinds("plain")
    assert kinds.count("hello") == 2
    assert kinds.count("goodbye") == (0 if killed else 1)
    assert not {"closed", "gap", "message"} & set(kinds)
    assert await ear.page.evaluate("plain.readyState") == 1


async def test_one_502_ends_it_and_a_page_that_reopens_it_misses_nothing(
    daemon: Daemon, client: Client, ear: Ear
) -> None:
    await daemon.start()
    await work(client, 3)
    async with Proxy(daemon) as proxy:
        await ear.visit(proxy.url)
        await ear.watch("plain", "/api/v1/events?from=start")
        await ear.watch("mended", "/api/v1/events?from=start", mended=True)
        head = await work(client, 1)
        await ear.until(lambda: min(ear.seq("plain"), ear.seq("mended")) >= head)

        await end(daemon)
        await ear.until(lambda: "closed" in ear.kinds("plain") and "closed" in ear.kinds("mended"))
        await proxy.answered(502, times=3)
        await daemon.start()
        last = await work(client, 3)
        await ear.until(lambda: ear.seq("mended") >= last)

        assert ear.events("mended") == log(daemon)
        assert await ear.page.evaluate("[plain.readyState, mended.readyState]") == [2, 1]
        assert ear.events("plain") == [event for event in log(daemon) if event["seq"] <= head]
        assert ear.kinds("plain")[-1] == "closed"


async def test_the_page_of_flockd_goes_on_through_502s(daemon: Daemon, client: Client, ear: Ear) -> None:
    await daemon.start()
    head = await work(client, 2)
    async with Proxy(daemon) as proxy:
        await ear.visit(proxy.url)
        await ear.page.evaluate(
            """() => import("/static/stream.js").then(({ follow }) => follow({
              event: (event) => window.said("page", event.kind, String(event.seq), JSON.stringify(event)),
              state: (state) => window.said("page", state, "", ""),
              gap: () => window.said("page", "gap", "", ""),
              replaced: () => window.said("page", "replaced", "", ""),
            }))"""
        )
        await ear.until(lambda: ear.seq("page") >= head)
        await end(daemon, killed=True)
        await proxy.answered(502, times=2)
        await daemon.start()
        head = await work(client, 2)
        await ear.until(lambda: ear.seq("page") >= head)

        assert ear.events("page") == log(daemon)
        assert "lost" in ear.kinds("page")
        assert not {"gap", "replaced"} & set(ear.kinds("page"))
