"""One HTTP/1.1 answer, put together from what a connection has read so far."""

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length:"


def status(raw: bytes) -> int | None:
    """The status of a whole answer; None while some of it is still to come.

    Raises:
        ValueError: This isn't an HTTP/1.1 answer with a content-length.
    """
    head_end = raw.find(_HEAD_END)
    if head_end < 0:
        return None
    head = raw[:head_end].lower()
    start = head.find(_LENGTH)
    if start < 0 or not head.startswith(b"http/1.1 "):
        raise ValueError(f"not an answer the load generator understands: {raw[:80]!r}")
    end = head.find(b"\r\n", start + len(_LENGTH))
    length = int(head[start + len(_LENGTH) : end if end >= 0 else None])
    whole = head_end + len(_HEAD_END) + length
    if len(raw) > whole:
        raise ValueError(f"more bytes than the answer has: {raw[whole : whole + 80]!r}")
    return int(head[9:12]) if len(raw) == whole else None
