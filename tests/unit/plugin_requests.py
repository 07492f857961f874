"""Requests for plug-ins: genuine ones altered bit by bit, and bodies that no provider sends."""

from collections.abc import Iterator

from hookline.edge.schemes.incoming import Incoming

NOW = 1_790_000_000.0
"""2026-09-21, 14:13:20 UTC."""

HOSTILE_BODIES: dict[str, bytes] = {
    "nothing": b"",
    "NUL": b"\0",
    "no UTF-8": b"\xff\xfe\x80",
    "byte order mark": b"\xef\xbb\xbf{}",
    "lone surrogate": rb'{"a":"\ud800"}',
    "lone surrogate in bytes": b'{"a":"\xed\xa0\x80"}',
    "depth 10,000": b"[" * 10_000,
    "closed depth 10,000": b"[" * 10_000 + b"]" * 10_000,
    "depth 100,000": b"[" * 100_000,
    "closed depth 100,000": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "100,000 digits": b'{"a":' + b"9" * 100_000 + b"}",
    "100,000 digits of a fraction": b'{"a":0.' + b"9" * 100_000 + b"e999999}",
    "NaN": b'{"a":NaN}',
    "names twice": b'{"signature":{},"signature":{},"notificationItems":[],"notificationItems":[]}',
    "null": b"null",
    "array": b"[]",
    "number": b"1",
    "text": b'"x"',
    "unterminated": b'{"a":"',
    "100,000 fields": b"a=1&" * 100_000,
    "100,000 empty fields": b"&" * 100_000,
    "100,000 equals signs": b"=" * 100_000,
    "a field of a million": b"a=" + b"%41" * 350_000,
    "broken escapes": b"a=%&b=%4&c=%zz&%",
    "values of wrong types": (
        b'{"signature":[1],"notificationItems":[null,1,"x",[],{"NotificationRequestItem":[]},'
        b'{"NotificationRequestItem":{"additionalData":{"hmacSignature":1}}}]}'
    ),
    "a million commas": b"[" + b"0," * 500_000 + b"0]",
}


def flipped(text: bytes) -> Iterator[bytes]:
    """The text with one bit changed, for every bit."""
    for place, byte in enumerate(text):
        for bit in range(8):
            yield text[:place] + bytes([byte ^ (1 << bit)]) + text[place + 1 :]


def with_header(incoming: Incoming, name: bytes, *values: bytes) -> Incoming:
    """The request with these lines of a header instead of what it had."""
    others = [line for line in incoming.headers if line[0] != name]
    return incoming._replace(headers=[*others, *((name, value) for value in values)])


def without_one_bit(
    incoming: Incoming, *, headers: tuple[bytes, ...], url: bool = False
) -> Iterator[Incoming]:
    """The request with one bit changed in any of these headers, its body or its URL."""
    for body in flipped(incoming.body):
        yield incoming._replace(body=body)
    for name in headers:
        value = incoming.header(name)
        assert value is not None
        yield from (with_header(incoming, name, altered) for altered in flipped(value))
    if url:
        for altered in flipped(incoming.url.encode()):
            yield incoming._replace(url=altered.decode("latin-1"))
