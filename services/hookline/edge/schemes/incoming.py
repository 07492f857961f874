"""A request as its sender signed it."""

from collections.abc import Sequence
from typing import NamedTuple

Headers = Sequence[tuple[bytes, bytes]]
"""Header lines as ASGI gives them: lower-case name and value, in order of arrival."""


class Incoming(NamedTuple):
    """One request, byte for byte: all that a signature may cover."""

    method: str
    """In upper case."""
    url: str
    """The public URL that the provider calls, with its query: what stands in the provider's settings, not what a
    proxy made of it."""
    headers: Headers
    body: bytes
    """As on the wire: neither decoded nor decompressed."""
    now: float
    """Unix time in seconds by which a signed timestamp is judged: when the request was received."""

    @property
    def query(self) -> str:
        """What stands behind the `?`, still percent-encoded."""
        return self.url.partition("#")[0].partition("?")[2]

    def header(self, name: bytes) -> bytes | None:
        """The value of a header; None unless there is exactly one such line.

        With two, which one counts would be a matter of taste.
        """
        found = None
        for other, value in self.headers:
            if other == name:
                if found is not None:
                    return None
                found = value
        return found
