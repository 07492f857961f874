"""Network addresses as people write them."""

from typing import NamedTuple
from urllib.parse import urlsplit


class Address(NamedTuple):
    """A host and a port to listen on; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse(text: str) -> Address:
    """Read "host:port", "[::1]:8080" or ":8080" (every interface).

    Raises:
        ValueError: It isn't one of these.
    """
    parts = urlsplit(f"//{text}")
    if parts.port is None or parts.netloc != text or parts.username:
        raise ValueError('must be an address such as "127.0.0.1:8080" or "[::]:8080"')
    return Address(parts.hostname or "0.0.0.0", parts.port)  # noqa: S104  (":8080" asks for it)
