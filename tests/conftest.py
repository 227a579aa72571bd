"""What holds for every test: nothing may be skipped where CI runs, and nothing may be left behind."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import pytest
from aiohttp import web_app

STRICT = os.environ.get("FLOCKD_TEST_STRICT") == "1"
"""Set where everything that a test needs must be there, as in CI: then a skipped test is a failed one."""

LEFT_SECONDS = 1.0
"""How long a task that was told to end may take to do so, once the test and its fixtures are over."""

OPEN_FILES = Path("/proc/self/fd")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turns a skip of a test into a failure, if strict. An expected failure stays what it is.

    What was logged is made printable: reports that go between processes are UTF-8, an author's error need not be.
    """
    report = yield
    report.sections = [
        (name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections
    ]
    if STRICT and report.skipped and not hasattr(report, "wasxfail"):
        _fail(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a module or folder that skips itself while it is collected."""
    report = yield
    if STRICT and report.skipped:
        _fail(report)
    return report


def _fail(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Makes a skipped report a failed one that still says why it was skipped."""
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = f"FLOCKD_TEST_STRICT=1 allows no skipped test: {reason}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives each coroutine test the check for tasks, outside all of its other fixtures.

    Not an autouse fixture: an async one would start an event loop for every plain test, too.
    """
    for item in items:
        if isinstance(item, pytest.Function) and asyncio.iscoroutinefunction(item.function):
            item.fixturenames.insert(0, no_task_left.__name__)


@pytest.fixture(name="no_task_left")
async def no_task_left() -> AsyncIterator[None]:
    """Fails a test after which a task still runs that was not there before it."""
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    if left:
        _, left = await asyncio.wait(left, timeout=LEFT_SECONDS)
    assert not left, f"tasks still run: {sorted(str(task) for task in left)}"


@pytest.fixture(autouse=True)
def no_application_kept() -> Iterator[None]:
    """aiohttp remembers the last thousand handlers, and with each of them its application: hundreds of them, which the
    collector would look at again and again."""
    yield
    web_app._cached_build_middleware.cache_clear()


@pytest.fixture(autouse=True)
def no_file_left_open(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fails a test after which a file in its temporary folder is still open, where /proc tells (Linux)."""
    folder = tmp_path_factory.getbasetemp()
    before = _open_below(folder)
    yield
    left = _open_below(folder) - before
    assert not left, f"files are still open: {sorted(path for _, path in left)}"


def _open_below(folder: Path) -> set[tuple[str, str]]:
    """The descriptors of this process that are open on files below `folder`: (number, path)."""
    found = set()
    for entry in OPEN_FILES.iterdir() if OPEN_FILES.exists() else ():
        try:
            target = entry.readlink()
        except FileNotFoundError:  # the descriptor of the listing itself
            continue
        if target.is_relative_to(folder):
            found.add((entry.name, str(target)))
    return found
