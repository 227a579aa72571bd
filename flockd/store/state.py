"""What a verb sees and changes while it is decided: an overlay over the rows that its group loaded.

A verb is a command and a pure, synchronous `decide(state)`: it reads and changes this overlay and answers, or raises a
FlockdError before its first change. The writer loads before the first decide of a group and applies after the last one,
so that a later verb sees an earlier one, and either all of them are stored or none.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import orjson

from flockd.domain.agent import Agent, Agents
from flockd.domain.artifact import DEFAULT_TENANT, Artifact, Draft
from flockd.domain.batch import Batch, BatchItem
from flockd.domain.budget import Budgets
from flockd.domain.correlation import Correlation, CorrelationState
from flockd.domain.event import Event, EventKind
from flockd.domain.moment import HOUR_MS, iso
from flockd.domain.question import Question, QuestionState
from flockd.domain.run import OPEN, SUSPECT_CRASHES, TRANSITIONS, Run, RunState, WaitReason
from flockd.domain.timer import TimerProgress
from flockd.store.accounts import Accounts
from flockd.store.occupancy import Limits, Occupancy
from flockd.store.pool import Pool
from flockd.store.records import Consumption, Held, Hidden, KeyRecord, Pooled, PoolKey, Step
from flockd.store.slots import UNJOINED_MOST, Slots, unjoined

OnDeath = Callable[[Run], "tuple[Draft, tuple[Agent, ...]] | None"]
"""The AgentError of a run that has just died, and the agents that it wakes; None where nobody wants it. Pure."""


FetchPools = Callable[["tuple[PoolKey, ...]"], None]
FetchHeld = Callable[["str", "tuple[str, str]", "int"], None]


class Reserved(NamedTuple):
    """A place in the log."""

    seq: int
    nth: int
    """Among the events of the group."""


class State:
    """The overlay of one group."""

    def __init__(  # noqa: PLR0915  # a line for each table
        self,
        *,
        now: int,
        clock: int,
        next_seq: int,
        next_run: int,
        agents: Agents,
        limits: Limits,
        occupancy: Occupancy,
        budgets: Budgets | None = None,
        on_death: OnDeath | None = None,
        fetch_pools: FetchPools = lambda _pools: None,
        fetch_held: FetchHeld = lambda _correlation, _slot, _count: None,
    ) -> None:
        self.now = now
        """The moment of everything that this group writes; never less than that of an earlier group."""
        self.clock = clock
        """What the wall clock says, for what is due later: it may have been set back since."""
        self.next_seq = next_seq
        self.next_run = next_run
        self.agents = agents
        self.limits = limits
        self.occupancy = occupancy
        self.accounts = Accounts(budgets or Budgets())
        """Calls of language models, and what budgets have left."""
        self.on_death = on_death
        self.fetch_pools = fetch_pools
        """Loads what these pools hold in the middle of a group, for what no command could name before."""
        self.fetch_held = fetch_held
        """Loads so many more of what an AND of a correlation, by its agent and a type, holds."""
        # loaded rows
        self.correlations: dict[str, Correlation] = {}
        self.runs: dict[str, Run] = {}
        self.held: dict[str, Slots] = {}
        """By correlation; of one that is not here ANDs hold nothing."""
        self.keys: dict[bytes, KeyRecord] = {}
        self.hidden: dict[int, Hidden] = {}
        """By the seq of the artifact."""
        self.pools: dict[PoolKey, Pool] = {}
        self.due_in_pools: list[Pooled] = []
        """A page of what has waited for its whole time; of a batch, all that waits with it is loaded."""
        self.more_is_due = False
        """There is more than that page."""
        self.unloaded: Counter[str] = Counter()
        """By correlation, of those that may be cancelled: how much of it is hidden or in pools, and not loaded."""
        self.questions: dict[str, Question] = {}
        self.asked: dict[str, Question] = {}
        """By run: the only one that may be open."""
        self.timers: dict[str, TimerProgress] = {}
        self.batches: dict[str, Batch] = {}
        """By the id of their correlation."""
        self.waiting_items: dict[str, list[BatchItem]] = {}
        """By batch: the next items to begin, as many as this group may need."""
        self.failed_items: set[tuple[str, int]] = set()
        """(batch, item) of those that failed, whose correlations are in a later round."""
        # changes to apply
        self.artifacts: list[Artifact] = []
        self.events: list[Event] = []
        self.consumptions: list[Consumption] = []
        self.changed_runs: dict[str, Run] = {}
        self.changed_correlations: dict[str, Correlation] = {}
        self.held_added: dict[tuple[str, str, int], Held] = {}
        self.held_removed: list[tuple[str, Held]] = []
        self.changed_keys: dict[bytes, KeyRecord | None] = {}
        self.pooled: dict[tuple[PoolKey, int], Pooled] = {}
        self.unpooled: list[Pooled] = []
        self.newly_hidden: dict[int, Hidden] = {}
        self.revealed: dict[int, Artifact | None] = {}
        """By seq: what an artifact has become; None where it never will be seen."""
        self.withdrawn: list[str] = []
        """Correlations of which nothing that is stored is hidden or in pools any more."""
        self.to_settle: dict[str, None] = {}
        """Correlations that hold less than before: the verb looks whether they end with it."""
        self.steps: list[Step] = []
        self.changed_questions: dict[str, Question] = {}
        self.changed_timers: dict[str, TimerProgress | None] = {}
        """None: it is not declared any more. A reset of the board leaves timers as they are."""
        self.starts: Counter[tuple[str, int]] = Counter()
        """(agent, moment): starts of agents that have a rate."""
        self.changed_pauses: dict[str, bool] = {}
        """Agents that were paused (True) or resumed."""
        self.changed_batches: dict[str, Batch] = {}
        self.changed_items: dict[tuple[str, int], BatchItem] = {}
        self.counters: dict[tuple[str, str, str, str, str], int] = defaultdict(int)
        self.emptied = False
        """The board is to be emptied before the other changes are applied."""
        self.complete_from = 0
        """Where it is emptied: the seq from which on the log is complete."""
        # what the loop is told after the commit
        self.started: dict[str, Run] = {}
        """By id, in the order of their claims."""
        self.readied: list[Run] = []
        self.cancelled_runs: list[str] = []
        self.exhausted: list[str] = []
        self.next_due: int | None = None
        self.freed: set[str] = set()
        """Places at which one less works, and agents that were resumed."""

    @property
    def has_changes(self) -> bool:
        return bool(
            self.events
            or self.changed_runs
            or self.changed_correlations
            or self.changed_keys
            or self.steps
            or self.changed_batches
            or self.changed_timers
            or self.accounts.has_changes
            or self.emptied
        )

    def empty(self) -> None:
        """Empty the board, and with it what this group has changed so far."""
        self.emptied = True
        self.complete_from = self.next_seq
        for run in self.started.values():
            self.release(run.place)
        for changed in (
            self.correlations, self.runs, self.held, self.keys, self.changed_runs, self.changed_correlations,
            self.held_added, self.changed_keys, self.counters, self.started, self.batches, self.waiting_items,
            self.failed_items, self.questions, self.asked, self.changed_questions, self.changed_pauses,
            self.changed_batches, self.changed_items, self.pools, self.pooled, self.to_settle, self.starts, self.hidden,
            self.newly_hidden, self.revealed, self.unloaded,
        ):  # fmt: skip
            changed.clear()
        for appended in (
            self.artifacts,
            self.events,
            self.consumptions,
            self.steps,
            self.unpooled,
            self.due_in_pools,
            self.held_removed,
            self.withdrawn,
            self.readied,
            self.exhausted,
        ):
            appended.clear()
        self.accounts.empty()
        self.occupancy.ready.clear()
        self.occupancy.times.clear()
        self.occupancy.paused = frozenset()

    # -- the log --------------------------------------------------------------------------------------------

    def emit(
        self,
        kind: EventKind,
        correlation: Correlation,
        *,
        run: Run | None = None,
        agent: str | None = None,
        data: dict[str, Any] | orjson.Fragment | None = None,
        artifact: Artifact | None = None,
        place: Reserved | None = None,
    ) -> int:
        """Append one fact of a correlation to the log, or put it into its reserved place; returns its seq."""
        if place is None:
            seq, nth = self.next_seq, len(self.events)
            self.next_seq += 1
        else:
            seq, nth = place
        correlation.last_activity_at = self.now
        self.changed_correlations[correlation.id] = correlation
        self.events.insert(
            nth,
            Event(
                seq,
                kind,
                self.now,
                correlation.id,
                agent if run is None else run.agent,
                None if run is None else run.id,
                b"{}" if data is None else orjson.dumps(data),
                artifact,
                correlation.tenant,
            ),
        )
        return seq

    def reserve(self) -> Reserved:
        """A place in the log for an event that is to come before those that it sets off."""
        self.next_seq += 1
        return Reserved(self.next_seq - 1, len(self.events))

    def emit_of_agent(self, kind: EventKind, agent: str) -> None:
        """Append one fact of an agent to the log, which belongs to no correlation."""
        self.events.append(Event(self.next_seq, kind, self.now, None, agent))
        self.next_seq += 1

    def count(
        self, kind: str, a: str = "", b: str = "", c: str = "", *, n: int = 1, tenant: str = DEFAULT_TENANT
    ) -> None:
        """Change a maintained count."""
        self.counters[tenant, kind, a, b, c] += n

    # -- correlations ---------------------------------------------------------------------------------------

    def begin_correlation(self, correlation: Correlation) -> None:
        """A correlation that is new, or finished and opened again: its next round starts."""
        if correlation.id in self.correlations:
            self._count_correlation(correlation, -1)
            correlation.round += 1
            correlation.round_outputs = correlation.round_errors = correlation.round_cancelled = 0
            correlation.completed_at = None
            correlation.reason = None
        else:
            self.correlations[correlation.id] = correlation
            correlation.seq = self.next_seq
        correlation.state = CorrelationState.active
        correlation.round_seq = self.next_seq
        self._count_correlation(correlation, +1)
        data = {"round": correlation.round, "dialect": correlation.dialect, "name": correlation.name}
        if correlation.causes:
            data["causes"] = correlation.causes
        self.emit(EventKind.correlation_started, correlation, data=data)

    def end_correlation(self, correlation: Correlation, ended: CorrelationState) -> None:
        """Write the end of its round."""
        self._count_correlation(correlation, -1)
        correlation.state = ended
        correlation.completed_at = self.now
        correlation.paused = False
        self._count_correlation(correlation, +1)
        data = {
            "round": correlation.round,
            "artifact_count": correlation.artifact_count,
            "error_count": correlation.error_count,
            "unjoined": self._unjoined(correlation.id),
        }
        if ended is CorrelationState.failed:
            data |= {"reason": correlation.reason, "outcome": correlation.outcome}
        self.emit(EventKind(f"correlation.{ended}"), correlation, data=data)

    def _count_correlation(self, correlation: Correlation, n: int) -> None:
        self.count(
            "correlation",
            correlation.state,
            correlation.dialect,
            correlation.name,
            n=n,
            tenant=correlation.tenant,
        )

    # -- pauses ---------------------------------------------------------------------------------------------

    def pause_agent(self, agent: str, paused: bool) -> None:
        """Whether an agent's runs may start."""
        self.occupancy.paused = self.occupancy.paused | {agent} if paused else self.occupancy.paused - {agent}
        self.changed_pauses[agent] = paused
        self.emit_of_agent(EventKind.agent_paused if paused else EventKind.agent_resumed, agent)
        if not paused:
            self.freed.add(agent)

    def pause_run(self, run: Run, paused: bool) -> None:
        """Take a ready run out of the queue; or take the pause from it: `start_or_queue` says what becomes of it."""
        if paused:
            self._leave_queue(run)
        else:
            self.occupancy.ready.add(run.place, +1)
        run.paused = paused
        self.changed_runs[run.id] = run

    # -- runs -----------------------------------------------------------------------------------------------

    def add_run(self, run: Run, correlation: Correlation) -> None:
        """A new run, ready; `start_or_queue` says what becomes of it."""
        self.runs[run.id] = run
        self.next_run = run.ord + 1
        correlation.open += 1
        correlation.runs += 1
        self.changed_runs[run.id] = run
        run.paused = correlation.paused
        if not run.paused:
            self.occupancy.ready.add(run.place, +1)
        self.count("run", run.agent, run.state, tenant=run.tenant)

    def move(self, run: Run, to: RunState, *, releases: bool = True) -> None:
        """Change a run's state, with every count that hangs on it.

        `releases` False: the run is over but its engine is not; its place is given back by a later verb.
        """
        before = run.state
        assert to in TRANSITIONS[before], f"a run cannot pass from {before} to {to}"
        if before is RunState.running:
            if self.started.pop(run.id, None):  # claimed in this very group: no engine works on it yet
                releases = True
            if releases:
                self.release(run.place)
        correlation = self.correlations[run.correlation_id]
        if before is RunState.ready and not run.paused:
            self._leave_queue(run)
        run.paused = to is RunState.ready and correlation.paused
        if to is RunState.running:
            self.occupancy.busy.add(run.place, +1)
        elif to is RunState.ready and not run.paused:
            self.occupancy.ready.add(run.place, +1)
            if before is not RunState.running:  # else it has had its turn, and goes first
                self._join_queue(run)
        if before in OPEN and to not in OPEN:
            correlation.open -= 1
            run.completed_at = self.now
            run.ended_round = correlation.round
        elif before not in OPEN and to in OPEN:
            correlation.open += 1
            run.completed_at = run.ended_round = None
        run.state = to
        if to is not RunState.waiting:
            run.reason = run.due_at = None
        self.changed_runs[run.id] = run
        self.changed_correlations[correlation.id] = correlation
        self.count("run", run.agent, before, n=-1, tenant=run.tenant)
        self.count("run", run.agent, to, tenant=run.tenant)

    def release(self, place: str) -> None:
        """One less works at this place."""
        self.occupancy.busy.add(place, -1)
        self.freed.add(place)

    def start_or_queue(self, run: Run) -> None:
        """Claim a new, waiting or dead run at once where there is room, else leave it ready for the scheduler.

        Suspects (two crashes or more) always queue: they start one at a time.
        """
        agent = self.agents.get(run.agent)
        if agent is None:
            self.orphan(run)
            return
        if self.correlations[run.correlation_id].paused:
            if run.state is not RunState.ready:
                self.move(run, RunState.ready)
            return
        counted = 1 if run.state is RunState.ready else 0
        if run.crashes < SUSPECT_CRASHES and self.occupancy.has_room(
            agent, run.place, self.limits, self.clock, counted=counted
        ):
            self.claim(run)
            return
        if run.state is RunState.ready:
            self._join_queue(run)
        else:
            self.move(run, RunState.ready)
        self.readied.append(run)

    def _join_queue(self, run: Run) -> None:
        """It comes after all that its correlation has in its lane, and after what others have there at their turn."""
        run.vtime = self.occupancy.times.join((run.place, run.priority), run.correlation_id)

    def _leave_queue(self, run: Run) -> None:
        self.occupancy.ready.add(run.place, -1)
        if run.vtime:
            self.occupancy.times.leave((run.place, run.priority), run.correlation_id)
            run.vtime = 0

    def claim(self, run: Run) -> None:
        """Take a ready or waiting run: raises its fence. `announce` writes its event."""
        if run.crashes < SUSPECT_CRASHES:  # those start out of order
            self.occupancy.times.advance((run.place, run.priority), run.vtime)
        self.move(run, RunState.running)
        run.fence += 1
        run.started_at = self.now
        agent = self.agents[run.agent]
        if agent.rate is not None:
            self.occupancy.start(agent, self.clock)
            self.starts[agent.name, self.clock] += 1
        self.started[run.id] = run

    def announce(self, run: Run) -> None:
        """Write `run.started` where the run was claimed."""
        if run.state is RunState.running:
            self.emit(
                EventKind.run_started,
                self.correlations[run.correlation_id],
                run=run,
                data={"attempt": run.attempt, "fence": run.fence, "inputs": run.inputs},
            )

    def orphan(self, run: Run) -> None:
        """A run without its agent waits for it, for limits.orphan_hours."""
        due_at = self.clock + self.limits.orphan_ms
        if run.state is not RunState.waiting:
            self.move(run, RunState.waiting)
        self.park(run, WaitReason.agent_missing, due_at)
        self.emit(
            EventKind.run_waiting,
            self.correlations[run.correlation_id],
            run=run,
            data={"reason": run.reason, "due_at": iso(due_at)},
        )

    def park(self, run: Run, reason: WaitReason, due_at: int | None) -> None:
        """Say what a waiting run waits for, and when it wakes at the latest; None: only that wakes it."""
        run.reason = reason
        run.due_at = due_at
        self.changed_runs[run.id] = run
        if due_at is not None:
            self.next_due = due_at if self.next_due is None else min(self.next_due, due_at)

    # -- what an AND holds ----------------------------------------------------------------------------------

    def hold(self, correlation_id: str, held: Held) -> None:
        slots = self.held.get(correlation_id)
        if slots is None:
            slots = self.held[correlation_id] = Slots()
        slots.add(held)
        self.held_added[correlation_id, held.agent, held.seq] = held

    def oldest_held(self, correlation_id: str, agent: str, type: str, count: int) -> Sequence[Held]:
        """So many of a type that an AND holds, the oldest; fewer where there are no more."""
        slot = self.held[correlation_id].get((agent, type))
        if slot is None:
            return ()
        if len(slot.held) < count and not slot.is_whole:
            self.fetch_held(correlation_id, (agent, type), count)
        return slot.held[:count]

    def take_held(self, correlation_id: str, taken: Iterable[Held]) -> None:
        slots = self.held[correlation_id]
        for held in taken:
            slots[held.agent, held.type].remove(held)
            if self.held_added.pop((correlation_id, held.agent, held.seq), None) is None:
                self.held_removed.append((correlation_id, held))

    def _unjoined(self, correlation_id: str) -> list[dict[str, Any]]:
        held: list[Held] = []
        for slot in self.held.get(correlation_id, ()):
            held += self.oldest_held(correlation_id, *slot, UNJOINED_MOST + 1)
        return unjoined(held) if held else []

    # -- questions ------------------------------------------------------------------------------------------

    def know_question(self, question: Question) -> None:
        self.questions[question.id] = question
        if question.state is QuestionState.open:
            self.asked[question.run_id] = question

    def put_question(self, question: Question) -> None:
        self.know_question(question)
        self.changed_questions[question.id] = question

    # -- timers ---------------------------------------------------------------------------------------------

    def put_timer(self, timer: TimerProgress) -> None:
        self.timers[timer.name] = self.changed_timers[timer.name] = timer
        if timer.due_at is not None:
            self.next_due = timer.due_at if self.next_due is None else min(self.next_due, timer.due_at)

    def drop_timer(self, name: str) -> None:
        self.timers.pop(name, None)
        self.changed_timers[name] = None

    # -- batches --------------------------------------------------------------------------------------------

    def put_item(self, item: BatchItem) -> None:
        self.changed_items[item.batch_id, item.item] = item

    # -- pools ----------------------------------------------------------------------------------------------

    def pool(self, one: Pooled) -> None:
        """Hold an artifact; its correlation is open as long as it is held."""
        if one.pool not in self.pools:
            self.pools[one.pool] = Pool()
        self.pools[one.pool].add(one)
        self.pooled[one.pool, one.seq] = one
        self._hold_open(one, +1)
        self.next_due = one.due_at if self.next_due is None else min(self.next_due, one.due_at)

    def unpool(self, taken: Iterable[Pooled]) -> None:
        """Hold these no longer."""
        for one in list(taken):
            self.pools[one.pool].remove(one)
            if self.pooled.pop((one.pool, one.seq), None) is None:
                self.unpooled.append(one)
            self._hold_open(one, -1)

    # -- hidden artifacts -----------------------------------------------------------------------------------

    def hide(self, hidden: Hidden) -> None:
        """No agent sees an artifact until its time is over; its correlation is open until then."""
        self.hidden[hidden.seq] = self.newly_hidden[hidden.seq] = hidden
        self._hold_open(hidden, +1)
        self.next_due = hidden.due_at if self.next_due is None else min(self.next_due, hidden.due_at)

    def reveal(self, hidden: Hidden, artifact: Artifact | None) -> None:
        """Agents see it now, as this; or (None) they never will."""
        del self.hidden[hidden.seq]
        self.newly_hidden.pop(hidden.seq, None)
        self.revealed[hidden.seq] = artifact
        self._hold_open(hidden, -1)

    def withdraw_unloaded(self, correlation: Correlation) -> None:
        """What of a correlation is hidden or in pools, and not loaded, is so no longer."""
        if unloaded := self.unloaded.pop(correlation.id, 0):
            correlation.open -= unloaded
            self.changed_correlations[correlation.id] = correlation
            self.withdrawn.append(correlation.id)

    def _hold_open(self, one: Pooled | Hidden, n: int) -> None:
        correlation = self.correlations[one.correlation_id]
        correlation.open += n
        self.changed_correlations[correlation.id] = correlation
        self.to_settle[correlation.id] = None

    # -- keys -----------------------------------------------------------------------------------------------

    def put_key(self, digest: bytes, record: KeyRecord | None) -> None:
        """Write a key's record, or (None) free the key."""
        if record is None:
            self.keys.pop(digest, None)
        else:
            self.keys[digest] = record
        self.changed_keys[digest] = record


def hour(moment: int) -> str:
    """The hour of a moment, as the timelines name it."""
    return iso(moment - moment % HOUR_MS).replace(".000Z", "Z")
