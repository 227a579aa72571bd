"""No request reaches a private address by its number, its name, a name that changes, or a redirect, unless allowed."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from flockd.engines.http.answer import Unanswered
from flockd.engines.http.client import Client
from flockd.errors import AgentFailed

from .conftest import Agent
from .service import Service, says, text

REFUSED = "which is a private address: say allow_private = true if it is a service of your own"


class Names(AbstractResolver):
    """Every name is at these addresses; each time it is asked, at the next group of them."""

    def __init__(self, *groups: Sequence[str]) -> None:
        self.groups = list(groups)
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        group = self.groups.pop(0) if len(self.groups) > 1 else self.groups[0]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in group
        ]

    async def close(self) -> None:
        return None


@pytest.fixture
async def names() -> Names:
    return Names(["127.0.0.1"])


@pytest.fixture
async def client(names: Names) -> AsyncIterator[Client]:
    client = Client(answer_bytes=1000, resolver=names)
    yield client
    await client.close()


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1"])
async def test_a_name_that_is_at_a_private_address(
    client: Client, names: Names, service: Service, address: str
) -> None:
    names.groups = [[address]]
    with pytest.raises(Unanswered) as refused:
        await client.post(f"http://prices.example:{service.port}/", b"{}", {}, allow_private=False)
    assert str(refused.value) == f"is at {address}, {REFUSED}"
    assert service.requests == []


async def test_private_addresses_among_others_are_left_out(
    client: Client, names: Names, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    names.groups = [["127.0.0.1", "1.1.1.1", "::1"]]
    tried: list[str] = []

    async def connect(sock: socket.socket, address: tuple[str, int]) -> None:
        tried.append(address[0])
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", connect)
    with pytest.raises(Unanswered, match="cannot be reached: Connection refused"):
        await client.post(f"http://prices.example:{service.port}/", b"{}", {}, allow_private=False)
    assert tried == ["1.1.1.1"]


async def test_a_name_that_moves_to_a_private_address_after_it_was_looked_at(
    client: Client, names: Names, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was checked is what is connected to: nobody asks for the name again in between."""
    names.groups = [["1.1.1.1"], ["127.0.0.1"]]
    tried: list[str] = []

    async def connect(sock: socket.socket, address: tuple[str, int]) -> None:
        tried.append(address[0])
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", connect)
    with pytest.raises(Unanswered):
        await client.post(f"http://prices.example:{service.port}/", b"{}", {}, allow_private=False)
    assert (tried, names.asked) == (["1.1.1.1"], ["prices.example"])


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]"])
async def test_a_literal_that_was_not_looked_at_before(client: Client, service: Service, host: str) -> None:
    """As a webhook's URL of long ago would be: the connection itself is refused."""
    with pytest.raises(Unanswered) as refused:
        await client.post(f"http://{host}:{service.port}/", b"{}", {}, allow_private=False)
    assert str(refused.value).endswith(REFUSED)
    assert service.requests == []


@pytest.mark.parametrize("host", ["2130706433", "127.1", "0177.0.0.1", "0x7f.1", "localhost"])
async def test_other_ways_to_write_one(service: Service, host: str) -> None:
    client = Client(answer_bytes=1000)  # with the resolver of the system
    with pytest.raises(Unanswered):
        await client.post(f"http://{host}:{service.port}/", b"{}", {}, allow_private=False)
    await client.close()
    assert service.requests == []


async def test_a_name_of_this_machine_by_the_system_itself(service: Service) -> None:
    client = Client(answer_bytes=1000)
    url = f"http://localhost:{service.port}/"
    with pytest.raises(Unanswered, match="is a private address"):
        await client.post(url, b"{}", {}, allow_private=False)
    assert (await client.post(url, b"{}", {}, allow_private=True)).status == 204
    with pytest.raises(
        Unanswered, match="is a private address"
    ):  # what is open for others is not for this one
        await client.post(url, b"{}", {}, allow_private=False)
    await client.close()
    assert len(service.requests) == 1


async def test_a_name_that_is_unknown() -> None:
    client = Client(answer_bytes=1000)
    with pytest.raises(Unanswered, match="cannot be reached: its name is not known"):
        await client.post("http://prices.invalid/", b"{}", {}, allow_private=False)
    await client.close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(agent: Agent, service: Service, status: int) -> None:
    async with Service() as inside:
        inside.answer(says({"secret": 1}))
        service.answer(text("", status, Location=inside.url))
        with pytest.raises(AgentFailed) as failed:
            await agent.run()
        assert f"a redirect to {inside.url}, and none is followed: declare the url" in failed.value.message
        assert inside.requests == []
