"""What an edge would make of a refused request if it came now."""

from collections.abc import Callable, Mapping
from datetime import datetime

from hookline.core.shape.finding import SchemaFinding
from hookline.edge.judgement import Genuine, Shaken, judge, judge_head
from hookline.edge.schemes.incoming import Incoming
from hookline.edge.source import Source
from hookline.edge.watch.rules import Rules
from hookline.model import NewEvent
from hookline.telemetry.context import unsampled

HANDSHAKE = "handshake"
"""It is genuine, and no event."""
UNKNOWN_SOURCE = "unknown_source"
"""Its source isn't configured any more."""
METHOD_NOT_ALLOWED = "method_not_allowed"

Judge = Callable[[str, Incoming, datetime], NewEvent | str]
"""Takes a source's name, a request and when it was received; answers an event, or the word for why it is none."""


def judge_of(sources: Mapping[str, Source], rules: Mapping[str, Rules], *, shards: int) -> Judge:
    """The judgement of these sources, with the secrets and schemas that they have now."""

    def judge_schema(source: str, type_: str, body: bytes) -> SchemaFinding | None:
        return rules[source].judge(type_, body)

    def judge_again(name: str, incoming: Incoming, received_at: datetime) -> NewEvent | str:
        source = sources.get(name)
        if source is None:
            return UNKNOWN_SOURCE
        if incoming.method != "POST":
            return HANDSHAKE if incoming.method in source.scheme.other_methods else METHOD_NOT_ALLOWED
        # The source may have been told meanwhile to take what it refused, or to refuse what it took.
        answer = judge_head(source, incoming.headers)
        if answer is not None:
            return answer.outcome
        judged = judge(source, incoming, shards=shards, traceparent=unsampled(), judge_schema=judge_schema)
        if isinstance(judged, Genuine):
            return judged.event._replace(received_at=received_at)
        return HANDSHAKE if isinstance(judged, Shaken) else judged.answer.outcome

    return judge_again
