"""Requests that two readers may read in two ways: no request behind one is ever read, and none in it makes a row."""

from itertools import product

from hostile.case import Case, Cases, End, Reply, Row, bad, mark, problem
from hostile.senders import BEGINI, Headers
from hostile.wire_rules import TARGET, TOKEN, VALUE

_TARGET = BEGINI.path
_LENGTHS = (
    b"0", b"5", b"00", b"-0", b"-1", b"+0", b"+5", b"0x0", b"0x5", b"5.0", b"5e0", b"5,5", b"5, 5", b"0,5",
    b"5;5", b"5 5", b"'5'",
    b'"5"', b"", b"a", b"\xb2", b"5_0", b"18446744073709551616", b"99999999999999999999999",
    b"-9223372036854775808", b"5\t5",
    b"1" * 1000, b"NaN", b"5h", b"(5)",
)  # fmt: skip
_ENCODINGS = (
    b"chunked", b"Chunked", b"CHUNKED", b"identity", b"gzip", b"xchunked", b"chunkedx", b"chunked,",
    b",chunked", b"chunked, chunked",
    b"gzip, chunked", b"chunked, gzip", b"chunked, identity", b"identity, chunked", b'"chunked"',
    b"'chunked'", b"chunked;q=1",
    b"chunked foo", b"c hunked", b"", b"\xffchunked", b"cow", b"trailers, chunked", b"ch\tunked",
    b"chunked/1", b"x" * 1000,
    b"{chunked}", b"chunKed, cow", b"deflate;chunked", b"chunked\xa0",
)  # fmt: skip
_FINE_ENCODINGS = frozenset({b"chunked", b"Chunked", b"CHUNKED"})


def smuggled(name: str) -> bytes:
    """A genuine webhook that must not be read as a request of its own."""
    return BEGINI.request(BEGINI.document(mark(f"smuggled {name}"), b"0"))


def head(headers: Headers, *lines: bytes, target: bytes = _TARGET) -> bytes:
    fields = [b"Host: edge", *(b"%b: %b" % line for line in headers), *lines]
    return b"POST %b HTTP/1.1\r\n%b\r\n\r\n" % (target, b"\r\n".join(fields))


def refused(name: str, request: bytes, *codes: str, status: int = 400) -> Case:
    return Case(name, request + smuggled(name), (Reply(status, codes),), end=End.LAST)


def genuine(name: str) -> tuple[bytes, Headers, Row]:
    body = BEGINI.document(mark(name), b"0")
    return body, BEGINI.sign(body, ""), BEGINI.row(body, BEGINI.keys(mark(name)))


def lengths_and_encodings() -> Cases:
    """Every length with every encoding, both ways round, and each of them twice."""
    for (number, length), (other, encoding) in product(enumerate(_LENGTHS), enumerate(_ENCODINGS)):
        body, headers, _ = genuine("both")
        lines = [b"Content-Length: " + length, b"Transfer-Encoding: " + encoding]
        for order, both in {"length first": lines, "encoding first": lines[::-1]}.items():
            name = f"framing/{order} {number} {other}"
            content = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
            yield refused(name, head(headers, *both) + content, "bad_framing")


def lengths() -> Cases:
    """A length alone, and a pair of them."""
    for number, length in enumerate(_LENGTHS):
        for field in (b"Content-Length", b"content-length", b"CONTENT-LENGTH"):
            name = f"framing/length {field.decode()} {number}"
            body, headers, _ = genuine(name)
            if length.isdigit() and length.isascii():
                continue  # `declared` tells what comes of those
            yield refused(name, head(headers, field + b": " + length) + body, "bad_framing")
        for other, second in enumerate(_LENGTHS):
            name = f"framing/two lengths {number} {other}"
            body, headers, _ = genuine(name)
            lines = [b"Content-Length: " + length, b"Content-Length: " + second]
            yield refused(name, head(headers, *lines) + body, "bad_framing")


def declared() -> Cases:
    """Lengths that are well written and not true."""
    for missing in (1, 2, 10, 50):
        name = f"framing/{missing} bytes too few declared"
        body, headers, _ = genuine(name)
        # What is left over is no request.
        request = head(headers, b"Content-Length: %d" % (len(body) - missing)) + body
        yield Case(name, request + b"\r\n\r\n", (BEGINI.refused(), bad("bad_request")), end=End.LAST)
    for more in (1, 10, 200):
        name = f"framing/{more} bytes too many declared"
        body, headers, _ = genuine(name)
        inside = smuggled(name)
        assert len(inside) > more
        request = head(headers, b"Content-Length: %d" % (len(body) + len(inside))) + body + inside
        yield Case(name, request, (BEGINI.refused(),), end=End.HALF)
        # Nobody waits for what never comes.
        request = head(headers, b"Content-Length: %d" % (len(body) + more)) + body
        yield Case(f"{name} and missing", request, (), end=End.HALF)
    for length in (b"1048577", b"99999999", b"9" * 18, b"9" * 19):
        name = f"framing/length {length.decode()}"
        body, headers, _ = genuine(name)
        request = head(headers, b"Content-Length: " + length) + body + smuggled(name)
        yield Case(name, request, (problem(413, "body_too_large"),), end=End.LAST)
    for zeros in (1, 10, 1000):
        name = f"framing/{zeros} leading zeros"
        body, headers, row = genuine(name)
        request = head(headers, b"Content-Length: %b%d" % (b"0" * zeros, len(body))) + body
        if zeros < 16:
            yield Case(name, request, (BEGINI.accepted,), (row,))
        else:
            yield Case(name, request, (problem(413, "body_too_large"),), end=End.LAST)
    name = "framing/no length"
    _, headers, _ = genuine(name)
    yield Case(name, head(headers), (BEGINI.refused(),))


