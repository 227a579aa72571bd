"""What authors declare with a Flock, on a board: batches are lists, joins meet, schedules start, fan-out bounds."""

from __future__ import annotations

from typing import Any

from flockd import BatchSpec, Context, Every, FanOut, Flock, JoinSpec

from ..rig import Note, Rig, Rigs


class A(Note):
    pass


class B(Note):
    pass


class C(Note):
    pass


async def board_of(rigs: Rigs, flock: Flock) -> Rig:
    agents = flock.agents()
    flock.validate()
    return await rigs(
        *agents.values(), engines={name: flock.engine(name) for name in agents}, timers=flock.timers()
    )


async def outputs(rig: Rig, agent: str) -> list[tuple[str, bytes]]:
    """What an agent has published, in order."""
    events = [event for event in rig.events if event.kind == "artifact.published"]
    artifacts = [event.artifact for event in events if event.artifact is not None]
    return [(one.type, one.payload) for one in artifacts if one.produced_by == agent]


async def test_a_batch_reaches_the_function_as_a_list(rigs: Rigs) -> None:
    flock, taken = Flock(), list[Any]()

    @flock.agent(batch=BatchSpec(size=3, timeout="1h"))
    async def tally(notes: list[A | B], ctx: Context) -> C:
        taken.append(notes)
        return C(n=sum(note.n for note in notes) + 10 * len(ctx.inputs))

    rig = await board_of(rigs, flock)
    for type_name, n in (("A", 1), ("B", 2), ("A", 3)):
        await rig.publish(type_name, n)
    await rig.event("run.completed")
    assert [note.n for note in taken[0]] == [1, 2, 3]
    assert await outputs(rig, "tally") == [("C", b'{"n":36}')]


async def test_a_plain_function_gets_what_is_there_when_the_time_is_over(rigs: Rigs) -> None:
    flock = Flock()

    @flock.agent(batch=BatchSpec(size=3, timeout="30s"))
    def tally(notes: list[A]) -> list[C]:
        return [C(n=note.n) for note in notes]

    rig = await board_of(rigs, flock)
    await rig.publish("A", 1)
    await rig.publish("A", 2)
    rig.clock.advance(31)
    await rig.board.wake(rig.clock())
    await rig.event("run.completed")
    assert await outputs(rig, "tally") == [("C", b'{"n":1}'), ("C", b'{"n":2}')]


async def test_a_join_meets_by_its_key_over_workflows(rigs: Rigs) -> None:
    flock = Flock()

    @flock.agent(join=JoinSpec(by="n", within="1h"))
    async def meet(one: A, other: B) -> C:
        assert one.n == other.n
        return C(n=one.n)

    rig = await board_of(rigs, flock)
    for type_name, n in (("A", 1), ("A", 2), ("B", 2)):
        await rig.publish(type_name, n)
    await rig.event("run.completed")
    assert await outputs(rig, "meet") == [("C", b'{"n":2}')]


async def test_a_run_that_returns_too_many_fails_and_publishes_nothing(rigs: Rigs) -> None:
    flock = Flock()

    @flock.agent(fan_out=FanOut(min=1, max=2))
    async def split(note: A) -> list[B]:
        return [B(n=n) for n in range(note.n)]

    rig = await board_of(rigs, flock)
    await rig.publish("A", 3)
    failed = await rig.event("correlation.failed")
    assert failed.correlation_id is not None
    (failure,) = rig.data("run.failed")
    assert failure["error"] == {
        "code": "AGENT_FAILED",
        "message": "agent split returned 3 of B, and its fan_out is 1 to 2",
    }
    assert await outputs(rig, "split") == []
    await rig.publish("A", 2)
    await rig.event("run.completed")
    assert await outputs(rig, "split") == [("B", b'{"n":0}'), ("B", b'{"n":1}')]


async def test_a_schedule_starts_an_agent_and_a_timer_publishes(rigs: Rigs) -> None:
    flock = Flock()

    @flock.agent(schedule=Every("5m"), output_tags=["swept"])
    async def sweep() -> B:
        return B(n=7)

    @flock.agent
    async def see(note: A) -> C:
        return C(n=note.n)

    flock.schedule("tick", Every("10m"), publish=A(n=9))
    rig = await board_of(rigs, flock)
    rig.clock.advance(300)
    await rig.board.fire_timers(rig.clock())
    await rig.event("run.completed", agent="sweep")
    assert await outputs(rig, "sweep") == [("B", b'{"n":7}')]
    assert [event.artifact.tags for event in rig.events if event.artifact is not None] == [("swept",)]
    rig.clock.advance(300)
    await rig.board.fire_timers(rig.clock())
    await rig.event("run.completed", agent="see")
    assert await outputs(rig, "see") == [("C", b'{"n":9}')]
