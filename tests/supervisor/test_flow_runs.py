"""Executions of flows under the supervisor: they end, time out and are cancelled as runs of any agent."""

import asyncio
import threading
from typing import Any

from flockd.engines.flow import FlowClass, FlowEngine

from ..rig import LIMIT_SECONDS, Note, Rig, Rigs, agent


class Poem:
    """What the flows of these tests have in common."""

    def __init__(self) -> None:
        self.state = Note()


def engine(flow: type[Any]) -> FlowEngine:
    awaited = hasattr(flow, "kickoff_async")
    described = FlowClass(
        make=flow,
        kickoff="kickoff_async" if awaited else "kickoff",
        awaited=awaited,
        takes_inputs=False,
        state=None,
    )
    return FlowEngine(described, result_type="B", result=Note)


async def poems(rigs: Rigs, flow: type[Any], **limits: Any) -> Rig:
    return await rigs(
        agent("poem", "A", outputs=("B",), kind="flow", **limits), engines={"poem": engine(flow)}
    )


async def test_an_execution_is_a_run_and_its_result_an_artifact(rigs: Rigs) -> None:
    class Doubling(Poem):
        def kickoff(self) -> None:
            self.state.n *= 2

    rig = await poems(rigs, Doubling)
    published = await rig.publish("A", 21)
    await rig.event("correlation.completed", correlation_id=published.correlation_id)
    (result,) = [
        artifact
        for artifact in await rig.reads.artifacts_by_id((await rig.run(rig.woke(published)[0])).outputs)
        if artifact.produced_by == "poem"
    ]
    assert (result.type, result.payload) == ("B", b'{"n":42}')


async def test_one_that_takes_too_long_is_cancelled_at_its_awaits_and_fails(rigs: Rigs) -> None:
    ended: list[str] = []

    class Endless(Poem):
        async def kickoff_async(self) -> None:
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                ended.append("cancelled")
                raise

    rig = await poems(rigs, Endless, timeout_seconds=0.05)
    published = await rig.publish("A")
    await rig.event("correlation.failed", correlation_id=published.correlation_id)
    (failed,) = rig.data("run.failed")
    assert failed["error"] == {"code": "TIMEOUT", "message": "It did not end within 0.05 s."}
    await rig.until(lambda: rig.busy("poem") == 0)
    assert ended == ["cancelled"]


async def test_a_cancelled_one_that_blocks_holds_its_place_until_its_thread_ends(rigs: Rigs) -> None:
    loop, working, release = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    class Blocking(Poem):
        def kickoff(self) -> None:
            loop.call_soon_threadsafe(working.set)
            release.wait(LIMIT_SECONDS)

    rig = await poems(rigs, Blocking, max_concurrency=1)
    first = await rig.publish("A")
    async with asyncio.timeout(LIMIT_SECONDS):
        await working.wait()
    working.clear()
    await rig.board.cancel_run(rig.woke(first)[0])
    second = await rig.publish("A")
    assert (await rig.run(rig.woke(second)[0])).state == "ready", "its place is still taken"
    release.set()
    await rig.event("correlation.completed", correlation_id=second.correlation_id)
    assert (await rig.run(rig.woke(first)[0])).state == "cancelled"
    assert await rig.states(first.correlation_id) == ["cancelled"]
