"""A daemon that is killed while a service works for it: the run begins again, and the service can tell that it does."""

from __future__ import annotations

import pytest

from ..engines.http.service import Service, says, silence
from .client import Client
from .daemon import Daemon
from .tail import Tail

pytestmark = pytest.mark.timeout(120)

AGENT = """
[[agents]]
name = "pricer"
engine = "http"
url = "{url}"
allow_private = true
input = "item: str"
output = "price: float"
"""


async def test_a_killed_daemon_asks_again_with_the_same_key(
    daemon: Daemon, client: Client, tail: Tail
) -> None:
    async with Service() as service:
        config = daemon.folder / "config.toml"
        config.write_text(AGENT.format(url=service.url), "utf-8")
        service.answer(silence, says({"price": 2.5}))
        await daemon.start()
        (await client.publish("PricerInput", {"item": "pen"})).accepted()
        await service.reached()

        await daemon.kill()
        await service.left.wait()
        await daemon.start()
        completed = await tail.until("run.completed", agent="pricer")

        first, second = service.requests
        assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"] == completed["run_id"]
        assert first.body == second.body  # an attempt that was not over is no further one
        (priced,) = await client.artifacts(type="PricerOutput")
        assert (priced["payload"], priced["run_id"]) == ({"price": 2.5}, completed["run_id"])
    await daemon.verify()
