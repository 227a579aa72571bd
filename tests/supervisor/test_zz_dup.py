from __future__ import annotations
from ..rig import Rigs, agent
from flockd.domain.identity import new_id

async def test_a_workflow_that_was_paused_and_resumed_leaves_no_place_empty(rigs: Rigs) -> None:
    rig = await rigs(agent("one", "A", max_concurrency=2))
    for n in (1, 2):
        await rig.publish("A", n)
    first, second = await rig.call("one", 1), await rig.call("one", 2)
    paused = new_id()
    await rig.publish("A", 3, paused)
    await rig.board.pause_correlation(paused, True)
    await rig.board.pause_correlation(paused, False)
    await rig.publish("A", 4)
    async with rig.one_group():
        first.give()
        second.give()
    await rig.call("one", 3)
    await rig.call("one", 4)
