"""Sending to services of others: one bounded request and its bounded answer, never to where it must not go."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Mapping
from io import BytesIO

from aiohttp import (
    ClientConnectorDNSError,
    ClientError,
    ClientOSError,
    ClientPayloadError,
    ClientResponseError,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    ServerDisconnectedError,
    StreamReader,
    TCPConnector,
    ThreadedResolver,
)
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_exceptions import ClientConnectorError

from flockd.engines.address import PrivateAddress, is_public
from flockd.engines.http.answer import Answer, Unanswered

CONNECT_SECONDS = 10.0
"""Finding the host and connecting to it; a host that does not answer must not take a whole run's time."""
KEEP_SECONDS = 2.0
"""How long a connection stays open for the next request: shorter than any server's own limit, for a request that
meets the server's closing is lost."""
REFUSAL_BYTES = 16_384
"""What is read of an answer that is an error."""


class Client:
    """Requests to any number of services. No cookies, no redirects, and no proxies of the environment."""

    def __init__(self, *, answer_bytes: int, resolver: AbstractResolver | None = None) -> None:
        """`answer_bytes` bounds each answer, uncompressed. `resolver`: other than the system's."""
        self._answer_bytes = answer_bytes
        self._resolver = resolver
        self._sessions: dict[bool, ClientSession] = {}

    async def close(self) -> None:
        """Close all connections."""
        sessions = list(self._sessions.values())
        self._sessions.clear()
        for session in sessions:
            await session.close()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], *, allow_private: bool) -> Answer:
        """Send a JSON body and read the answer. No time limit but for connecting: cancelling closes the connection.

        Raises Unanswered.
        """
        try:
            async with self._session(allow_private).post(
                url,
                data=BytesIO(body),  # bytes of this size might hold up the loop, aiohttp says
                headers={"Content-Type": "application/json", "Accept": "application/json", **headers},
                allow_redirects=False,
            ) as response:
                return Answer(
                    response.status,
                    (response.reason or "")[:100],
                    response.content_type,
                    response.headers.get("Retry-After"),
                    response.headers.get("Location"),
                    await self._read(response.content, response.ok),
                )
        except PrivateAddress as refused:
            raise Unanswered(str(refused)) from None
        except ClientConnectorDNSError as error:
            raise Unanswered(_unresolved(error.os_error)) from None
        except ClientConnectorError as error:
            raise Unanswered(_unconnected(error.os_error)) from None
        except TimeoutError:
            raise Unanswered(f"cannot be reached: no connection within {CONNECT_SECONDS:g} s") from None
        except (ServerDisconnectedError, ClientOSError):
            raise Unanswered("closed the connection before it had answered") from None
        except ClientPayloadError:
            raise Unanswered("broke off in the middle of its answer") from None
        except ClientError as error:  # its text would have the whole URL
            said = error.message if isinstance(error, ClientResponseError) else str(error)
            raise Unanswered(
                f"did not answer as HTTP asks: {type(error).__name__}: {' '.join(said.split())}"
            ) from None

    async def _read(self, content: StreamReader, ok: bool) -> bytes:
        """The body, while it is within its bound. Raises Unanswered."""
        parts: list[bytes] = []
        size, most = 0, self._answer_bytes if ok else REFUSAL_BYTES
        async for part in content.iter_any():
            parts.append(part)
            size += len(part)
            if size > most:
                if ok:
                    said = f"answered with more than {most} bytes; limits.output_bytes is {most}"
                    raise Unanswered(said, is_final=True)
                break
        return b"".join(parts)[:most]

    def _session(self, allow_private: bool) -> ClientSession:
        session = self._sessions.get(allow_private)
        if session is None:
            resolver = self._resolver or ThreadedResolver()
            session = ClientSession(
                connector=TCPConnector(
                    resolver=resolver if allow_private else _Guard(resolver),
                    socket_factory=None if allow_private else _guarded_socket,
                    limit=0,  # runs are bounded, and each has at most one request
                    keepalive_timeout=KEEP_SECONDS,
                ),
                cookie_jar=DummyCookieJar(),
                timeout=ClientTimeout(total=None, connect=CONNECT_SECONDS),
                trust_env=False,
            )
            self._sessions[allow_private] = session
        return session


class _Guard(AbstractResolver):
    """Lets only public addresses out of another resolver."""

    def __init__(self, resolver: AbstractResolver) -> None:
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Raises PrivateAddress where a name has no other address."""
        found = await self._resolver.resolve(host, port, family)
        public = [one for one in found if is_public(one["host"])]
        if found and not public:
            raise PrivateAddress.of(found[0]["host"])
        return public

    async def close(self) -> None:
        await self._resolver.close()


def _guarded_socket(info: tuple[int, int, int, str, tuple[object, ...]]) -> socket.socket:
    """The last door: what an address literal, which no resolver sees, connects to. Raises PrivateAddress."""
    family, kind, protocol, _name, address = info
    if not is_public(str(address[0])):
        raise PrivateAddress.of(address[0])
    made = socket.socket(family, kind, protocol)
    made.setblocking(False)
    return made


def _unresolved(error: OSError) -> str:
    if isinstance(error, PrivateAddress):
        return str(error)
    return f"cannot be reached: its name is not known ({error.strerror or error})"


def _unconnected(error: OSError) -> str:
    if isinstance(error, PrivateAddress):
        return str(error)
    if isinstance(error, ssl.SSLError):
        said = getattr(error, "verify_message", "") or error.reason or error
        return f"cannot be reached: no TLS with it ({said})"
    if error.errno is None:
        return f"cannot be reached: {error}"
    return f"cannot be reached: {os.strerror(abs(error.errno))}"  # the loop words it in its own way, with an address
