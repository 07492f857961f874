"""Decompress a verified body, within bounds: a small one may claim to be a very large one."""

import zlib

LARGEST = 10 * 1024 * 1024
"""Bytes that a body may have when it is decompressed."""
LARGEST_RATIO = 100
"""To one byte of the compressed body."""
_WINDOWS = {b"gzip": 16 + zlib.MAX_WBITS, b"deflate": zlib.MAX_WBITS}
"""For zlib: RFC 1952, and RFC 1950 as HTTP's `deflate` is."""


class Undecodable(Exception):
    """The body isn't encoded as its Content-Encoding says, or is beyond the bounds."""


def decompress(body: bytes, encoding: bytes) -> bytes:
    """The body without its Content-Encoding.

    Args:
        body: As it was sent.
        encoding: `gzip` or `deflate`.

    Raises:
        Undecodable: It isn't that, is cut off, has something behind it, or is a bomb.
    """
    limit = min(LARGEST, LARGEST_RATIO * len(body))
    machine = zlib.decompressobj(_WINDOWS[encoding])
    try:
        plain = machine.decompress(body, limit + 1)
    except zlib.error:
        raise Undecodable(f"it isn't {encoding.decode()}") from None
    if len(plain) > limit:
        raise Undecodable(f"it has more than {limit} bytes without its encoding")
    if not machine.eof or machine.unused_data:
        raise Undecodable(f"it isn't one whole {encoding.decode()} stream")
    return plain
