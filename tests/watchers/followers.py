"""Those who publish one thing and follow its workflow from its beginning to its end, whatever happens meanwhile."""

from __future__ import annotations

import random
import uuid
from contextlib import aclosing

import aiohttp

from tests.process.client import Client, CutError
from tests.process.daemon import Daemon

from .publishers import Progress
from .transports import items
from .watch import Bodies, Watch

_PATIENCE = (1, 2, 5, 100)
"""After how many items a follower leaves by itself, to come back with its cursor."""


class Follower:
    """One workflow, followed over `/api/v1/correlations/{id}/events`, which ends by itself."""

    def __init__(
        self,
        name: str,
        accept: str,
        client: Client,
        progress: Progress,
        bodies: Bodies,
        chance: random.Random,
    ) -> None:
        self.correlation_id = str(uuid.UUID(int=chance.getrandbits(128), version=4))
        self.watch = Watch(name, (("correlation_id", self.correlation_id),), bodies)
        self.accept = accept
        self._client = client
        self._progress = progress
        self._chance = chance

    async def publish(self) -> None:
        """Publish what begins the workflow, at a random moment: as often as it takes, and once by its key."""
        await self._progress.until(self._chance.randrange(self._progress.publications))
        while True:
            await self._daemon.up.wait()
            try:
                answer = await self._client.publish(
                    "A", {"n": 0}, key=self.correlation_id, correlation_id=self.correlation_id
                )
            except CutError:
                continue
            answer.accepted()
            return

    async def follow(self) -> None:
        """Begin before there is anything to follow; done when the daemon says that there is no more."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session:
            more = True
            while more:
                await self._daemon.up.wait()
                try:
                    more = await self._connect(session)
                except (aiohttp.ClientError, ConnectionError) as error:
                    self.watch.tell(f"is cut at {self.watch.cursor} ({type(error).__name__})")

    @property
    def _daemon(self) -> Daemon:
        return self._client.daemon

    async def _connect(self, session: aiohttp.ClientSession) -> bool:
        watch = self.watch
        headers = {"Accept": self.accept}
        if watch.cursor is not None:
            headers["Last-Event-ID"] = str(watch.cursor)
        patience = self._chance.choice(_PATIENCE)
        url = f"{self._daemon.url}/api/v1/correlations/{self.correlation_id}/events?wait=true"
        async with session.get(url, headers=headers) as response:
            if response.status == 204:
                return False
            assert response.status == 200, f"{url}: {response.status} {await response.text()}"
            watch.connected()
            async with aclosing(items(response)) as said:
                async for item in said:
                    watch.take(item)
                    patience -= 1
                    if patience <= 0:
                        watch.tell(f"leaves at {watch.cursor}")
                        response.close()
                        break
        return True
