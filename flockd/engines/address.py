"""Addresses: which are public, and what is wrong with a URL that the daemon is to send to.

The daemon often stands where its network trusts it: beside databases, a cloud's metadata service, itself. So what it
sends goes to public addresses, unless its owner says that a target is their own. A URL is looked at when it is
declared (`url_problem`), for the sentence; what counts is the address that a connection is made to (`is_public`), for a
name may resolve to anything, and to something else a moment later.
"""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from yarl import URL

LIFT = "say allow_private = true if it is a service of your own"
"""The mend for a private address that is meant."""

_NOT_PUBLIC = tuple(
    map(
        IPv4Network,
        ("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
         "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
         "224.0.0.0/3"),
    )
)  # fmt: skip
"""IPv4 for special purposes (IANA's registry), with multicast and what is reserved. Not what `ipaddress` says of one,
which differs between versions of Python."""
_GLOBAL_UNICAST = IPv6Network("2000::/3")
"""All that is given out of IPv6: what else there is has another purpose, or none yet."""
_SPECIAL = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
"""In it, but of protocols (Teredo, 6to4, which carry an IPv4 address within), or for documentation."""
_NAT64 = IPv6Network("64:ff9b::/96")
"""An IPv4 address as a network that has only IPv6 writes it: what counts is that one."""


class PrivateAddress(OSError):
    """A connection that is refused because of where it would go; the message is a sentence without its subject."""

    @classmethod
    def of(cls, address: object) -> PrivateAddress:
        return cls(f"is at {address}, which is a private address: {LIFT}")


def is_public(address: str | IPv4Address | IPv6Address) -> bool:
    """Whether an address is one of the public internet, and of one host. Text that is no plain address is not."""
    if isinstance(address, str):
        try:
            address = ip_address(address)
        except ValueError:
            return False
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC)
    if address.ipv4_mapped is not None:
        return is_public(address.ipv4_mapped)
    if address in _NAT64:
        return is_public(IPv4Address(address.packed[-4:]))
    return address in _GLOBAL_UNICAST and not any(address in network for network in _SPECIAL)


def literal(host: str) -> IPv4Address | IPv6Address | None:
    """The address that a host says without being resolved, in any of the ways to write one; None for a name.

    A system takes `127.1`, `0x7f.0.0.1`, `017700000001` and `2130706433` for 127.0.0.1; and `localhost` is that by
    definition.
    """
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return IPv4Address("127.0.0.1")
    try:
        return ip_address(name)
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(name))
    except (OSError, UnicodeEncodeError):
        return None


def url_problem(url: str, *, allow_private: bool) -> str | None:
    """What is wrong with a URL to send to, as far as that can be seen without resolving its host; None if nothing is.

    A sentence without the URL, which may hold what is secret.
    """
    try:
        parsed = URL(url)
        scheme, host = parsed.scheme, parsed.host
        (parsed.raw_host or "").encode("idna")  # as resolving it does, whose errors are no OSError
    except ValueError as error:
        return f"this is no URL ({error}): write https://host/path"
    if scheme not in ("http", "https") or not host:
        return "this is no URL of a service: write https://host/path, or http://"
    if parsed.user is not None or parsed.password is not None:
        return (
            "it has a user name or a password in it, and URLs are shown: "
            'send them as headers = {Authorization = "NAME_OF_A_VARIABLE"}'
        )
    address = literal(host)
    if address is not None and not allow_private and not is_public(address):
        return f"{host} is a private address: {LIFT}"
    return None


def shown(url: str) -> str:
    """A URL as messages show it: without its query, which may hold what is secret."""
    return str(URL(url).with_query(None).with_fragment(None))
