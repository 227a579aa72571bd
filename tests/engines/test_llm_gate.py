"""The gate of a model: at most so many at once, in their order, not too often, and not while it rests."""

import asyncio
from collections.abc import Callable

import pytest

from flockd.domain.rate import Rate
from flockd.engines.llm.gate import Gate

LIMIT_SECONDS = 20.0


class Visitors:
    """Tasks that go through a gate, stay until they are told to leave, and say when they entered."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.inside: list[str] = []
        self.entered: list[str] = []
        self._leaving: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self._bell = asyncio.Event()

    def send(self, *names: str, ticket: int | None = None) -> None:
        for name in names:
            self._leaving[name] = asyncio.Event()
            visit = self._visit(name, self.gate.ticket() if ticket is None else ticket)
            self.tasks[name] = asyncio.create_task(visit, name=name)

    async def _visit(self, name: str, ticket: int) -> None:
        async with self.gate.entered(ticket):
            self.inside.append(name)
            self.entered.append(name)
            self._bell.set()
            try:
                await self._leaving[name].wait()
            finally:
                self.inside.remove(name)
                self._bell.set()

    def let_go(self, *names: str) -> None:
        for name in names:
            self._leaving[name].set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(LIMIT_SECONDS):
            while not condition():
                self._bell.clear()
                await self._bell.wait()

    async def settle(self) -> None:
        """Everybody who can enter without the passing of time has."""
        for _ in range(10):
            await asyncio.sleep(0)

    async def end(self) -> None:
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)


async def test_so_many_are_inside_and_the_others_follow_in_their_order() -> None:
    visitors = Visitors(Gate(2))
    visitors.send("a", "b", "c", "d")
    await visitors.settle()
    assert visitors.inside == ["a", "b"]
    visitors.let_go("b")
    await visitors.until(lambda: "c" in visitors.inside)
    assert visitors.inside == ["a", "c"]
    visitors.let_go("a", "c", "d")
    await asyncio.gather(*visitors.tasks.values())
    assert visitors.entered == ["a", "b", "c", "d"]


async def test_who_comes_again_with_an_old_ticket_is_next() -> None:
    gate = Gate(1)
    visitors = Visitors(gate)
    old = gate.ticket()
    visitors.send("a", "b")
    await visitors.settle()
    visitors.send("again", ticket=old)
    await visitors.settle()
    visitors.let_go("a", "again", "b")
    await asyncio.gather(*visitors.tasks.values())
    assert visitors.entered == ["a", "again", "b"]


async def test_one_who_is_cancelled_while_waiting_holds_up_nobody() -> None:
    visitors = Visitors(Gate(1))
    visitors.send("a", "b", "c")
    await visitors.settle()
    visitors.tasks["b"].cancel()
    visitors.let_go("a")
    await visitors.until(lambda: "c" in visitors.inside)
    assert visitors.entered == ["a", "c"]
    await visitors.end()


async def test_one_who_is_cancelled_at_the_moment_of_entering_gives_the_place_back() -> None:
    gate = Gate(1)
    visitors = Visitors(gate)
    visitors.send("a", "b", "c")
    await visitors.settle()
    visitors.tasks["a"].cancel()
    await asyncio.sleep(0)  # a has left: b is let in, and has not run yet
    visitors.tasks["b"].cancel()
    await visitors.until(lambda: "c" in visitors.inside)
    assert visitors.entered == ["a", "c"]
    await visitors.end()


async def test_one_who_fails_inside_gives_the_place_back() -> None:
    gate = Gate(1)
    with pytest.raises(ValueError, match="no"):
        async with gate.entered(gate.ticket()):
            raise ValueError("no")
    async with asyncio.timeout(LIMIT_SECONDS), gate.entered(gate.ticket()):
        pass


async def test_a_rate_lets_in_so_many_in_any_period() -> None:
    loop = asyncio.get_running_loop()
    gate, starts = Gate(10, Rate(2, 50)), list[float]()

    async def visit() -> None:
        async with gate.entered(gate.ticket()):
            starts.append(loop.time())

    async with asyncio.timeout(LIMIT_SECONDS):
        await asyncio.gather(*(visit() for _ in range(7)))
    gaps = [later - earlier for earlier, later in zip(starts, starts[2:], strict=False)]
    # The gate counts from when it lets one in, which is a moment before that one can look at the clock.
    assert [gap for gap in gaps if gap < 0.045] == []


HOUR_MS = 3_600_000


async def test_a_start_that_is_given_back_is_somebody_elses() -> None:
    gate = Gate(10, Rate(2, HOUR_MS))
    visitors = Visitors(gate)
    async with asyncio.timeout(LIMIT_SECONDS), gate.entered(gate.ticket()):
        async with gate.entered(gate.ticket()) as refused:
            visitors.send("a", "b")
            await visitors.settle()
            assert visitors.entered == []
            gate.give_back(refused)
        await visitors.until(lambda: visitors.entered == ["a"])
        await visitors.settle()
    await visitors.settle()
    assert visitors.entered == ["a"], "the rate is what it was"
    await visitors.end()


async def test_one_who_is_cancelled_at_the_moment_of_entering_uses_no_start() -> None:
    gate = Gate(1, Rate(2, HOUR_MS))
    visitors = Visitors(gate)
    visitors.send("a", "b", "c")
    await visitors.settle()
    visitors.tasks["a"].cancel()
    await asyncio.sleep(0)  # a has left: b is let in, and has not run yet
    visitors.tasks["b"].cancel()
    await visitors.until(lambda: visitors.entered == ["a", "c"])
    await visitors.end()


async def test_a_start_that_counts_no_more_may_be_given_back_all_the_same() -> None:
    gate = Gate(2, Rate(1, 1))
    async with (
        asyncio.timeout(LIMIT_SECONDS),
        gate.entered(gate.ticket()) as first,
        gate.entered(gate.ticket()),  # which takes its place in the count
    ):
        gate.give_back(first)
    async with asyncio.timeout(LIMIT_SECONDS), gate.entered(gate.ticket()):
        pass


async def test_a_rest_is_for_everybody_and_the_longest_holds() -> None:
    loop = asyncio.get_running_loop()
    gate = Gate(10)
    began = loop.time()
    gate.rest(0.1)
    gate.rest(0.01)
    visitors = Visitors(gate)
    visitors.send("a", "b")
    await visitors.settle()
    assert visitors.entered == []
    await visitors.until(lambda: len(visitors.inside) == 2)
    assert loop.time() - began >= 0.1
    assert visitors.entered == ["a", "b"]
    await visitors.end()


async def test_a_rest_that_begins_while_others_wait_for_room_holds_for_them() -> None:
    loop = asyncio.get_running_loop()
    gate = Gate(1)
    visitors = Visitors(gate)
    visitors.send("a", "b")
    await visitors.settle()
    began = loop.time()
    gate.rest(0.05)
    visitors.let_go("a")
    await visitors.until(lambda: "b" in visitors.inside)
    assert loop.time() - began >= 0.05
    await visitors.end()


async def test_the_last_one_who_waits_and_leaves_leaves_no_timer() -> None:
    gate = Gate(1)
    gate.rest(60)
    visitors = Visitors(gate)
    visitors.send("a")
    await visitors.settle()
    visitors.tasks["a"].cancel()
    await asyncio.gather(visitors.tasks["a"], return_exceptions=True)
    assert gate._timer is None
