"""People who answer what runs ask, each question in one of several ways, and one who pauses and resumes."""

import asyncio
import random
import uuid
from dataclasses import dataclass

from .client import Answer, Client, CutError, Json
from .daemon import Daemon
from .publishers import Load
from .tail import Event, Tail

AGENTS = (
    "second",
    "hasher",
    "pairer",
    "packer",
    "weigher",
    "spender",
    "genie",
    "watchman",
    "runner",
    "sweeper",
)
"""Those that are paused at times."""
RECENT = 20
"""Requests whose workflows may still be at work."""


class Listener(Tail):
    """A tail that hands on the ids of questions as they are asked."""

    def __init__(self, daemon: Daemon) -> None:
        super().__init__(daemon)
        self.asked: asyncio.Queue[str] = asyncio.Queue()

    def _take(self, kind: str, event: Event) -> None:
        super()._take(kind, event)
        if kind == "question.asked":
            self.asked.put_nowait(event["data"]["question_id"])


@dataclass(frozen=True)
class Attempt:
    """One request that answered a question, and what came back; no `answered` where the connection was cut."""

    value: int
    key: str | None
    answered: Answer | None


class People:
    """Who deals with the runs of one test while it lasts."""

    def __init__(self, client: Client, listener: Listener, load: Load, seed: int) -> None:
        self.client = client
        self.listener = listener
        self.load = load
        self.attempts: dict[str, list[Attempt]] = {}
        """By question."""
        self.pauses = 0
        self._seed = seed

    async def answerer(self, index: int) -> None:
        """Answer one question after the other, each at least twice; until cancelled."""
        choices = random.Random(f"{self._seed}/answerer {index}")
        while True:
            question_id = await self.listener.asked.get()
            self.attempts[question_id] = []
            await asyncio.sleep(choices.random() * 0.3)  # the time itself is what is tried
            if choices.random() < 0.5:
                key = str(uuid.UUID(int=choices.getrandbits(128), version=4))
                value = choices.getrandbits(50)
                for _ in range(2):
                    await self._until_answered(question_id, value, key)
            else:
                values = [choices.getrandbits(50) for _ in range(2)]
                await asyncio.gather(*(self._answer(question_id, value, None) for value in values))
                await self._until_answered(question_id, choices.getrandbits(50), None)

    async def pauser(self, index: int) -> None:
        """Pause an agent or a workflow, let some time pass, and resume it; until the load stops."""
        choices = random.Random(f"{self._seed}/pauser {index}")
        while not self.load.stopping:
            path = self._something(choices)
            if path is not None and await self._surely(f"{path}/pause") == 200:
                self.pauses += 1
                await asyncio.sleep(choices.random() * 0.5)  # the time itself is what is tried
                assert await self._surely(f"{path}/resume") == 200
            await asyncio.sleep(choices.random() * 0.1)

    def _something(self, choices: random.Random) -> str | None:
        if choices.random() < 0.5:
            return f"/api/v1/agents/{choices.choice(AGENTS)}"
        recent = [one for one in self.load.requests[-RECENT:] if one.workflow is not None]
        batches = [
            request for request in recent if request.how == "batch"
        ]  # they last, and have much that may start
        among = batches if batches and choices.random() < 0.7 else recent
        return f"/api/v1/correlations/{choices.choice(among).workflow}" if among else None

    async def _surely(self, path: str) -> int:
        """The status of a POST, repeated until it is answered."""
        while True:
            await self.client.daemon.up.wait()
            try:
                answer = await self.client.request("POST", path)
            except CutError:
                continue
            assert answer.status in {200, 404}, f"{path}: {answer.status} {answer.body}"
            return answer.status

    async def _until_answered(self, question_id: str, value: int, key: str | None) -> None:
        while not await self._answer(question_id, value, key):
            pass

    async def _answer(self, question_id: str, value: int, key: str | None) -> bool:
        """Answer once; tells whether anything came back."""
        await self.client.daemon.up.wait()
        body: Json = {"answer": value}
        try:
            answer = await self.client.request(
                "POST", f"/api/v1/questions/{question_id}/answer", body, key=key
            )
        except CutError:
            self.attempts[question_id].append(Attempt(value, key, None))
            return False
        self.attempts[question_id].append(Attempt(value, key, answer))
        assert answer.status in {200, 409}, f"{question_id}: {answer.status} {answer.body}"
        return True
