"""The one writer: a thread that owns the only write connection and shares each fsync among all who wait for it.

While one transaction is being synced the next group gathers; a lone caller is never delayed to fill a group. A group is
loaded, decided in queue order, applied and committed; then the loop is told, in commit order, what became true.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from flockd.domain.agent import Agents
from flockd.domain.artifact import Artifact
from flockd.domain.budget import Budgets
from flockd.domain.event import Event
from flockd.domain.identity import id_text
from flockd.domain.moment import now_ms
from flockd.domain.priority import Priority
from flockd.domain.run import Run
from flockd.errors import FlockdError, OutcomeUnknown, Overloaded, Unavailable
from flockd.store.apply import apply
from flockd.store.cache import Cache
from flockd.store.command import Command
from flockd.store.load import fetch_pools, load
from flockd.store.load_slots import fetch_held
from flockd.store.occupancy import Limits, Occupancy
from flockd.store.reads import ReadyRun
from flockd.store.sqlite import truncate_wal
from flockd.store.state import OnDeath, State

log = logging.getLogger(__name__)

_SPACE_CHECK_SECONDS = 1.0
"""How often the free space is looked at."""
_RECOVERY_SECONDS = 1.0
"""How often an idle writer that could not write tries whether it can again."""
_LONG_RESULT_CODES = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_BUSY}
)
"""What no repetition mends at once: a full or read-only disk, a stray shell that holds the file's lock."""
_FATAL_CODES = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_FSYNC_CODES = frozenset({sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC})


def probe(step: str, commands: tuple[str, ...]) -> None:
    """Called at each named step of a group: taken, loaded, decided, applied, committed, told. Tests replace it."""


class Started(NamedTuple):
    """A run whose engine may start, with its inputs where they were published in the same group."""

    run: Run
    inputs: tuple[Artifact, ...] | None


class Committed(NamedTuple):
    """What one transaction made true."""

    events: list[Event]
    started: list[Started]
    readied: list[ReadyRun]
    cancelled_runs: list[str]
    """Ids of runs that were claimed earlier and are cancelled now: their engines are to stop."""
    exhausted: list[str]
    """Ids of correlations that a limit must end."""
    next_due: int | None
    """The earliest wake-up among the runs that began to wait."""
    freed: set[str]
    """Places at which one less works, and agents that were resumed."""
    emptied_from: int | None
    """Where the board was emptied: the seq from which on the log is complete."""
    commands: int
    seconds: float
    """From taking the group to the end of its commit."""


class _Entry:
    """A command in the queue, and what became of it."""

    __slots__ = ("answer", "command", "error", "future")

    def __init__(self, command: Command, future: asyncio.Future[Any]) -> None:
        self.command = command
        self.future = future
        self.answer: Any = None
        self.error: BaseException | None = None

    def settle(self) -> None:
        """On the loop: hand the outcome to whoever still waits."""
        if self.future.done():
            return
        if self.error is None:
            self.future.set_result(self.answer)
        else:
            self.future.set_exception(self.error)


class _Fatal(Exception):
    """The database can no longer be trusted to have or not to have the group; only a fresh start from disk can tell."""


