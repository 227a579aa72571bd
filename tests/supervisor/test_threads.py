"""The threads of a run, and the one that watches the loop."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from flockd.supervisor.threads import RunThreads
from flockd.supervisor.watchdog import Watchdog

from ..rig import LIMIT_SECONDS, Rigs, agent


async def test_a_thread_that_the_system_refuses_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = RunThreads(asyncio.get_running_loop())

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            await threads.start(lambda: None, "refused")
    assert not threads.alive, "its place would be held for ever"
    assert await threads.start(lambda: 7, "begun") == 7
    assert not threads.alive
    assert threads.ended is not None and threads.ended.done()


async def test_the_watchdog_ends_although_agents_hold_all_threads_of_the_default_executor() -> None:
    loop, release = asyncio.get_running_loop(), threading.Event()
    loop.set_default_executor(ThreadPoolExecutor(1))
    held = loop.run_in_executor(None, release.wait)
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            async with Watchdog(60.0, lambda _lag: None):
                pass
        assert "flockd-watchdog" not in [thread.name for thread in threading.enumerate()]
    finally:
        release.set()
        await held


async def test_what_an_agent_says_in_a_thread_is_said_on_the_loop(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A"))
    heard_by: list[threading.Thread] = []
    rig.supervisor._tell_live = lambda _event: heard_by.append(threading.current_thread())
    await rig.publish("A")
    call = await rig.call("ab")

    def say() -> None:
        call.context.write("half")
        for part in range(1, 4):
            call.context.progress(part / 4)

    await asyncio.to_thread(say)
    call.give()
    await rig.event("run.completed")
    assert heard_by == [threading.current_thread()]
    assert [data["fraction"] for data in rig.data("run.progress")] == [0.25, 0.75]
    assert (await rig.run(call.run_id)).output_text == "half"
