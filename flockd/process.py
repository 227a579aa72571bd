"""The process around a daemon: its loop, its signals, and how it ends."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from threading import current_thread, main_thread
from types import FrameType
from typing import Any, NoReturn

import uvloop
from aiohttp import web

from flockd import __version__
from flockd.api.keys import DAEMON
from flockd.app import Daemon, make_app
from flockd.config import Config
from flockd.errors import Unavailable
from flockd.flock import Flock
from flockd.logs import set_up_logs
from flockd.store import sqlite
from flockd.store.descriptors import held_alone

log = logging.getLogger(__name__)

EXIT_FATAL = 70
"""The exit code after a failure that only a fresh start can mend (EX_SOFTWARE of sysexits.h)."""
EXIT_INTERRUPTED = 130
"""As a shell gives it for SIGINT."""
_THREADS = 1024
"""Threads of the default executor at most, which are begun as they are needed. Agents that wait in `asyncio.to_thread`
share it with files that are read and written here and by the libraries: with Python's default, processors + 4, a few of
them would hold up all of that."""
_GC_THRESHOLDS = (20_000, 20, 50)
"""Allocations before the collector looks at the young objects, and rounds before it looks at older ones. Almost nothing
here is cyclic, and the events in the hub's ring, a hundred thousand, are looked at in vain: the default (700, 10, 10)
costs a publication a tenth of its time."""
_FLUSH_SECONDS = 0.2
"""How long the answers that say so may take to leave before a fatal exit."""


async def serve_async(config: Config, flock: Flock) -> int:
    """Serve until SIGTERM, Ctrl-C or a fatal failure; answers the process's exit code.

    Whoever cancels it ends the daemon as a signal does.
    """
    return await _serve(make_app(config, flock))


async def _serve(app: web.Application) -> int:
    daemon = app[DAEMON]
    assert isinstance(daemon, Daemon)
    config = daemon.config
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS, "flockd-default"))
    runner = web.AppRunner(
        app,
        access_log=logging.getLogger("flockd.access") if config.server.access_log else None,
        handler_cancellation=True,  # a handler whose client left ends; board verbs outlive their callers
        shutdown_timeout=config.shutdown.drain_seconds,
        max_line_size=config.limits.header_bytes,
        max_field_size=config.limits.header_bytes,
    )
    try:
        await runner.setup()
    except sqlite.StoreRefused as refused:
        print(f"Error: {refused}", file=sys.stderr)
        return 1
    except Unavailable:
        if not daemon.failed.done():
            raise
        return EXIT_FATAL  # why has been logged
    with _signals() as stopped:  # before anybody is told that it is ready, and may want to end it
        try:
            site = await _listen(runner, config)
            if site is None:
                return 1
            with held_alone(lambda: _sockets(runner, site)):
                host, port = runner.addresses[0][:2]
                shown = f"[{host}]" if ":" in host else host
                print(
                    f"flockd ready on http://{shown}:{port} (flockd {__version__}, data in {daemon.path})",
                    flush=True,
                )
                await _unless_failed(daemon, stopped)
                await _unless_failed(daemon, daemon.drain())
        finally:
            await runner.cleanup()
    return EXIT_FATAL if daemon.failed.done() else 0


async def _listen(runner: web.AppRunner, config: Config) -> web.TCPSite | None:
    """Take connections; None where the address is not to be had, which has been said."""
    host, port = config.server.host, config.server.port
    site = web.TCPSite(runner, host, port, backlog=config.server.backlog)
    try:
        await site.start()
    except OSError as error:
        print(
            f"Error: cannot listen on {host}:{port} ({error.strerror}): choose another port with --port.",
            file=sys.stderr,
        )
        return None
    gc.freeze()  # modules, models and routes: they stay
    return site


def _sockets(runner: web.AppRunner, site: web.TCPSite) -> list[int]:
    """The descriptors on which it listens, and those of its connections."""
    descriptors = [listening.fileno() for listening in getattr(site._server, "sockets", ())]
    for connection in runner.server.connections if runner.server is not None else ():
        transport = connection.transport
        if transport is not None and not transport.is_closing():
            descriptors.append(transport.get_extra_info("socket").fileno())
    return descriptors


async def _unless_failed(daemon: Daemon, end: Awaitable[None]) -> None:
    """Wait for this. A failure that only a fresh start can mend ends the process meanwhile."""
    waiting = asyncio.ensure_future(end)
    ends: list[asyncio.Future[Any]] = [waiting, daemon.failed]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    if daemon.failed.done():
        await asyncio.sleep(_FLUSH_SECONDS)
        _leave(EXIT_FATAL)  # nothing more is to be written: what is on disk is the truth
    await waiting


@contextmanager
def _signals() -> Iterator[asyncio.Future[None]]:
    """Gives what is done at the first SIGTERM, SIGINT or SIGHUP; another one ends the process at once.

    They are Python's handlers, not the loop's: an agent that holds the loop holds up nothing of the second one. A loop
    in another thread than the main one gets no signals. Of a terminal that is closed SIGHUP may come more than once;
    and what ignores it, as nohup does, or has a use for it, keeps it.
    """
    loop, process = asyncio.get_running_loop(), os.getpid()
    stopped: asyncio.Future[None] = loop.create_future()
    before: dict[int, Any] = {}
    came = False

    def stop() -> None:
        log.info("stopping; one more signal would end it at once")
        if not stopped.done():
            stopped.set_result(None)

    def arrived(number: int, _frame: FrameType | None) -> None:
        nonlocal came
        if os.getpid() != process:  # an agent forked it, and so it has this handler
            signal.signal(number, before[number])
            signal.raise_signal(number)
            return
        if came and number != signal.SIGHUP:
            os._exit(1)  # what was acknowledged is on disk; the next start takes up the rest
        came = True
        loop.call_soon_threadsafe(stop)  # which logs: here a line may be half written

    if current_thread() is main_thread():
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) is signal.SIG_DFL:
                before[number] = signal.signal(number, arrived) or signal.SIG_DFL
    try:
        yield stopped
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def serve(config: Config, flock: Flock) -> int:
    """Serve from a process of its own: logs, loop, exit code. Ends the process with the daemon."""
    set_up_logs(config.log.level, config.log.format)
    gc.set_threshold(*_GC_THRESHOLDS)
    sys.setswitchinterval(0.001)  # the writer's statements hand the lock over; it must come back soon
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        app = runner.run(_made(config, flock))  # raises what is wrong with the flock: nothing has begun
        loop = runner.get_loop()
        code = _run(loop, loop.create_task(_serve(app), name="serve"))
        logging.shutdown()
        _leave(code)


def _leave(code: int) -> NoReturn:
    """End the process: what is to be kept is on disk, and threads and tasks that agents started may never end.

    Processes that they started by `multiprocessing` are ended, too: it would do so itself at another exit than this.
    """
    if (multiprocessing := sys.modules.get("multiprocessing")) is not None:
        with suppress(Exception):
            for child in multiprocessing.active_children():
                child.terminate()
    for output in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # whoever read it has gone
            output.flush()
    os._exit(code)


async def _made(config: Config, flock: Flock) -> web.Application:
    return make_app(config, flock)


def _run(loop: asyncio.AbstractEventLoop, serving: asyncio.Task[int]) -> int:
    """The exit code.

    SystemExit in a task that an agent started leaves the loop, past whoever awaits that task; and an agent may stop the
    loop. That is the agent's affair alone: the loop goes on where it was.
    """
    while True:
        try:
            return loop.run_until_complete(serving)
        except KeyboardInterrupt:  # Ctrl-C before there are handlers for it
            log.critical("flockd ends: interrupted")
            return EXIT_INTERRUPTED
        except BaseException as error:
            if serving.done():
                log.critical("flockd ends", exc_info=error)
                return EXIT_FATAL
            log.error("an agent tried to end the process; it goes on", exc_info=error)
