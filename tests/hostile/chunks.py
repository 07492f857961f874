"""Bodies in chunks, in every form that a sender may think of."""

from collections.abc import Mapping
from itertools import product

from hostile.case import Case, Cases
from hostile.framing import genuine, head, refused
from hostile.senders import BEGINI

Part = tuple[bytes, bool]
"""Bytes, and whether they are as they should be."""

_SIZES: Mapping[str, Part] = {
    "plain": (b"%x", True), "capitals": (b"%X", True), "zeros": (b"0000%x", True),
    "14 zeros": (b"0000000000000%x", True),
    "blank before": (b" %x", False), "blank behind": (b"%x ", False), "tab behind": (b"%x\t", False),
    "0x": (b"0x%x", False),
    "plus": (b"+%x", False), "minus": (b"-%x", False), "underscore": (b"0_%x", False), "quotes": (b'"%x"',
    False),
    "h": (b"%xh", False), "comma": (b"%x,", False), "NUL": (b"%x\0", False),
    "full-width": ("\uff10%x".encode(), False),
    "huge": (b"ffffffffffffffff%x", False), "30 zeros": (b"0" * 30 + b"%x", False), "empty": (b"", False),
    "dot": (b"%x.0", False),
}  # fmt: skip
_EXTENSIONS: Mapping[str, Part] = {
    "none": (b"", True), "name": (b";a", True), "value": (b";a=b", True), "quoted": (b';a="b;c"', True),
    "several": (b";a;b=c;d", True),
    "blanks": (b" ; a = b", True), "alone": (b";", True), "long": (b";" + b"a" * 300, False),
    "CR": (b";a\rb", False), "LF": (b";a\nb", False),
    "NUL": (b";a\0", False), "no semicolon": (b" a", False), "beyond ASCII": (b";\xff", False),
    "DEL": (b";\x7f", False),
}  # fmt: skip
_ENDS: Mapping[str, Part] = {
    "CRLF": (b"\r\n", True), "LF": (b"\n", False), "CR": (b"\r", False), "LFCR": (b"\n\r", False),
    "CRCRLF": (b"\r\r\n", False),
    "none": (b"", False),
}  # fmt: skip
_AFTER: Mapping[str, Part] = {
    **_ENDS,
    "junk": (b"x\r\n", False),
    "a blank": (b" \r\n", False),
    "an empty line": (b"\r\n\r\n", False),
}
_TRAILERS: Mapping[str, Part] = {
    "none": (b"\r\n", True), "one": (b"X: a\r\n\r\n", True), "a length": (b"Content-Length: 300\r\n\r\n",
    True),
    "an encoding": (b"Transfer-Encoding: chunked\r\n\r\n", True),
    "a signature": (b"X-Signature: 00\r\n\r\n", True),
    "LF": (b"X: a\n\r\n\r\n", False), "bare LF": (b"\n", False), "long": (b"X: " + b"a" * 300 + b"\r\n\r\n",
    False),
    "many": (b"X: a\r\n" * 5000 + b"\r\n", False),
}  # fmt: skip


def cases() -> Cases:
    """Every form of a chunk's size, with every extension, and so on: fine only when all of it is."""
    for (a, size), (b, extension), (c, end) in product(_SIZES.items(), _EXTENSIONS.items(), _ENDS.items()):
        yield _chunked(f"chunks/{a}, {b}, {c}", size, extension, end, _ENDS["CRLF"], _TRAILERS["none"])
    for (a, end), (b, after), (c, trailer) in product(_ENDS.items(), _AFTER.items(), _TRAILERS.items()):
        plain = _SIZES["plain"], _EXTENSIONS["none"]
        yield _chunked(f"chunks/ends {a}, {b}, trailer {c}", *plain, end, after, trailer)


def _chunked(name: str, size: Part, extension: Part, *rest: Part) -> Case:
    body, headers, row = genuine(name)
    end, after, trailer = rest
    line = size[0] % len(body) if b"%" in size[0] else size[0]
    content = b"".join([line, extension[0], end[0], body, after[0], b"0\r\n", trailer[0]])
    request = head(headers, b"Transfer-Encoding: chunked") + content
    # A blank may stand before a semicolon: RFC 9112, section 7.1.1.
    is_blank_allowed = size[0] in (b"%x ", b"%x\t") and extension[0].lstrip().startswith(b";")
    if (size[1] or is_blank_allowed) and all(part[1] for part in (extension, *rest)):
        return Case(name, request, (BEGINI.accepted,), (row,))
    return refused(name, request, "bad_chunk")
