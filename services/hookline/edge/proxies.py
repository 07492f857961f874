"""For whom a proxy asks: the client's address, and the URL that it called.

Anybody can send `X-Forwarded-…`. So these headers are read only when the other end of the connection is in a network
that `edge.trusted_proxies` names; from anybody else they are headers like any other.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from starlette.types import Scope

from hookline.edge.schemes.incoming import Headers

_MOST_HOPS = 32
"""Proxies that one request may pass."""
_KNOWN_PEERS = 4096
_HOST = re.compile(rb"[A-Za-z0-9.-]{1,255}(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::[0-9]{1,5})?")


class Proxies:
    """The proxies that are trusted.

    Args:
        networks: `edge.trusted_proxies`.
    """

    def __init__(self, networks: Sequence[IPv4Network | IPv6Network]) -> None:
        self._networks = networks
        self.trusts = lru_cache(_KNOWN_PEERS)(self._trusts)
        """Whether an address is a trusted proxy's. Remembers: it is asked for each request."""

    def __repr__(self) -> str:
        return f"<Proxies {', '.join(map(str, self._networks)) or 'none'}>"

    def __bool__(self) -> bool:
        return bool(self._networks)

    def client(self, scope: Scope) -> str:
        """Whose request this is: the last address on its way that isn't a trusted proxy's; "" for who has none."""
        peer = scope.get("client")
        if peer is None:
            return ""
        address: str = peer[0]
        if not self._networks or not self.trusts(address):
            return address
        told = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for")
        for hop in reversed(told.rsplit(b",", _MOST_HOPS)[-_MOST_HOPS:]):
            before = _address(hop.decode("latin-1"))
            if before is None:
                break  # whoever wrote that, nobody before it can be known
            address = str(before)
            if not self.trusts(address):
                break
        return address

    def origin(self, scope: Scope) -> bytes:
        """Scheme and host of the URL that the client called, as a trusted proxy says; b"" if nobody does.

        A proxy that says no host passes the client's `Host` on. What is there twice isn't believed: one of the two may
        be the client's own.
        """
        peer = scope.get("client")
        if peer is None or not self.trusts(peer[0]):
            return b""
        headers: Headers = scope["headers"]
        scheme = _single(headers, b"x-forwarded-proto").lower()
        host = _single(headers, b"x-forwarded-host") or _single(headers, b"host")
        if scheme not in (b"https", b"http") or not _HOST.fullmatch(host):
            return b""
        return scheme + b"://" + host

    def _trusts(self, address: str) -> bool:
        known = _address(address)
        return known is not None and any(known in network for network in self._networks)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """An address; None if it is none. Some proxies send a port along: 192.0.2.1:4711, [2001:db8::1]:4711."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # A dual-stack socket shows who comes over IPv4 as ::ffff:192.0.2.1.
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _single(headers: Headers, wanted: bytes) -> bytes:
    """The value of a header that is there once, with one value; else b""."""
    values = [value for name, value in headers if name == wanted]
    return values[0] if len(values) == 1 and b"," not in values[0] else b""
