"""Agents: who is here, what each did, and running one directly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from aiohttp import web

from flockd.api.bodies import RunBody
from flockd.api.idempotency import again, idempotency
from flockd.api.keys import BOARD, DAEMON, HUB, READS, SETTINGS, AgentLoad
from flockd.api.publication import correlation_id, priority, publication
from flockd.api.queries import ArtifactsWanted
from flockd.api.waiting import Outcome, wait
from flockd.board import Published
from flockd.domain.agent import Agent
from flockd.domain.artifact_type import Types
from flockd.domain.identity import new_id
from flockd.domain.moment import now_ms, parse_iso
from flockd.domain.run import RunState
from flockd.domain.where import shown
from flockd.errors import AgentFailed, BudgetExceeded, FlockdError, NotFound, TimedOut
from flockd.routing import Call

_IDLE = AgentLoad(0, 0)
_NO_END_SECONDS = 3600
"""What a client waits for a budget that waiting does not mend, since somebody has to raise it: there is no sense in
asking often, and within an hour of that it works again."""
_OPEN_CALLS_SECONDS = 5
"""What a client waits where only calls that are not over leave no room."""


async def list_agents(call: Call[None, None]) -> bytes:
    """List agents."""
    board, loads = call.app[BOARD], call.app[DAEMON].occupancy()
    agents = [
        _document(agent, board.types, loads.get(agent.name, _IDLE))
        for agent in sorted(board.agents.values(), key=lambda agent: agent.name)
    ]
    return orjson.dumps({"agents": agents})


async def pause_agent(call: Call[None, None]) -> bytes:
    """Let none of an agent's runs start.

    What runs goes on, and what would start waits until it is resumed, over restarts, too. One that is paused stays as
    it is.
    """
    return await _paused(call, True)


async def resume_agent(call: Call[None, None]) -> bytes:
    """Let a paused agent's runs start again.

    One that is not paused stays as it is.
    """
    return await _paused(call, False)


async def _paused(call: Call[None, None], paused: bool) -> bytes:
    agent, board = _agent(call), call.app[BOARD]
    await board.pause_agent(agent, paused)
    load = call.app[DAEMON].occupancy().get(agent.name, _IDLE)
    return orjson.dumps(_document(agent, board.types, load))


def _document(agent: Agent, types: Types, load: AgentLoad) -> dict[str, Any]:
    subscription = agent.subscription
    return {
        "name": agent.name,
        "description": agent.description,
        "subscriptions": subscription.documents(),
        "outputs": agent.outputs,
        "kind": agent.kind,
        "labels": sorted(agent.labels),
        "tenant": agent.tenant,
        "priority": None if agent.priority is None else agent.priority.name,
        "max_concurrency": agent.max_concurrency,
        "concurrency_key": None if agent.concurrency_key is None else shown(agent.concurrency_key),
        "rate": None if agent.rate is None else agent.rate.document(),
        "retries": agent.retries,
        "timeout_seconds": agent.timeout_seconds,
        "status": "paused" if load.paused else "running" if load.running else "idle",
        "running": load.running,
        "queued": load.queued,
        "input_schema": _inputs(subscription.types, types)
        if subscription.joins or not subscription.types
        else _any_of(subscription.types, types),
        "output_schema": _any_of(agent.outputs, types) if agent.outputs else None,
    }


def _any_of(names: Sequence[str], types: Types) -> dict[str, Any]:
    """The schema of one type, or of any of several."""
    if len(names) == 1:
        return types[names[0]].schema
    return {"anyOf": [_embedded(name, types) for name in names]}


def _inputs(names: Sequence[str], types: Types) -> dict[str, Any]:
    """The schema of several inputs at once: an object keyed by their types."""
    once = list(dict.fromkeys(names))
    return {"type": "object", "properties": {name: _embedded(name, types) for name in once}, "required": once}


def _embedded(name: str, types: Types) -> dict[str, Any]:
    """A schema inside another one: with an $id of its own, so that its references stay its own."""
    return {"$id": f"urn:flockd:type:{name}", **types[name].schema}


async def run_agent(call: Call[None, RunBody]) -> bytes | web.StreamResponse:
    """Run one agent.

    Exactly once, on these inputs, and waits for it; with cascade, for all that it sets off.
    """
    app, body = call.app, call.body
    agent, settings, board = _agent(call), app[SETTINGS], app[BOARD]
    named = correlation_id(call.request, body.correlation_id)
    given_id = named or new_id()
    inputs = [
        publication(given, settings, f"inputs.{index}.")._replace(
            correlation_id=given_id, correlation_is_new=named is None, priority=priority(body.priority)
        )
        for index, given in enumerate(body.inputs)
    ]
    record = idempotency(call, call.parsed)
    with app[HUB].watch_end(given_id) as watch:
        published = await board.run_agent(
            agent,
            inputs,
            cascade=body.cascade,
            correlation_id=given_id,
            priority=priority(body.priority),
            idempotency=record,
        )
        if published.answer is not None:
            return again(published.answer)
        timeout = min(body.timeout, settings.sync_wait_seconds)
        outcome = await wait(app[HUB], app[READS], published, watch, timeout)
    ids = {"correlation_id": published.correlation_id, "run_id": published.run_id}
    if outcome.ended_at is None:
        raise TimedOut(f"{agent.name} did not finish within {timeout:g} seconds; it goes on", details=ids)
    failure = await _failure(call, published, outcome)
    if failure is not None:
        if record is not None:
            await board.free_key(record.digest, published)
        raise failure
    answer = orjson.dumps({"artifacts": [artifact.document() for artifact in outcome.artifacts], **ids})
    if record is not None:
        await board.keep_answer(record.digest, answer, published)
    return again(answer) if published.replayed else answer


async def _failure(call: Call[Any, Any], published: Published, outcome: Outcome) -> FlockdError | None:
    """Why the run itself failed; what it set off may fail without it."""
    ids = {"correlation_id": published.correlation_id, "run_id": published.run_id}
    if outcome.state == "completed" and not outcome.errors:
        return None
    run = await call.app[READS].run(published.run_id) if published.run_id is not None else None
    if run is None or run.state is RunState.completed:
        return None
    if run.state is RunState.cancelled:
        return AgentFailed("Cancelled", details=ids)
    error = orjson.loads(run.error) if run.error else {"message": f"{run.agent} did not finish"}
    if error.get("code") != BudgetExceeded.code:
        return AgentFailed(error["message"], details=ids)
    budget = await call.app[READS].refusal(run.correlation_id, run.id)
    headers = {"Retry-After": str(_retry_after_seconds(budget))}
    return BudgetExceeded(error["message"], details={**ids, "budget": budget}, headers=headers)


def _retry_after_seconds(budget: Mapping[str, Any] | None) -> int:
    """When a call may fit: when those that are not over have told what they took, or when the budget begins anew.

    Where neither helps (the call is too large for all of it, nobody knows what it costs, it never begins anew, or the
    log does not say any more which it was): when somebody may have raised it.
    """
    if budget is None:
        return _NO_END_SECONDS
    wanted, limit, ends_at = budget["wanted"], budget["limit"], budget["window_ends_at"]
    if wanted is None or wanted > limit:
        return _NO_END_SECONDS
    waits = [_NO_END_SECONDS] if ends_at is None else [max(1, -(-(parse_iso(ends_at) - now_ms()) // 1000))]
    if budget["spent"] + wanted <= limit:
        waits.append(_OPEN_CALLS_SECONDS)
    return min(waits)


async def agent_history(call: Call[ArtifactsWanted, None]) -> bytes:
    """Summarize what an agent did."""
    agent = _agent(call)
    summary = await call.app[READS].history(agent.name, call.query.filter())
    return orjson.dumps({"agent_id": agent.name, "summary": summary})


def _agent(call: Call[Any, Any]) -> Agent:
    """The agent in the path, in any spelling of its name. Raises NotFound."""
    name = call.part("name")
    agent = call.app[BOARD].agents.spelled(name)
    if agent is None:
        raise NotFound(f"Agent not found: {name}")
    return agent
