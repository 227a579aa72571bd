"""Those who publish while others watch: over HTTP one by one and in bulk, and over WebSocket, through every kill."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
import uuid
from collections.abc import Awaitable, Callable, Sequence

import aiohttp

from tests.process.client import Client, CutError

from .filters import PARTITIONS, TAGS, Json

_TYPES = ("A", "A", "A", "A", "Word", "Word", "Many", "Doomed")
_RARE = ("Stubborn", "Slow")
_PADDINGS = (0, 0, 0, 0, 200, 8_000, 20_000)


class Progress:
    """How far the publishing has come, and who waits for how much of it."""

    def __init__(self, publications: int, lookback: int) -> None:
        self.publications = publications
        """How many there are to be in all."""
        self.lookback = lookback
        """How many events before the head a newcomer may begin at most."""
        self.acknowledged = 0
        self.head = 0
        """The largest seq that was acknowledged."""
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    @property
    def is_over(self) -> bool:
        """Whether all of them have been acknowledged."""
        return self.acknowledged >= self.publications

    def acknowledge(self, seqs: Sequence[int]) -> None:
        """So many publications are on the board, under these seqs."""
        self.acknowledged += len(seqs)
        self.head = max(self.head, *seqs)
        while self._waiting and self._waiting[0][0] <= self.acknowledged:
            _, _, waiter = heapq.heappop(self._waiting)
            if not waiter.done():
                waiter.set_result(None)

    async def until(self, acknowledged: int) -> None:
        """Wait until so many publications have been acknowledged, or all of them."""
        wanted = min(acknowledged, self.publications)
        if self.acknowledged < wanted:
            waiter = asyncio.get_running_loop().create_future()
            heapq.heappush(self._waiting, (wanted, next(self._order), waiter))
            await waiter


class Publishers:
    """Publish until `progress` says that it is enough. What a kill cut off is neither counted nor repeated."""

    def __init__(
        self,
        client: Client,
        progress: Progress,
        seed: int,
        *,
        room: Callable[[], Awaitable[None]],
        bulk: int,
        by_socket: bool,
    ) -> None:
        """`room` is waited for before each publication. `bulk` is the size of a bulk; `by_socket`: the last
        publisher speaks WebSocket."""
        self.client = client
        self.room = room
        self.progress = progress
        self.seed = seed
        self.bulk = bulk
        self.by_socket = by_socket
        chance = random.Random(f"{seed}/correlations")
        self.correlation_ids = [
            str(uuid.UUID(int=chance.getrandbits(128), version=4))
            for _ in range(progress.publications // 40 + 1)
        ]
        """Of workflows that are published into again and again."""
        self.cut = 0
        """Requests that a kill left without an answer."""
        self._numbers = itertools.count(1)

    async def run(self, count: int) -> None:
        """So many publishers, to the end."""
        async with asyncio.TaskGroup() as group:
            for index in range(count):
                chance = random.Random(f"{self.seed}/publisher {index}")
                by_socket = self.by_socket and index == count - 1
                work = self._over_socket(chance) if by_socket else self._over_http(chance)
                group.create_task(work, name=f"publisher {index}")

    async def _over_http(self, chance: random.Random) -> None:
        while not self.progress.is_over:
            await self.room()
            await self.client.daemon.up.wait()
            items = [self._item(chance) for _ in range(chance.choice((1, 1, self.bulk)))]
            try:
                if len(items) == 1:
                    answer = await self.client.request("POST", "/api/v1/artifacts", items[0])
                else:
                    answer = await self.client.publish_bulk(items)
            except CutError:
                self.cut += 1
                continue
            told = answer.accepted()
            self.progress.acknowledge([item["seq"] for item in told.get("items", [told])])

    async def _over_socket(self, chance: random.Random) -> None:
        async with aiohttp.ClientSession() as session:
            while not self.progress.is_over:
                await self.client.daemon.up.wait()
                try:
                    async with session.ws_connect(f"{self.client.daemon.url}/api/v1/ws") as socket:
                        await self._talk(socket, chance)
                except (aiohttp.ClientError, ConnectionError, EOFError):
                    self.cut += 1

    async def _talk(self, socket: aiohttp.ClientWebSocketResponse, chance: random.Random) -> None:
        while not self.progress.is_over:
            await self.room()
            item = self._item(chance)
            id = f"p{item['payload']['n']}"
            await socket.send_json({"action": "publish", "id": id, "artifact": item})
            message = await socket.receive()
            if message.type is not aiohttp.WSMsgType.TEXT:
                raise EOFError
            answer = message.json()
            assert (answer["type"], answer["id"]) == ("ack", id), answer
            self.progress.acknowledge([answer["seq"]])

    def _item(self, chance: random.Random) -> Json:
        n = next(self._numbers)
        type = chance.choice(_TYPES if chance.random() < 0.97 else _RARE)
        more: dict[str, Json] = {
            "A": {"padding": "x" * chance.choice(_PADDINGS)},
            "Word": {"text": f"word {n}"},
            "Many": {"count": chance.randint(0, 4)},
            "Stubborn": {"failures": 1},
            "Slow": {"seconds": 0.1},
        }
        item: Json = {
            "type": type,
            "payload": {"n": n} | more.get(type, {}),
            "tags": chance.sample(TAGS, k=chance.choice((0, 0, 1, 2))),
        }
        if chance.random() < 0.5:
            item["partition_key"] = chance.choice(PARTITIONS)
        if chance.random() < 0.3:
            item["correlation_id"] = chance.choice(self.correlation_ids)
        return item
