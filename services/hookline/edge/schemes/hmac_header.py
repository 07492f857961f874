"""An HMAC of the raw body in a header, in lower-case hex."""

import hmac
from collections.abc import Sequence
from typing import Literal

from hookline.edge.schemes.scheme import Headers


class HmacHeader:
    """Verifies `HEADER: hex(HMAC(secret, body))` (RFC 2104).

    Args:
        header: Name of the header. Exactly one such line must be there: with two, which one counts would be a
            matter of taste.
        algorithm: The HMAC's hash.
        secrets: Every live secret; each is tried, so that a key can be rotated with overlap.
    """

    def __init__(
        self, *, header: str, algorithm: Literal["sha256", "sha512"], secrets: Sequence[bytes]
    ) -> None:
        self._header = header.lower().encode("ascii")
        self._algorithm = algorithm
        self._secrets = tuple(secrets)

    def __repr__(self) -> str:
        return f"<HmacHeader {self._header.decode()} {self._algorithm} secrets={len(self._secrets)}>"

    def verifies(self, headers: Headers, body: bytes) -> bool:
        """Whether the header holds the right signature. Takes as long for a near miss as for a wild guess."""
        values = [value for name, value in headers if name == self._header]
        if len(values) != 1:
            return False
        right = False
        for secret in self._secrets:
            signature = hmac.digest(secret, body, self._algorithm).hex().encode("ascii")
            # No early exit: how long this takes must not tell which secret was the right one.
            right |= hmac.compare_digest(signature, values[0])
        return right
