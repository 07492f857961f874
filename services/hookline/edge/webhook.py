"""One webhook: bounds, verification, keys, commit, answer."""

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256

import structlog

# Is a uuid.UUID, and made and written in a tenth of the time.
from asyncpg.pgproto.pgproto import UUID
from starlette.types import Receive, Scope, Send

from hookline.config import Edge
from hookline.core.identity import identify
from hookline.edge import answers
from hookline.edge.answers import Answer
from hookline.edge.deadline import Deadline
from hookline.edge.intake import Intake
from hookline.edge.request import BodyTooLarge, Disconnected, keep, read_body
from hookline.edge.schemes.scheme import Envelope, Headers
from hookline.edge.source import Source
from hookline.edge.trace import RequestTrace, Traces
from hookline.errors import IntakeUnavailable
from hookline.model import UNPARSABLE, Accepted, NewEvent

_log = structlog.get_logger(__name__)
_MOST_DIGITS = 18


class WebhookEndpoint:
    """The ASGI endpoint behind `/v1/webhooks/{source}`.

    Plain ASGI: what a `Request` object would cost is a fifth of this path.
    """

    def __init__(
        self, sources: Mapping[str, Source], intake: Intake, traces: Traces, *, settings: Edge, shards: int
    ) -> None:
        self._sources = sources
        self._intake = intake
        self._traces = traces
        self._max_body = settings.max_body_bytes
        self._deadline = settings.request_deadline.total_seconds()
        self._shards = shards

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; the answer is sent after the commit or not at all."""
        name = scope["path_params"]["source"]
        source = self._sources.get(name)
        trace = self._traces.start(name if source else "", scope["headers"])
        try:
            answer = (
                answers.UNKNOWN_SOURCE
                if source is None
                else await self._receive(source, scope, receive, trace)
            )
        except Disconnected:
            trace.end_without_answer()
            return
        except Exception:  # noqa: BLE001
            # A mistake of ours: the provider is asked to send again, and we are told.
            _log.exception("a webhook failed unexpectedly", source=name)
            answer = answers.NOT_STORED
        trace.end(answer)
        await answer.send(send)

    async def _receive(self, source: Source, scope: Scope, receive: Receive, trace: RequestTrace) -> Answer:
        headers: Headers = scope["headers"]
        if scope["method"] != "POST":
            return answers.METHOD_NOT_ALLOWED
        refusal = self._judge_head(headers)
        if refusal is not None:
            return refusal
        body: bytes | None = None
        try:
            # One deadline for everything: a slow sender is told so, a slow database is our own failure.
            with Deadline(self._deadline):
                body = await read_body(receive, self._max_body)
                return await self._commit(source, headers, body, trace)
        except TimeoutError:
            return answers.TOO_SLOW if body is None else answers.COMMIT_TOO_SLOW
        except BodyTooLarge:
            return answers.too_large(self._max_body)
        except IntakeUnavailable as error:
            trace.fail(error)
            return answers.NOT_STORED

    def _judge_head(self, headers: Headers) -> Answer | None:
        """What can be refused before the body is read."""
        # Of a header that is there twice the last line counts, as with a proxy that sets it.
        values = dict(headers)
        if values.get(b"content-type", b"").partition(b";")[0].strip().lower() != b"application/json":
            return answers.WRONG_CONTENT_TYPE
        if b"content-encoding" in values:
            return answers.ENCODED
        length = values.get(b"content-length")
        # The HTTP parser has checked that it is a number, of any length; Python's int() refuses very long ones.
        if length is not None and (len(length) > _MOST_DIGITS or int(length) > self._max_body):
            return answers.too_large(self._max_body)
        return None

    async def _commit(self, source: Source, headers: Headers, body: bytes, trace: RequestTrace) -> Answer:
        scheme = source.scheme
        if not scheme.verifies(headers, body):
            status, refusal = scheme.refusal
            return Answer(status, refusal, outcome="bad_signature")
        digest = sha256(body).digest()
        envelope = scheme.read(body) or _opaque(digest)
        identity = identify(
            source=source.name,
            dedup_key=envelope.dedup_key,
            body_sha256=digest if scheme.revisions else None,
            ordering_key=envelope.ordering_key,
            shards=self._shards,
        )
        event_id = UUID(identity.event_id)
        trace.identified(event_id, envelope.type, len(body))
        event = NewEvent(
            shard=identity.shard,
            event_id=event_id,
            lineage=UUID(identity.lineage),
            source=source.name,
            type=envelope.type,
            ordering_key=envelope.ordering_key,
            received_at=datetime.now(UTC),
            traceparent=trace.traceparent,
            tracestate="",
            body_sha256=digest,
            headers=keep(headers),
            body=body,
        )
        outcome = await self._intake.commit(event)
        if isinstance(outcome, Accepted):
            return answers.accepted(outcome.event_id, revision=outcome.revision)
        return answers.duplicate(outcome.event_id)


def _opaque(digest: bytes) -> Envelope:
    """Genuine and unreadable: known by its bytes alone."""
    return Envelope(type=UNPARSABLE, dedup_key=(UNPARSABLE, digest.hex()), ordering_key="")
