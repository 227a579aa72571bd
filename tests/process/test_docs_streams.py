"""The examples of docs/streams.md run, in their order, against one daemon with the flock of the page.

`sh` blocks are commands, `python` blocks programs, `js` blocks run in Chromium on a page of the daemon, `ws` blocks are
conversations over a WebSocket; a `text` block shows what the block before it prints, but for ids, times and numbers. In
JSON a … stands for anything: as a value for that value, as a key for other keys.
"""

import json
import re
import shutil
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, Route, sync_playwright
from websockets.sync.client import connect

from flockd.domain.event import EventKind

from .daemon import ROOT
from .machine import ADDRESS, Machine, plain

TEXT = (ROOT / "docs" / "streams.md").read_text("utf-8")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
LANGUAGES = {"sh", "python", "js", "ws", "json", "text", "nginx"}
ANY = "…"
CORRELATION_ID = "$CORRELATION_ID"
SEE_SECONDS = 60.0
ENDLESS = ("curl -sN", "flockd tail --from-start")
"""Commands that go on for ever: they are ended when they have printed as much as is shown."""


class Block(NamedTuple):
    """One block, and what it prints."""

    language: str
    text: str
    shown: list[str]


def blocks() -> Iterator[Block]:
    found = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    for (language, text), (following, output) in zip(found, [*found[1:], ("", "")], strict=True):
        assert language in LANGUAGES, f"the test does not know {language}"
        yield Block(language, text.strip(), plain(output) if following == "text" else [])


def like(shown: Any, got: Any) -> bool:
    """Whether a JSON value is as it is shown. Numbers only have to be numbers."""
    if shown == ANY:
        return True
    if isinstance(shown, dict) and isinstance(got, dict):
        same_keys = shown.keys() - {ANY} <= got.keys() if ANY in shown else shown.keys() == got.keys()
        return same_keys and all(like(value, got[key]) for key, value in shown.items() if key != ANY)
    if isinstance(shown, list) and isinstance(got, list):
        return len(shown) == len(got) and all(map(like, shown, got))
    if isinstance(shown, int) and isinstance(got, int):
        return True
    if isinstance(shown, str) and isinstance(got, str):
        return plain(shown) == plain(got)
    return bool(shown == got)


class Reader:
    """Somebody who reads the page and does what it says."""

    def __init__(self, machine: Machine, page: Page | None) -> None:
        self.machine = machine
        self.page = page
        self.correlation_id = ""

    def do(self, block: Block) -> None:
        getattr(self, f"_{block.language}")(block)

    def _sh(self, block: Block) -> None:
        command = self._filled_in(block.text)
        if command.startswith("flockd serve"):
            self.machine.serve(command)
            return
        if command.startswith(ENDLESS):
            printed = self.machine.watch(command, max(1, len(block.shown)))
        else:
            printed = self.machine.run(command)
        assert printed.strip(), command
        if block.shown:
            assert plain(printed) == block.shown, command
        if found := re.search(r"flockd status (\S{36})", printed):
            self.correlation_id = found[1]

    def _python(self, block: Block) -> None:
        named = re.match(r"# (\w+\.py)\n", block.text)
        code = block.text.replace(ADDRESS, urlsplit(self.machine.url).netloc)
        path = self.machine.folder / (named[1] if named else "client.py")
        path.write_text(code, "utf-8")
        if named is None:
            assert block.shown
            assert plain(self.machine.run(f"python -W default {path.name}")) == block.shown

    def _js(self, block: Block) -> None:
        """The first request is refused, as by a proxy whose upstream is away."""
        page, refused = self.page, []
        if page is None:
            return

        def refuse_once(route: Route) -> None:
            if refused:
                route.continue_()
            else:
                refused.append(route.request.url)
                route.fulfill(status=502)

        page.goto(self.machine.url + "/health")
        page.evaluate("() => { window.shown = []; window.rendered = []; }")
        page.evaluate("() => { window.show = (event) => shown.push(event); }")
        page.evaluate("() => { window.render = (text) => rendered.push(text); }")
        if "onerror" in block.text:
            page.route("**/api/v1/events**", refuse_once)
        page.evaluate("() => {" + self._filled_in(block.text) + "}")
        if "render(" in block.text:
            page.wait_for_function("rendered.length > 1")
            before, after = page.evaluate("rendered.slice(0, 2)")
            assert before.startswith("Nothing")
            assert after.startswith(before)
            assert after != before
            return
        page.wait_for_function("shown.some((event) => event.kind === 'correlation.completed')")
        seqs = page.evaluate("shown.map((event) => event.seq)")
        assert seqs == sorted(set(seqs))
        assert bool(refused) == ("onerror" in block.text)

    def _ws(self, block: Block) -> None:
        url = self.machine.url.replace("http://", "ws://") + "/api/v1/ws"
        with connect(url, proxy=None) as socket:
            for line in block.text.splitlines():
                direction, _, said = self._filled_in(line).partition(" ")
                if direction == ">":
                    socket.send(said)
                    continue
                assert direction == "<", line
                got = socket.recv(timeout=SEE_SECONDS)
                if said == "pong":
                    assert got == said
                    continue
                answer = json.loads(got)
                assert like(json.loads(said), answer), f"{said}\n{got!r}"
                self.correlation_id = answer.get("correlation_id", self.correlation_id)

    def _json(self, block: Block) -> None:
        """The event of that number in the log."""
        shown = json.loads(block.text)
        printed = self.machine.watch(f"flockd tail --json --after {shown['seq'] - 1}", 1)
        assert like(shown, json.loads(printed)), printed

    def _text(self, block: Block) -> None:
        """Compared with what the block before it printed."""

    def _nginx(self, block: Block) -> None:
        """Where there is no nginx, this is all that can be said of it."""
        assert "proxy_buffering off;" in block.text

    def _filled_in(self, text: str) -> str:
        """With the workflow that was published last."""
        assert self.correlation_id or CORRELATION_ID not in text
        return text.replace(CORRELATION_ID, self.correlation_id)


@pytest.fixture
def page() -> Iterator[Page | None]:
    """None where there is no browser: the other examples can be tried all the same."""
    if CHROMIUM is None:
        yield None
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(bypass_csp=True)
        page.set_default_timeout(SEE_SECONDS * 1000)
        yield page
        browser.close()


@pytest.mark.timeout(300)
def test_the_examples_work(machine: Machine, page: Page | None) -> None:
    reader = Reader(machine, page)
    done = [block.language for block in blocks() if reader.do(block) is None]
    assert {"sh", "python", "js", "ws"} <= set(done)
    machine.stop()
    if page is None:
        pytest.skip("without chromium on the PATH, the js examples: install Debian's package chromium")


def test_every_kind_of_event_is_told() -> None:
    rows = re.findall(r"^\| (`.*?) \|", TEXT, re.MULTILINE)
    told = [kind for row in rows for kind in re.findall(r'`"([\w.]+)"`', row)]
    told += re.findall(r"^\| `(hello|gap|goodbye)` \|", TEXT, re.MULTILINE)
    assert sorted(told) == sorted(EventKind)


def test_what_is_shown_may_only_leave_out_what_it_says() -> None:
    assert like({"a": 1, ANY: ANY}, {"a": 2, "b": []})
    assert not like({"a": 1}, {"a": 2, "b": []})
    assert not like({"a": 1, ANY: ANY}, {"b": []})
    assert not like(["x"], ["x", "y"])
    assert not like({"type": "ack"}, {"type": "error"})
