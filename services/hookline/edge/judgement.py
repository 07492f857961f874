"""Judge a whole request: what it is, before anything of it is written."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

from hookline.core.shape.finding import SchemaFinding
from hookline.edge import answers
from hookline.edge.admission import make_event
from hookline.edge.answers import Answer
from hookline.edge.decompress import Undecodable, decompress
from hookline.edge.schemes.incoming import Incoming
from hookline.edge.schemes.verdict import Refusal
from hookline.edge.source import Source
from hookline.model import NewEvent


class Genuine(NamedTuple):
    """It is a webhook."""

    event: NewEvent
    """Without a trace yet."""
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
    source: Source, incoming: Incoming, *, shards: int, judge_schema: JudgeSchema
) -> Genuine | Shaken | Refused:
    """Verify a POST over its raw bytes, and only then look into it."""
    scheme = source.scheme
    verdict = scheme.verify(incoming)
    if isinstance(verdict, Refusal):
        return Refused(scheme.refusal(verdict))
    encoding = incoming.header(b"content-encoding")
    try:
        text = incoming.body if encoding is None else decompress(incoming.body, encoding.lower())
    except Undecodable as error:
        return Refused(answers.undecodable(error))
    context = scheme.context(incoming, verdict, text)
    shaken = scheme.handshake(context)
    if isinstance(shaken, Refusal):
        return Refused(scheme.refusal(shaken))
    if shaken is not None:
        return Shaken(shaken)
    received_at = datetime.fromtimestamp(incoming.now, UTC)
    event = make_event(source, context, shards=shards, received_at=received_at)
    finding = judge_schema(source.name, event.type, text)
    if finding is not None:
        return Refused(answers.against_schema(finding))
    return Genuine(event, text)
