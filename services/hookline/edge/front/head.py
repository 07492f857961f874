"""One request's head, read so strictly that nobody can read it in another way.

Two readers of the same bytes that don't agree where a request ends are how requests are smuggled past a proxy. So
what RFC 9112 lets a server tolerate is refused here. The parser is llhttp, which refuses most of it by itself:
line ends that aren't CRLF, folded lines, control characters, space around names. It is given one head at a time and
nothing else, so it can't lose its place.
"""

import re
from collections import Counter

import httptools

from hookline.config import Edge
from hookline.edge.answers import Answer
from hookline.edge.front import refusals
from hookline.edge.front.refusals import Refused

END = b"\r\n\r\n"
"""What a head ends with."""

_CHUNKED = -1
_SINGLE = (b"content-length", b"transfer-encoding", b"host")
_FRAMING_ERROR = re.compile(r"Content-Length|Transfer-Encoding")
_BARE_LINE_FEED = re.compile(rb"(?<!\r)\n")
_START_LINE = re.compile(rb"[A-Za-z]+ [!-~]+ HTTP/(?!1\.[01]\r\n)[0-9]\.[0-9]\r\n")
_JUNK = re.compile(rb"[^A-Z\r]|\r.", re.DOTALL)
"""No method begins so; TLS does."""
_HOST = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=%:\[\]-]*")
"""uri-host and port, loosely: RFC 3986, section 3.2.2."""
_LONGEST_METHOD = 16
"""Bytes before a target, and a few more."""
_COUNT_FIRST = 4096
"""Bytes from which a head's lines are counted before they are parsed."""


class Head:
    """A request's line and headers."""

    __slots__ = ("expects_continue", "headers", "is_http_1_0", "keep_alive", "length", "method", "target")

    def __init__(self) -> None:
        self.method = ""
        self.target = b""
        self.is_http_1_0 = False
        self.headers: list[tuple[bytes, bytes]] = []
        """Names in lower case, in the order in which they came."""
        self.length = 0
        """Bytes of the body; negative when it comes in chunks."""
        self.keep_alive = True
        self.expects_continue = False
        """The sender waits for `100 Continue` before it sends the body."""

    def on_url(self, url: bytes) -> None:
        """Take the target; called by the parser."""
        self.target = url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; called by the parser, which leaves blanks at the end of a value.

        They are no part of it (RFC 9110, section 5.5). Where they could mislead another reader they are refused.
        """
        name = name.lower()
        self.headers.append((name, value if name in _SINGLE else value.rstrip(b" \t")))

    @property
    def is_chunked(self) -> bool:
        """Whether the body comes in chunks."""
        return self.length < 0


def read(data: bytes, limits: Edge) -> Head:
    """Read a head that is there as a whole, with `END`.

    Raises:
        Refused: It isn't exactly as it should be, or over a limit.
    """
    if len(data) > _COUNT_FIRST and data.count(b"\n") - 2 > limits.max_header_lines:
        raise Refused(refusals.HEAD_TOO_LARGE)
    head = Head()
    parser = httptools.HttpRequestParser(head)
    try:
        parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        pass  # a server may go on as if nothing had been asked: RFC 9110, section 7.8
    except httptools.HttpParserError as error:
        raise Refused(_why(data, str(error))) from None
    method = parser.get_method()
    # One comparison for what llhttp tolerates in the first line: more spaces, an empty line before it, other versions.
    if not data.startswith(b"%b %b HTTP/1.1\r\n" % (method, head.target)):
        if not data.startswith(b"%b %b HTTP/1.0\r\n" % (method, head.target)):
            raise Refused(_why(data, ""))
        head.is_http_1_0 = True
        head.keep_alive = False
    head.method = method.decode()
    if len(head.target) > limits.max_url_bytes:
        raise Refused(refusals.URL_TOO_LONG)
    if not head.target.startswith(b"/") or b"#" in head.target or not head.target.isascii():
        raise Refused(refusals.BAD_TARGET)
    if len(head.headers) > limits.max_header_lines:
        raise Refused(refusals.HEAD_TOO_LARGE)
    _judge(head)
    return head


def refuse_beginning(data: bytes | bytearray, judged: int, limits: Edge) -> None:
    """Judge a head of which only the beginning is there.

    Args:
        data: What is there.
        judged: How much of it was judged before.
        limits: The front's limits.

    Raises:
        Refused: Nothing that follows can make it right.
    """
    in_target = b"\n" not in data
    if in_target and len(data) > limits.max_url_bytes + _LONGEST_METHOD:
        raise Refused(refusals.URL_TOO_LONG)
    if len(data) >= limits.max_header_bytes:
        raise Refused(refusals.HEAD_TOO_LARGE)
    if _JUNK.match(data) or _BARE_LINE_FEED.search(data, judged):
        raise Refused(refusals.BAD_REQUEST)


def _judge(head: Head) -> None:
    """Judge the headers that say who is asked, where the body ends, and what follows."""
    values = dict(head.headers)
    if len(values) < len(head.headers):
        _refuse_repeated(head)
    host = values.get(b"host")
    if _HOST.fullmatch(host) is None if host is not None else not head.is_http_1_0:
        raise Refused(refusals.BAD_HOST)
    length, encoding = values.get(b"content-length"), values.get(b"transfer-encoding")
    if length is not None:
        if encoding is not None or not length.isdigit():
            raise Refused(refusals.BAD_FRAMING)
        head.length = int(length)
    elif encoding is not None:
        if head.is_http_1_0 or encoding.lower() != b"chunked":
            raise Refused(refusals.BAD_FRAMING)
        head.length = _CHUNKED
    if b"close" in values.get(b"connection", b"").lower():
        head.keep_alive = False
    head.expects_continue = not head.is_http_1_0 and values.get(b"expect", b"").lower() == b"100-continue"


def _refuse_repeated(head: Head) -> None:
    """Refuse a header that must be there once and is there twice, equal or not."""
    times = Counter(name for name, _ in head.headers)
    if times[b"host"] > 1:
        raise Refused(refusals.BAD_HOST)
    if times[b"content-length"] > 1 or times[b"transfer-encoding"] > 1:
        raise Refused(refusals.BAD_FRAMING)
    if times[b"connection"] > 1:
        head.keep_alive = False  # one of them may say so


def _why(data: bytes, error: str) -> Answer:
    if _FRAMING_ERROR.search(error):
        return refusals.BAD_FRAMING
    return refusals.BAD_VERSION if _START_LINE.match(data) else refusals.BAD_REQUEST
