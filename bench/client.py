"""The parent's end of the client process, and plain requests for everything that is not timed."""

import subprocess
import sys
from http.client import HTTPConnection
from types import TracebackType
from typing import Any, Self

import orjson

from bench.load import Job, Outcome
from bench.servers import PROJECT, Server


class UnexpectedAnswer(Exception):
    """Whoever was measured answered something else than it should; a rate of errors is not a result."""


class Client:
    """The one process that all load comes from."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.load"], cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
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

    def run(self, job: Job) -> Outcome:
        """Runs a job. Raises `UnexpectedAnswer` unless every answer was the expected one."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(orjson.dumps(job) + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise UnexpectedAnswer("the client process ended")
        outcome = Outcome(**orjson.loads(line))
        if outcome.failures:
            counted = f"{outcome.failures} of {outcome.requests} answers were wrong"
            raise UnexpectedAnswer(f"{counted}, the first: {outcome.first_failure}")
        return outcome


def post(server: Server, path: str, body: object) -> str:
    """A POST as it goes over the wire."""
    content = orjson.dumps(body).decode()
    return (
        f"POST {path} HTTP/1.1\r\nHost: {server.host}:{server.port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content.encode())}\r\n\r\n{content}"
    )


def get(server: Server, path: str) -> str:
    """A GET as it goes over the wire."""
    return f"GET {path} HTTP/1.1\r\nHost: {server.host}:{server.port}\r\n\r\n"


def ask(server: Server, method: str, path: str, body: object = None, timeout_seconds: float = 120.0) -> Any:
    """One untimed request; gives the parsed answer, raises `UnexpectedAnswer` if it is not a 200."""
    connection = HTTPConnection(server.host, server.port, timeout=timeout_seconds)
    try:
        content = None if body is None else orjson.dumps(body)
        connection.request(method, path, content, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise UnexpectedAnswer(
            f"{method} {path} gave {answer.status}: {text[:2_000].decode(errors='replace')}"
        )
    return orjson.loads(text)
