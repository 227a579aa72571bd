"""The client process: `python -m bench.load` reads one job per line and answers each with one line.

It speaks just enough HTTP/1.1 over raw keep-alive connections that its own cost is small, and the same for
whoever is measured: requests come encoded, and of an answer it looks at the status, the length and one piece
of text.
"""

import asyncio
import gc
import re
import sys
import time
from dataclasses import dataclass, field
from typing import cast

import orjson
import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True)
class Job:
    """Closed-loop load: each client sends its next request when it has the answer to the last one.

    `wire` holds whole requests, sent in turn. The job ends after `seconds`, or after `count` requests.
    Every answer must be a 200 that contains `expect`.
    """

    host: str
    port: int
    wire: tuple[str, ...]
    clients: int
    seconds: float = 0.0
    count: int = 0
    expect: str = ""
    stamps: bool = False


@dataclass(frozen=True)
class Outcome:
    """What a job gave. Times of one request are from the send to the whole answer.

    `sent_ns` and `answered_ns` (`time.monotonic_ns`, in the order of the answers) only if asked for.
    """

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    answer_bytes: int
    failures: int
    first_failure: str | None
    sent_ns: list[int] = field(default_factory=list)
    answered_ns: list[int] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


class Load:
    """One running job: what its connections share."""

    def __init__(self, job: Job) -> None:
        self.expect = job.expect.encode()
        self.sent_ns: list[int] = []
        self.answered_ns: list[int] = []
        self.answer_bytes = 0
        self.failures = 0
        self.first_failure: str | None = None
        self._job = job
        self._wire = [request.encode() for request in job.wire]
        self._given = 0
        self._until_ns = 0

    def next_request(self) -> bytes | None:
        """The next request to send, or None when the job is over."""
        over = self._given >= self._job.count if self._job.count else time.monotonic_ns() >= self._until_ns
        if over:
            return None
        request = self._wire[self._given % len(self._wire)]
        self._given += 1
        return request

    def fail(self, answer: str) -> None:
        """Counts an answer that was not the expected one."""
        self.failures += 1
        self.first_failure = self.first_failure or answer

    async def run(self) -> Outcome:
        """Runs the job to its end."""
        loop = asyncio.get_running_loop()
        job = self._job
        connections = [
            (await loop.create_connection(lambda: Connection(self, loop), job.host, job.port))[1]
            for _ in range(job.clients)
        ]
        began_ns = time.monotonic_ns()
        self._until_ns = began_ns + int(job.seconds * 1e9)
        for connection in connections:
            connection.send_next()
        await asyncio.gather(*(connection.ended for connection in connections))
        for connection in connections:
            connection.close()
        return self._outcome(began_ns)

    def _outcome(self, began_ns: int) -> Outcome:
        taken = sorted(end - start for start, end in zip(self.sent_ns, self.answered_ns, strict=True))
        stamps = self._job.stamps
        return Outcome(
            requests=len(taken),
            seconds=(max(self.answered_ns, default=began_ns) - began_ns) / 1e9,
            p50_ms=percentile(taken, 0.50) / 1e6,
            p99_ms=percentile(taken, 0.99) / 1e6,
            answer_bytes=self.answer_bytes,
            failures=self.failures,
            first_failure=self.first_failure,
            sent_ns=self.sent_ns if stamps else [],
            answered_ns=self.answered_ns if stamps else [],
        )


class Connection(asyncio.Protocol):
    """One keep-alive connection with one request under way at a time."""

    def __init__(self, load: Load, loop: asyncio.AbstractEventLoop) -> None:
        self.ended: asyncio.Future[None] = loop.create_future()
        self._load = load
        self._buffer = bytearray()
        self._answer_length = 0
        self._body_at = 0
        self._sent_ns = 0
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self._load.fail(f"the connection was lost: {exc or 'closed by the server'}")
            self.ended.set_result(None)

    def send_next(self) -> None:
        """Sends the next request, or ends this connection's part of the job."""
        request = self._load.next_request()
        if request is None:
            self.ended.set_result(None)
            return
        self._sent_ns = time.monotonic_ns()
        self._transport.write(request)

    def close(self) -> None:
        """Closes the socket."""
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._answer_length and not self._read_head():
            return
        if len(self._buffer) >= self._answer_length:
            self._answered()

    def _read_head(self) -> bool:
        """Whether the head is there; if so, how long the whole answer will be is known."""
        head_end = self._buffer.find(_HEAD_END)
        if head_end < 0:
            return False
        length = _LENGTH.search(self._buffer, 0, head_end)
        if length is None:
            self._load.fail(f"no Content-Length: {self._buffer[:head_end].decode(errors='replace')}")
            self.ended.set_result(None)
            self._transport.abort()
            return False
        self._body_at = head_end + len(_HEAD_END)
        self._answer_length = self._body_at + int(length.group(1))
        return True

    def _answered(self) -> None:
        load = self._load
        load.sent_ns.append(self._sent_ns)
        load.answered_ns.append(time.monotonic_ns())
        load.answer_bytes = self._answer_length - self._body_at
        if self._buffer[9:12] != b"200" or load.expect not in self._buffer:
            load.fail(self._buffer.decode(errors="replace")[:2_000])
        self._buffer.clear()
        self._answer_length = 0
        self.send_next()


def percentile(ordered: list[int], share: float) -> int:
    """The value below which that share of the ordered values lies; 0 of nothing."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0


async def serve() -> None:
    """Runs jobs until the parent closes standard input."""
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.buffer.readline):
        gc.collect()
        gc.disable()
        outcome = await Load(Job(**orjson.loads(line))).run()
        gc.enable()
        sys.stdout.buffer.write(orjson.dumps(outcome) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    uvloop.run(serve())
