"""Idempotency keys: one effect for each of them, whoever asks how often."""

import asyncio

import pytest

from flockd.board import Idempotency
from flockd.errors import FlockdError, IdempotencyMismatch
from flockd.store.occupancy import Limits

from ..rig import Rigs, agent, publication

HOUR_SECONDS = 3600


def key(name: bytes = b"k", body: bytes = b"b", answer: bytes | None = b"final") -> Idempotency:
    return Idempotency(name.ljust(16), body.ljust(16), None if answer is None else lambda _results: answer)


async def test_many_requests_with_one_key_in_one_group_have_one_effect(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A"))
    async with rig.one_group():
        asked = [rig.soon(rig.publish("A", n, idempotency=key())) for n in range(50)]
    answers = await asyncio.gather(*asked)
    assert len({answer[:5] for answer in answers}) == 1
    assert [answer.replayed for answer in answers] == [False] + [True] * 49
    assert {answer.answer for answer in answers[1:]} == {b"final"}
    assert (await rig.reads.totals())["artifacts"] == 1


async def test_a_replay_after_a_restart_answers_the_same(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A"))
    first = await rig.publish("A", idempotency=key())
    await rig.crash()
    await rig.start()
    again = await rig.publish("A", idempotency=key())
    assert again == first._replace(replayed=True, answer=b"final", fresh=False)
    await rig.call("ab")
    assert await rig.states() == ["running"]


async def test_another_body_is_refused(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A"))
    await rig.publish("A", idempotency=key())
    with pytest.raises(IdempotencyMismatch):
        await rig.publish("A", idempotency=key(body=b"other"))
    assert await rig.states() == ["running"]


async def test_a_refused_request_leaves_its_key_free(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A", max_concurrency=1), limits=Limits(ready_runs=1))
    await rig.publish("A", 1)
    await rig.publish("A", 2)
    with pytest.raises(FlockdError):
        await rig.publish("A", 3, idempotency=key())
    (await rig.call("ab", 1)).give()
    await rig.call("ab", 2)
    assert not (await rig.publish("A", 3, idempotency=key())).replayed


async def test_an_old_key_is_new_again(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A"))
    first = await rig.publish("A", idempotency=key())
    rig.clock.advance(24 * HOUR_SECONDS)
    assert (await rig.publish("A", idempotency=key())).replayed
    rig.clock.advance(1)
    second = await rig.publish("A", idempotency=key(body=b"other"))
    assert not second.replayed and second.artifact_id != first.artifact_id


async def test_only_keys_that_are_old_by_now_are_forgotten(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A"))
    await rig.publish("A", idempotency=key(b"one"))
    await rig.publish("A", idempotency=key(b"two"))
    rig.clock.advance(25 * HOUR_SECONDS)
    older_than = rig.clock() - 24 * HOUR_SECONDS * 1000
    digests = await rig.reads.old_keys(older_than)
    assert len(digests) == 2
    await rig.publish("A", idempotency=key(b"two"))  # used again before the sweep comes to it
    await rig.board.free_old_keys(digests, older_than)
    assert not (await rig.publish("A", idempotency=key(b"one"))).replayed
    assert (await rig.publish("A", idempotency=key(b"two"))).replayed


async def test_the_final_answer_is_kept_once(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A"))
    mine = key(answer=None)
    first = await rig.publish("A", idempotency=mine)
    assert (await rig.publish("A", idempotency=mine)).answer is None, "whoever asks meanwhile attaches"
    await rig.board.keep_answer(mine.digest, b"first", first)
    await rig.board.keep_answer(mine.digest, b"second", first)
    assert (await rig.publish("A", idempotency=mine)).answer == b"first"
    await rig.board.keep_answer(b"unknown".ljust(16), b"nothing", first)


async def test_a_freed_key_is_new_again(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A"))
    mine = key(answer=None)
    first = await rig.board.run_agent(rig.agents[0], [publication("A")], idempotency=mine)
    replayed = await rig.board.run_agent(rig.agents[0], [publication("A")], idempotency=mine)
    assert (replayed.run_id, replayed.replayed) == (first.run_id, True)
    await rig.board.free_key(mine.digest, first)
    again = await rig.board.run_agent(rig.agents[0], [publication("A")], idempotency=mine)
    assert not again.replayed and again.run_id != first.run_id
    await rig.board.free_key(mine.digest, first)
    await rig.board.keep_answer(mine.digest, b"late", first)
    replayed = await rig.board.run_agent(rig.agents[0], [publication("A")], idempotency=mine)
    assert (replayed.replayed, replayed.answer) == (True, None), "by now the key is another request's"


async def test_a_key_that_is_freed_and_used_in_one_group(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A"))
    mine = key()
    first = await rig.publish("A", idempotency=mine)
    async with rig.one_group():
        rig.soon(rig.board.free_key(mine.digest, first))
        again = rig.soon(rig.publish("A", idempotency=mine))
    assert not (await again).replayed
    assert (await rig.publish("A", idempotency=mine)).artifact_id == (await again).artifact_id


async def test_a_bulk_is_replayed_whole(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A"))
    items = [publication("A", 1), publication("Z"), publication("B", 2)]
    first = await rig.board.publish_many(items, idempotency=key())
    again = await rig.board.publish_many(items, idempotency=key())
    assert (again.replayed, again.answer) == (True, b"final")
    assert [one.artifact_id for one in again.results] == [  # type: ignore[union-attr]
        one.artifact_id for one in first.results if not isinstance(one, FlockdError)
    ]
    assert (await rig.reads.totals())["artifacts"] == 2
