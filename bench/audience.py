"""The parent's end of the subscribers' process."""

import subprocess
import sys
from types import TracebackType
from typing import Any, Self

import orjson

from bench.client import UnexpectedAnswer
from bench.servers import PROJECT, Server
from bench.watchers import Crowd, Delivered, Replayed


class Audience:
    """The one process of all subscribers. Its crowds are known by names. Every method raises `UnexpectedAnswer`
    where whoever is measured refused, cut or lost a subscriber.
    """

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.watchers"],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        if error is not None:
            self._process.kill()
        self._process.wait()

    def open(self, name: str, crowd: Crowd) -> None:
        """Connects a crowd; back when each of it was greeted."""
        self._order("open", name=name, crowd=crowd)

    def deliver(self, name: str, wire: str, events: int, seconds: float) -> Delivered:
        """Sends a POST that makes so many events, again and again, each when the whole crowd has the last ones."""
        return Delivered(**self._order("deliver", name=name, wire=wire, events=events, seconds=seconds))

    def replay(self, crowd: Crowd, pieces: int) -> Replayed:
        """One subscriber from its start until its needle was seen so often."""
        return Replayed(**self._order("replay", crowd=crowd, pieces=pieces))

    def stall(self, name: str, server: Server, path: str) -> None:
        """Opens a stream that is never read."""
        self._order("stall", name=name, host=server.host, port=server.port, path=path)

    def close(self, name: str) -> None:
        """Hangs up on a crowd or a stalled reader."""
        self._order("close", name=name)

    def _order(self, order: str, **arguments: object) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(orjson.dumps({"order": order, **arguments}) + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise UnexpectedAnswer("the subscribers' process ended")
        answer = orjson.loads(line)
        if "failed" in answer:
            raise UnexpectedAnswer(f"{order} failed: {answer['failed']}")
        return answer["gave"]
