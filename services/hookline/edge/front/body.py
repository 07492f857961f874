"""Where a request's body ends: after a length, or with the last chunk."""

import re
from typing import Protocol

from hookline.edge.front import refusals
from hookline.edge.front.refusals import Refused

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t -~]*)?")
"""A chunk's size and its extensions, which nobody here understands: RFC 9112, section 7.1.1."""
_LONGEST_LINE = 256
"""Bytes of a size line, or of a line after the last chunk."""
_OVERHEAD = 16 * 1024
"""Bytes of lines that may come beside as many of content: chunks of a byte each cost more than they bring."""


class Body(Protocol):
    """What is still to come of a body."""

    def take(self, data: bytes) -> tuple[bytes, bytes | None]:
        """Take what was read from the socket.

        Returns:
            What belongs to the body, and what follows it; None as the second while the body isn't complete.

        Raises:
            Refused: These are no proper chunks.
        """


class SizedBody:
    """A body of a known length."""

    __slots__ = ("_missing",)

    def __init__(self, length: int) -> None:
        self._missing = length

    def take(self, data: bytes) -> tuple[bytes, bytes | None]:
        """Take what was read from the socket."""
        if len(data) < self._missing:
            self._missing -= len(data)
            return data, None
        return data[: self._missing], data[self._missing :]


class ChunkedBody:
    """A body in chunks: RFC 9112, section 7.1, with CRLF and nothing else as line end."""

    __slots__ = ("_chunk_open", "_held", "_last_seen", "_missing", "_overhead")

    def __init__(self) -> None:
        self._held = b""
        """The beginning of a line, never longer than one may be."""
        self._missing = 0
        """Bytes of the present chunk that are still to come."""
        self._chunk_open = False
        """Whether the present chunk still has to end with a CRLF."""
        self._last_seen = False
        """After the last chunk only trailers and an empty line come."""
        self._overhead = 0
        """Bytes of lines, less the bytes of content."""

    def take(self, data: bytes) -> tuple[bytes, bytes | None]:
        """Take what was read from the socket."""
        data = self._held + data
        self._held = b""
        pieces: list[bytes] = []
        place = 0
        while place < len(data):
            if self._missing:
                piece = data[place : place + self._missing]
                self._missing -= len(piece)
                self._overhead -= len(piece)
                pieces.append(piece)
                place += len(piece)
                continue
            end = _line_end(data, place)
            if end < 0:
                self._held = data[place:]
                break
            line = data[place:end]
            self._overhead += end + 2 - place
            place = end + 2
            if self._overhead > _OVERHEAD:
                raise Refused(refusals.BAD_CHUNK)
            if self._last_seen and not line:
                return b"".join(pieces), data[place:]
            self._take_line(line)
        return b"".join(pieces), None

    def _take_line(self, line: bytes) -> None:
        if self._last_seen:
            return  # a trailer: it may be dropped (RFC 9110, section 6.5.1), so nobody is misled by it
        if self._chunk_open:
            if line:
                raise Refused(refusals.BAD_CHUNK)
            self._chunk_open = False
            return
        size = _SIZE_LINE.fullmatch(line)
        if size is None:
            raise Refused(refusals.BAD_CHUNK)
        self._missing = int(size[1], 16)
        self._chunk_open = self._missing > 0
        self._last_seen = self._missing == 0


def _line_end(data: bytes, start: int) -> int:
    """Where a line's CRLF begins; negative while it isn't there.

    Raises:
        Refused: The line is too long, or has half a line end in it.
    """
    longest = start + _LONGEST_LINE + 2
    end = data.find(b"\r\n", start, longest)
    # The last byte may be the CR of a CRLF that isn't there yet.
    line = data[start : end if end >= 0 else max(min(len(data), longest) - 1, start)]
    if (end < 0 and len(data) >= longest) or b"\n" in line or b"\r" in line:
        raise Refused(refusals.BAD_CHUNK)
    return end