class Writer:
    """Takes commands on the loop, answers them after their transaction is on disk.

    `on_commit` is called on the loop, once per group, in commit order, before the group's commands are answered.
    `on_fatal` is called on the loop when the process must end: a failed fsync may have written, and asking again proves
    nothing.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        *,
        agents: Agents,
        limits: Limits,
        on_commit: Callable[[Committed], None],
        on_fatal: Callable[[str], None],
        group_max_commands: int = 256,
        queue_max_commands: int = 4096,
        min_free_bytes: int = 0,
        wal_max_bytes: int = 64 << 20,
        budgets: Budgets | None = None,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self.occupancy = Occupancy()
        self.on_death: OnDeath | None = None
        """Set before the start."""
        self._connection = connection
        self._path = path
        self._wal_path = path.with_name(path.name + "-wal")
        self._agents = agents
        self._limits = limits
        self._budgets = budgets or Budgets()
        self._on_commit = on_commit
        self._on_fatal = on_fatal
        self._group_max = group_max_commands
        self._queue_max = queue_max_commands
        self._min_free_bytes = min_free_bytes
        self._wal_max_bytes = wal_max_bytes
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._inside: deque[_Entry] = deque()
        self._outside: deque[_Entry] = deque()
        self._cache = Cache()
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._idle = False
        self._closing = False
        self._ended = asyncio.Event()
        """The thread has said all that it had to say."""
        self._space_checked_at = 0.0
        self._no_space: str | None = None
        self._cannot_write: str | None = None
        self._taken: list[_Entry] = []
        """The group in hand: whoever of it is not answered when the thread ends is answered then."""
        row = connection.execute("SELECT next_seq, next_run, last_at FROM log").fetchone()
        self._next_seq, self._next_run, self._last_at = row
        self._seed_occupancy()
        self.thread = threading.Thread(target=self._work, name="flockd-writer", daemon=True)

    def _seed_occupancy(self) -> None:
        """What the rows say at start: runs of the last process hold their places until they are taken back."""
        for tally, state in ((self.occupancy.busy, "running"), (self.occupancy.ready, "ready")):
            for place, count in self._connection.execute(
                f"SELECT place, count(*) FROM runs WHERE state = '{state}' AND NOT paused GROUP BY place"
            ):
                tally.add(place, count)
        paused = self._connection.execute("SELECT agent FROM paused_agents")
        self.occupancy.paused = frozenset(agent for (agent,) in paused)
        for agent, at, n in self._connection.execute("SELECT agent, at, n FROM starts ORDER BY at"):
            for _ in range(n):
                self.occupancy.started_before(agent, at)
        for place, priority, correlation, *queue in self._connection.execute(
            "SELECT place, priority, correlation, count(*), min(vtime), max(vtime) FROM runs INDEXED BY runs_ready "
            "WHERE state = 'ready' AND NOT paused AND vtime > 0 GROUP BY place, priority, correlation"
        ):
            self.occupancy.times.seed((place, Priority(priority)), id_text(correlation), *queue)
        self.occupancy.commit()

    @property
    def unwritable(self) -> str | None:
        """None, or the sentence why nothing can be written now."""
        return self._cannot_write or self._no_space

    def start(self) -> None:
        """Begin to take commands."""
        self.thread.start()

    def submit(self, command: Command) -> asyncio.Future[Any]:
        """Queue a command; the future has its answer once it is on disk.

        A caller that is cancelled only stops waiting: the command is decided and stored all the same.
        Raises Overloaded where the queue of outside commands is full, Unavailable after `close` began.
        """
        if self._closing:
            raise Unavailable("The daemon is shutting down.")
        entry = _Entry(command, self._loop.create_future())
        if command.inside:
            self._inside.append(entry)
        elif len(self._outside) >= self._queue_max:
            raise Overloaded()
        else:
            self._outside.append(entry)
        if self._idle:
            self._bell.put(None)
        return entry.future

    async def close(self) -> None:
        """Store everything that was queued, then end the thread. Closing twice is fine.

        Waits for no thread of the default executor: agents may hold all of them, and for ever.
        """
        self._closing = True
        self._bell.put(None)
        if self.thread.ident is not None:  # it was started
            await self._ended.wait()
            self.thread.join()  # that was its last word
        self._connection.close()

    # -- the thread -----------------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            while (group := self._take()) is not None:
                self._taken = group
                if group:
                    self._run(group)
                elif self.unwritable is not None:
                    self._try_again()
            with suppress(sqlite3.Error):  # a disk that is full: the next start reads the log
                truncate_wal(self._connection)
        except _Fatal as fatal:
            self._tell(self._end, str(fatal))
        except BaseException as error:
            log.exception("the writer ended")
            self._tell(self._end, f"the writer ended: {error!r}")
        finally:
            self._tell(self._ended.set)

    def _end(self, reason: str) -> None:
        """On the loop, once the thread has ended: whoever waits is told so, and the process is to end."""
        self._closing = True
        left = [*self._taken, *self._inside, *self._outside]
        for entry in left:
            entry.error = Unavailable("The store has failed; the daemon is shutting down.")
        _settle(left)
        self._on_fatal(reason)

    def _take(self) -> list[_Entry] | None:
        """The next group, inside commands first; waits for one. Empty after an idle while, None at the end."""
        while True:
            closing = self._closing  # asked first: what is queued before `close` is found below
            group: list[_Entry] = []
            for queue in (self._inside, self._outside):
                while queue and len(group) < self._group_max:
                    group.append(queue.popleft())
            if group:
                return group
            if closing:
                return None
            self._idle = True
            if not (self._inside or self._outside):
                try:
                    self._bell.get(timeout=_RECOVERY_SECONDS if self.unwritable else None)
                except Empty:
                    return []
                finally:
                    self._idle = False
            self._idle = False

    def _run(self, group: list[_Entry]) -> None:
        began = time.perf_counter()
        self._look_at_space()
        if self._no_space is not None:
            for entry in group:
                if not entry.command.inside:
                    entry.error = Unavailable(self._no_space, retry_after_seconds=5)
            self._tell(_settle, [entry for entry in group if entry.error])
            group = [entry for entry in group if entry.error is None]
            if not group:
                return
        try:
            state = self._transact(group)
        except sqlite3.Error as error:
            self._after_failure(group, error)
            return
        except _Fatal:
            raise
        except Exception:
            log.exception("a command failed; its group is decided again one by one")
            self._singly(group)
            return
        self._tell(self._committed, group, _committed(state, len(group), time.perf_counter() - began))
        if self._wal_bytes() > self._wal_max_bytes:
            self._cut_wal()

    def _cut_wal(self) -> None:
        try:
            truncate_wal(self._connection)
        except sqlite3.Error as error:
            if _is_fsync(error):
                raise _Fatal(f"the store failed while checkpointing: {error}") from error
            log.warning("the write-ahead log stays for now: %s", error)  # a full disk: the commits tell

    def _transact(self, group: list[_Entry]) -> State:
        """One transaction: load, decide in order, apply, commit. Anything raised has been rolled back."""
        names = tuple(type(entry.command).__name__ for entry in group)
        probe("taken", names)
        clock = self._clock()
        state = State(
            now=max(clock, self._last_at),
            clock=clock,
            next_seq=self._next_seq,
            next_run=self._next_run,
            agents=self._agents,
            limits=self._limits,
            occupancy=self.occupancy,
            budgets=self._budgets,
            on_death=self.on_death,
            fetch_pools=lambda pools: fetch_pools(self._connection, self._cache, state, pools),
            fetch_held=lambda *slot: fetch_held(self._connection, state, *slot),
        )
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            load(self._connection, self._cache, state, [entry.command.needs() for entry in group])
            probe("loaded", names)
            for entry in group:
                entry.answer = entry.error = None
                try:
                    entry.answer = entry.command.decide(state)
                except FlockdError as error:
                    entry.error = error
            probe("decided", names)
            if state.has_changes:
                apply(self._connection, state)
            probe("applied", names)
        except BaseException:
            self._rollback()
            raise
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            if _primary(error) == sqlite3.SQLITE_IOERR:
                self._die(group, error)
            self._rollback()
            raise
        self.occupancy.commit()
        self._cache.keep(state)
        self._next_seq, self._next_run, self._last_at = state.next_seq, state.next_run, state.now
        if state.has_changes:
            self._cannot_write = None
        probe("committed", names)
        return state

    def _rollback(self) -> None:
        self.occupancy.rollback()
        self._cache.clear()
        if self._connection.in_transaction:  # a full disk has rolled back by itself
            try:
                self._connection.execute("ROLLBACK")
            except sqlite3.Error as error:
                raise _Fatal(f"the store cannot roll back: {error}") from error

    def _after_failure(self, group: list[_Entry], error: sqlite3.Error) -> None:
        code = _primary(error)
        if code in _FATAL_CODES or _is_fsync(error):
            self._die(group, error)
        if code in _LONG_RESULT_CODES or code == sqlite3.SQLITE_IOERR:
            self._cannot_write = f"The store cannot write now: {error}."
            log.error("%s", self._cannot_write)
            for entry in group:
                entry.error = Unavailable(self._cannot_write, retry_after_seconds=5)
            self._tell(_settle, group)
            return
        log.error("a transaction failed (%s); its commands are decided again one by one", error)
        self._singly(group)

    def _singly(self, group: list[_Entry]) -> None:
        """Each command in a transaction of its own, so that the bad one fails alone."""
        if len(group) == 1:
            (entry,) = group
            entry.error = FlockdError("The command failed; nothing was stored.")
            self._tell(_settle, group)
            return
        for entry in group:
            self._run([entry])

    def _die(self, group: list[_Entry], error: sqlite3.Error) -> None:
        for entry in group:
            entry.error = OutcomeUnknown()
        self._tell(_settle, group)
        name = getattr(error, "sqlite_errorname", "") or type(error).__name__
        raise _Fatal(
            f"the store failed while committing ({name}: {error}). After a failed fsync only a fresh start from disk "
            "can tell what was stored; nothing that was acknowledged is lost. Mend the disk and start flockd again."
        ) from error

    def _try_again(self) -> None:
        """Whether the store takes a write again, asked while nobody writes."""
        self._look_at_space()
        if self._cannot_write is None:
            return
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute("UPDATE log SET last_at = last_at")
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            if _is_fsync(error):
                self._die([], error)
            self._rollback()
        else:
            self._cannot_write = None

    def _look_at_space(self) -> None:
        """Whether the disk is nearly full, looked at once in a while: what is there then only this look takes away."""
        now = time.monotonic()
        if not self._min_free_bytes or now - self._space_checked_at < _SPACE_CHECK_SECONDS:
            return
        self._space_checked_at = now
        free, least = shutil.disk_usage(self._path.parent).free, self._min_free_bytes
        full = f"The disk is nearly full: {free} bytes free, store.min_free_bytes is {least}."
        self._no_space = full if free < least else None

    def _wal_bytes(self) -> int:
        try:
            return self._wal_path.stat().st_size
        except OSError:
            return 0

    def _tell(self, callback: Callable[..., None], *arguments: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *arguments)
        except RuntimeError:  # the loop is closed: nobody is left to be told
            log.warning("the loop ended before the writer")

    def _committed(self, group: list[_Entry], committed: Committed) -> None:
        """On the loop: first those who watch and schedule, then those who asked."""
        try:
            self._on_commit(committed)
        except Exception:  # watchers and work lack what is true: only a fresh start has all of it
            log.exception("what was committed could not be told")
            self._on_commit = _tell_nobody  # or they would be told what follows, with a hole before it
            self._closing = True
            self._bell.put(None)
            self._on_fatal("what was committed could not be told")
        _settle(group)
        probe("told", tuple(type(entry.command).__name__ for entry in group))


def _tell_nobody(_committed: Committed) -> None:
    """Who is told of commits after one that could not be told."""


def _settle(group: list[_Entry]) -> None:
    for entry in group:
        entry.settle()


def _primary(error: sqlite3.Error) -> int:
    """The primary result code of an SQLite error; 0 where it has none."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _is_fsync(error: sqlite3.Error) -> bool:
    """Whether the system could not say that the data is on the disk: it may be, and asking again proves nothing."""
    return getattr(error, "sqlite_errorcode", None) in _FSYNC_CODES


def _committed(state: State, commands: int, seconds: float) -> Committed:
    """What the loop is told: copies of rows that a later group may change again."""
    published = {artifact.id: artifact for artifact in state.artifacts}
    started = []
    for run in state.started.values():
        inputs = tuple(published[one] for one in run.inputs if one in published)
        started.append(Started(run.copy(), inputs if len(inputs) == len(run.inputs) else None))
    return Committed(
        state.events,
        started,
        [
            ReadyRun(run.id, run.place, run.priority, run.vtime, run.ord, run.crashes, run.correlation_id)
            for run in state.readied
        ],
        state.cancelled_runs,
        state.exhausted,
        state.next_due,
        state.freed,
        state.complete_from if state.emptied else None,
        commands,
        seconds,
    )
