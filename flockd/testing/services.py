"""What answers in place of the services that agents are, while a flock is tested."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from pydantic_core import to_json

from flockd.engines.http.answer import Answer, Unanswered
from flockd.engines.outside import Outside
from flockd.errors import nearest
from flockd.flock import Flock

ServiceForTests = Callable[[dict[str, Any]], Any | Awaitable[Any]]
"""Gets what would be posted, and gives what the service would answer: a payload, `{"artifacts": […]}`, or None for
nothing. What it raises is the attempt's failure. May be awaited."""


def use_services(flock: Flock, outside: Outside, services: Mapping[str, ServiceForTests]) -> None:
    """Let every agent that is a service ask one of these, by its name; one without fails instead of reaching for a
    network.

    Raises ValueError for a name in `services` of no such agent, TypeError for what cannot be called.
    """
    agents = [agent.name for agent in flock.agents().values() if agent.kind == "http"]
    for name, service in services.items():
        if name not in agents:
            near = nearest(name, agents)
            raise ValueError(
                f"no agent {name} is a service: "
                + (f"did you mean {near}?" if near else f"those are {' and '.join(agents) or 'none'}")
            )
        if not callable(service):
            raise TypeError(f"{service!r:.100} is no service: give {name} a function of what is posted to it")
    outside.give_client(_Scripted(services))


class _Scripted:
    """A Sender that sends nothing."""

    def __init__(self, services: Mapping[str, ServiceForTests]) -> None:
        self._services = dict(services)

    async def close(self) -> None:
        return None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], *, allow_private: bool) -> Answer:
        posted = orjson.loads(body)
        agent = posted["agent"]
        service = self._services.get(agent)
        if service is None:
            raise Unanswered(
                f'is not asked by tests: say services={{"{agent}": lambda run: …}} in flock_test or test_run',
                is_final=True,
            )
        answer = service(posted)
        if isinstance(answer, Awaitable):
            answer = await answer
        return Answer(200, "OK", "application/json", None, None, b"" if answer is None else to_json(answer))
