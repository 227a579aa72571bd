"""A running daemon as the verbs see it: JSON over HTTP, and every failure as one sentence."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import click
import orjson
from yarl import URL

ANSWER_SECONDS = 30.0
"""How long an answer may take that does not wait for agents."""

CONNECT_SECONDS = 5.0

Query = Iterable[tuple[str, str]]


class DaemonError(click.ClickException):
    """The daemon refused, failed or is not there; the message is the sentence to print. Exit code 1."""


class Unreachable(DaemonError):
    """There is no daemon, or the connection to it was lost: trying again may help."""


class Daemon:
    """One daemon. Made by `connect`."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        try:
            self._base = URL(url)
        except ValueError:
            raise _no_url(url) from None
        self.url = url.rstrip("/")
        self._session = session

    async def get(self, path: str, query: Query = ()) -> Any:
        """The JSON of a GET. Raises DaemonError for any other status than 200."""
        async with self.stream("GET", path, query=query, timeout_seconds=ANSWER_SECONDS) as response:
            return await self._json(response)

    async def post(
        self,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float | None = ANSWER_SECONDS,
    ) -> Any:
        """The JSON of a POST. None as timeout waits as long as it takes. Raises DaemonError as `get`."""
        data = None if body is None else orjson.dumps(body)
        headers = {"Content-Type": "application/json", **(headers or {})}
        async with self.stream(
            "POST", path, data=data, headers=headers, timeout_seconds=timeout_seconds
        ) as response:
            return await self._json(response)

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        query: Query = (),
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float | None = None,
        silence_seconds: float | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A response whose body the caller reads. `silence_seconds` is the longest wait between two reads.

        Raises DaemonError where the daemon refuses, Unreachable also for a connection lost inside the block.
        """
        timeout = aiohttp.ClientTimeout(
            total=timeout_seconds, sock_connect=CONNECT_SECONDS, sock_read=silence_seconds
        )
        try:
            async with self._session.request(
                method,
                self._base.join(URL(path)).extend_query(list(query)),
                data=data,
                headers=headers,
                timeout=timeout,
            ) as response:
                if response.status not in (200, 204):
                    raise await self._refusal(response)
                yield response
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError):
            raise _no_url(self.url) from None
        except aiohttp.ClientConnectorError:
            raise Unreachable(f"There is no daemon at {self.url}: start one with `flockd serve`.") from None
        except TimeoutError:
            raise Unreachable(f"{self.url} did not answer in time.") from None
        except (aiohttp.ClientError, ConnectionError) as error:
            raise Unreachable(f"The connection to {self.url} was lost ({type(error).__name__}).") from None

    async def _json(self, response: aiohttp.ClientResponse) -> Any:
        try:
            return orjson.loads(await response.read())
        except orjson.JSONDecodeError:
            raise DaemonError(
                f"{self.url} does not answer as flockd does: is another program there?"
            ) from None

    async def _refusal(self, response: aiohttp.ClientResponse) -> DaemonError:
        """The `message` of the error body; 503 is worth another try."""
        try:
            sentence = orjson.loads(await response.read())["message"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            sentence = f"{self.url} answered {response.status} to {response.method} {response.url.path}."
        return Unreachable(sentence) if response.status in (502, 503, 504) else DaemonError(sentence)


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[Daemon]:
    """A client of the daemon at `url`; it connects with its first request. Raises DaemonError for no URL."""
    async with aiohttp.ClientSession() as session:
        yield Daemon(session, url)


def _no_url(text: str) -> DaemonError:
    return DaemonError(f"{text} is not a URL of a daemon: write http://HOST:PORT.")