def encodings() -> Cases:
    """An encoding alone, and a pair of them."""
    for number, encoding in enumerate(_ENCODINGS):
        for field in (b"Transfer-Encoding", b"transfer-encoding"):
            name = f"framing/encoding {field.decode()} {number}"
            body, headers, row = genuine(name)
            request = head(headers, field + b": " + encoding) + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
            if encoding in _FINE_ENCODINGS:
                yield Case(name, request, (BEGINI.accepted,), (row,))
            else:
                yield refused(name, request, "bad_framing")
        for other, second in enumerate(_ENCODINGS):
            name = f"framing/two encodings {number} {other}"
            body, headers, _ = genuine(name)
            lines = [b"Transfer-Encoding: " + encoding, b"Transfer-Encoding: " + second]
            content = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
            yield refused(name, head(headers, *lines) + content, "bad_framing")
    name = "framing/chunks in HTTP/1.0"
    body, headers, _ = genuine(name)
    request = head(headers, b"Transfer-Encoding: chunked").replace(b"HTTP/1.1", b"HTTP/1.0")
    yield refused(name, request + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body), "bad_framing")


def bytes_in_heads() -> Cases:
    """Each of the 256 bytes at each place of a head that has rules of its own."""
    for byte in range(256):
        one = bytes([byte])
        yield _byte("in the query", byte, fine=byte in TARGET, target=_TARGET + b"?a=%bb" % one)
        yield _byte("in a name", byte, fine=byte in TOKEN or byte == ord(":"), lines=(b"X%bY: a" % one,))
        yield _byte("first in a name", byte, fine=byte in TOKEN, lines=(b"%bX: a" % one,))
        yield _byte("last in a name", byte, fine=byte in TOKEN or byte == ord(":"), lines=(b"X%b: a" % one,))
        yield _byte("in a value", byte, fine=byte in VALUE, lines=(b"X: a%bb" % one,))
        yield _byte("first in a value", byte, fine=byte in VALUE, lines=(b"X:%bb" % one,))
        yield _byte("last in a value", byte, fine=byte in VALUE, lines=(b"X: b%b" % one,))
        for place, old, new in (
            ("after the method", b"POST ", b"POST%b " % one),
            ("instead of the first blank", b"POST ", b"POST%b" % one),
            ("before the version", b" HTTP", b" %bHTTP" % one),
            ("instead of the second blank", b" HTTP", one + b"HTTP"),
            ("in the version", b"HTTP/1.1", b"HTTP/1%b.1" % one),
            ("instead of a version", b"HTTP/1.1", b"HTTP/" + one),
            ("behind the version", b"1.1\r\n", b"1.1%b\r\n" % one),
            ("before the request", b"POST ", one + b"POST "),
            ("in a line end", b"1.1\r\n", b"1.1\r%b\n" % one),
            ("instead of a CR", b"1.1\r\n", b"1.1%b\n" % one),
            ("instead of an LF", b"1.1\r\n", b"1.1\r" + one),
            ("instead of the last LF", b"\r\n\r\n", b"\r\n\r" + one),
        ):
            name = f"bytes/{place} {byte:#04x}"
            body, headers, row = genuine(name)
            whole = BEGINI.request(body, headers=headers)
            request = whole.replace(old, new, 1)
            if request == whole:
                yield Case(name, request, (BEGINI.accepted,), (row,))
            else:
                codes = ("bad_request", "bad_target", "unsupported_version")
                yield refused(name, request + b"\r\n\r\n", *codes)


def _byte(
    place: str,
    byte: int,
    *,
    fine: bool,
    target: bytes = _TARGET,
    lines: tuple[bytes, ...] = (),
) -> Case:
    name = f"bytes/{place} {byte:#04x}"
    body, headers, row = genuine(name)
    request = head(headers, *lines, b"Content-Length: %d" % len(body), target=target) + body
    if fine:
        return Case(name, request, (BEGINI.accepted,), (row,))
    return refused(name, request, "bad_target" if byte == ord("#") and target != _TARGET else "bad_request")
