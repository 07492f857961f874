"""Judge a whole request: what it is, before anything of it is written."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

from hookline.core.shape.finding import SchemaFinding
from hookline.edge import answers
from hookline.edge.admission import make_event
from hookline.edge.answers import Answer
from hookline.edge.decompress import Undecodable, decompress
from hookline.edge.schemes.incoming import Headers, Incoming
from hookline.edge.schemes.verdict import Refusal
from hookline.edge.source import Source
from hookline.model import NewEvent

_BEGINNINGS = {b"gzip": b"\x1f\x8b", b"deflate": b"\x78"}
"""How what is compressed begins (RFC 1952; RFC 1950 with the usual window)."""


_MOST_DIGITS = 18


class Genuine(NamedTuple):
    """It is a webhook."""

    event: NewEvent
    text: bytes
    """The body without its Content-Encoding."""


class Shaken(NamedTuple):
    """It is the provider's handshake, and no event."""

    answer: Answer


class Refused(NamedTuple):
    """It must not come in."""

    answer: Answer
    """Its `outcome` is the cause."""


JudgeSchema = Callable[[str, str, bytes], SchemaFinding | None]
"""Takes a source's name, an event's type and its body; answers why it must be refused, or None."""


def judge(
    source: Source, incoming: Incoming, *, shards: int, traceparent: str, judge_schema: JudgeSchema
) -> Genuine | Shaken | Refused:
    """Verify a POST over its raw bytes, and only then look into it."""
    scheme = source.scheme
    verdict = scheme.verify(incoming)
    if isinstance(verdict, Refusal):
        return Refused(scheme.refusal(verdict))
    try:
        text = _decode(source, incoming)
    except Undecodable as error:
        return Refused(answers.undecodable(error))
    context = scheme.context(incoming, verdict, text)
    shaken = scheme.handshake(context)
    if isinstance(shaken, Refusal):
        return Refused(scheme.refusal(shaken))
    if shaken is not None:
        return Shaken(shaken)
    received_at = datetime.fromtimestamp(incoming.now, UTC)
    event = make_event(source, context, shards=shards, received_at=received_at, traceparent=traceparent)
    finding = judge_schema(source.name, event.type, text)
    if finding is not None:
        return Refused(answers.against_schema(finding))
    return Genuine(event, text)


def _decode(source: Source, incoming: Incoming) -> bytes:
    encoding = incoming.header(b"content-encoding")
    if encoding is not None:
        return decompress(incoming.body, encoding.lower())
    for name in source.content_encodings:
        # Nothing signs that header: without it, what was sent before would be another, unreadable event.
        if incoming.body.startswith(_BEGINNINGS[name]) and _is_whole(incoming.body, name):
            raise Undecodable("it is compressed, and no Content-Encoding says so")
    return incoming.body


def _is_whole(body: bytes, encoding: bytes) -> bool:
    try:
        decompress(body, encoding)
    except Undecodable:
        return False
    return True


def judge_head(source: Source, headers: Headers) -> Answer | None:
    """What can be refused before the body is read."""
    content_type, length, is_encoded = b"", None, False
    for name, value in headers:
        if name == b"content-type":
            content_type = value
        elif name == b"content-length":
            length = value
        elif name == b"content-encoding":
            if is_encoded or value.lower() not in source.content_encodings:
                return answers.ENCODED  # twice would be encoded twice
            is_encoded = True
    if not source.scheme.takes(content_type):
        return answers.WRONG_CONTENT_TYPE
    # The HTTP parser has checked that it is a number, of any length; Python's int() refuses very long ones.
    if length is not None and (len(length) > _MOST_DIGITS or int(length) > source.max_body_bytes):
        return answers.too_large(source.max_body_bytes)
    return None
