"""Publishers that never stop before they are told to, and remember every request and what they were told."""

import asyncio
import itertools
import random
import uuid
from dataclasses import dataclass, field

from .client import Answer, Client, CutError, Json

KINDS = ("A", "A", "Word", "Many", "Slow", "Doomed", "Stubborn")
SCHEDULED = (
    "Left",
    "Left",
    "Right",
    "Right",
    "Parcel",
    "Parcel",
    "Spend",
    "Wish",
    "Later",
    "Errand",
    "Errand",
)
KEYS = 5
"""Of the halves that make pairs: so few that most find a partner, and so many that some do not."""
BATCH_MOST = 8
"""Items of one batch."""


@dataclass
class Request:
    """One request: the items (one, or many in bulk or as a batch) and what the publisher was told about them."""

    items: list[Json]
    key: str | None
    how: str
    answers: list[Answer] = field(default_factory=list)
    cut: bool = False

    @property
    def numbers(self) -> list[int]:
        return [item["payload"]["n"] for item in self.items]

    @property
    def workflow(self) -> str | None:
        """A workflow that it began, as far as the publisher knows of one."""
        if self.how != "batch":
            return str(self.items[0]["correlation_id"])
        return str(self.answers[0].body["batch_id"]) if self.answers else None


class Load:
    """The publishers of one test, and all of their requests."""

    def __init__(self, client: Client, seed: int) -> None:
        self.client = client
        self.requests: list[Request] = []
        self.stopping = False
        self.acknowledged = 0
        self._numbers = itertools.count(1)
        self._changed = asyncio.Condition()
        self._seed = seed

    async def acknowledgements(self, more: int) -> None:
        """Wait until this many more requests have been acknowledged."""
        goal = self.acknowledged + more
        async with asyncio.timeout(60), self._changed:
            await self._changed.wait_for(lambda: self.acknowledged >= goal)

    async def publisher(self, index: int) -> None:
        """Publish without pause. A keyed request is repeated until it is answered; any other is sent once."""
        choices = random.Random(f"{self._seed}/{index}")
        while not self.stopping:
            request = self._next(choices)
            self.requests.append(request)
            await self._send(request)
            while request.key is not None and not request.answers:
                await self._send(request)
            if request.key is not None and choices.random() < 0.2:
                await self._send(request)

    async def _send(self, request: Request) -> None:
        await self.client.daemon.up.wait()
        try:
            answer = await self._sent(request)
        except CutError:
            request.cut = True
            return
        assert answer.status == 200, f"{request}: {answer.status} {answer.body}"
        request.answers.append(answer)
        async with self._changed:
            self.acknowledged += 1
            self._changed.notify_all()

    async def _sent(self, request: Request) -> Answer:
        if request.how == "bulk":
            return await self.client.publish_bulk(request.items, key=request.key)
        if request.how == "batch":
            inputs = [item["payload"] for item in request.items]
            body = {"agent_name": "weigher", "batch_inputs": inputs, "max_workers": 3}
            return await self.client.request("POST", "/run/batch", body, key=request.key)
        send = self.client.publish_sync if request.how == "sync" else self.client.publish
        item = dict(request.items[0])
        return await send(item.pop("type"), item.pop("payload"), key=request.key, **item)

    def _next(self, choices: random.Random) -> Request:
        key = str(uuid.UUID(int=choices.getrandbits(128), version=4)) if choices.random() < 0.5 else None
        if choices.random() < 0.08:
            size = choices.randint(1, BATCH_MOST)
            items = [{"type": "Weight", "payload": {"n": next(self._numbers)}} for _ in range(size)]
            return Request(items, key, "batch")
        size = choices.choice((1, 1, 1, 1, 2, 5))
        how = choices.choice(("async", "async", "sync")) if size == 1 else "bulk"
        return Request([self._item(choices) for _ in range(size)], key, how)

    def _item(self, choices: random.Random) -> Json:
        n = next(self._numbers)
        kind = choices.choice(KINDS + SCHEDULED)
        payload: dict[str, Json] = {
            "Word": {"text": f"word {n}"},
            "Many": {"count": choices.randint(0, 5)},
            "Slow": {"seconds": choices.choice((0.0, 0.05, 0.3))},
            "Stubborn": {"failures": 1},
            "Left": {"key": f"key {choices.randrange(KEYS)}"},
            "Right": {"key": f"key {choices.randrange(KEYS)}"},
            "Errand": {"customer": f"customer {choices.randrange(2)}"},
            "Spend": {"failures": choices.randint(0, 2)},
            "Wish": {"seconds": choices.choice((None, 0.5))},
        }
        correlation_id = str(uuid.UUID(int=choices.getrandbits(128), version=4))
        item = {"type": kind, "payload": {"n": n} | payload.get(kind, {}), "correlation_id": correlation_id}
        if kind == "Later":
            item["visibility"] = {"kind": "After", "ttl": choices.choice((0.1, 0.5, 1.5))}
        return item
