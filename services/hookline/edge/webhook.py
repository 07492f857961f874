"""One webhook: bounds, verification, keys, commit, answer."""

from collections.abc import Mapping
from datetime import UTC, datetime
from math import ceil
from time import monotonic, time

import structlog
from starlette.types import Receive, Scope, Send

from hookline.config import Edge
from hookline.edge import answers
from hookline.edge.answers import Answer
from hookline.edge.deadline import Deadline
from hookline.edge.intake import Intake
from hookline.edge.judgement import Genuine, Refused, Shaken, judge, judge_head
from hookline.edge.observation import Observation, Request
from hookline.edge.proxies import Proxies
from hookline.edge.rejections.keeper import Rejections
from hookline.edge.rejections.rejection import Rejection
from hookline.edge.request import BodyTooLarge, Disconnected, LargeBodies, NoRoom, read_body
from hookline.edge.schemes.incoming import Incoming
from hookline.edge.source import Source
from hookline.edge.watch.watch import SchemaWatch
from hookline.errors import IntakeUnavailable
from hookline.model import Accepted
from hookline.telemetry.failure import report
from hookline.telemetry.trace_fields import trace_fields

_log = structlog.get_logger(__name__)
_BUSY_RETRY = 1
"""Seconds after which a request may be sent again when too many were being worked at."""


class WebhookEndpoint:
    """The ASGI endpoint behind `/v1/webhooks/{source}`.

    Plain ASGI: what a `Request` object would cost is a fifth of this path.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        intake: Intake,
        rejections: Rejections,
        watch: SchemaWatch,
        observation: Observation,
        *,
        settings: Edge,
        shards: int,
    ) -> None:
        self._sources = sources
        self._intake = intake
        self._rejections = rejections
        self._watch = watch
        self._observation = observation
        self._proxies = Proxies(settings.trusted_proxies)
        self._room = LargeBodies(settings.large_body_bytes)
        self._deadline = settings.request_deadline.total_seconds()
        self._shards = shards

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; the answer is sent after the commit or not at all."""
        name = scope["path_params"]["source"]
        source = self._sources.get(name)
        request = self._observation.begin(name if source else "", scope)
        request.client = self._proxies.client(scope)
        try:
            if source is None:
                answer = answers.UNKNOWN_SOURCE
                self._rejections.count("", answer.outcome)
            else:
                answer = await self._receive(source, scope, receive, request)
        except Disconnected:
            self._observation.abandoned(request)
            return
        except Exception as error:  # noqa: BLE001
            # A mistake of ours: the provider is asked to send again, and we are told.
            report(
                _log,
                "a webhook failed unexpectedly",
                error,
                source=name,
                **trace_fields(request.trace.traceparent),
            )
            answer = answers.NOT_STORED
        self._observation.answered(request, answer)
        await answer.send(send)

    async def _receive(self, source: Source, scope: Scope, receive: Receive, request: Request) -> Answer:
        if scope["method"] != "POST":
            return self._shake_hands(source, scope)
        answer = judge_head(source, scope["headers"])
        if answer is not None:
            self._reject(source, self._incoming(source, scope, b""), answer, is_whole=False)
            return answer
        return await self._take(source, scope, receive, request)

    async def _take(self, source: Source, scope: Scope, receive: Receive, request: Request) -> Answer:
        body: bytes | None = None
        try:
            # One deadline for everything: a slow sender is told so, a slow database is our own failure.
            with Deadline(self._deadline):
                body = await read_body(receive, source.max_body_bytes, self._room)
                return await self._judge(source, self._incoming(source, scope, body), request)
        except TimeoutError:
            return answers.TOO_SLOW if body is None else answers.COMMIT_TOO_SLOW
        except BodyTooLarge as error:
            answer = answers.too_large(source.max_body_bytes)
            self._reject(source, self._incoming(source, scope, b""), answer, is_whole=False, size=error.size)
            return answer
        except NoRoom:
            return answers.NO_ROOM
        except IntakeUnavailable as error:
            request.trace.fail(error)
            return answers.NOT_STORED

    async def _judge(self, source: Source, incoming: Incoming, request: Request) -> Answer:
        judged = judge(
            source,
            incoming,
            shards=self._shards,
            traceparent=request.trace.traceparent,
            judge_schema=self._watch.judge,
        )
        if isinstance(judged, Refused):
            self._reject(source, incoming, judged.answer, is_whole=True)
            return judged.answer
        if isinstance(judged, Shaken):
            return judged.answer
        # Only what is genuine counts, or whoever can't sign could use up what the provider may send.
        if source.bucket is not None and not source.bucket.take(monotonic()):
            return answers.too_many(ceil(source.bucket.wait))
        if source.concurrency is not None and source.in_work >= source.concurrency:
            return answers.too_many(_BUSY_RETRY)
        return await self._commit(source, judged, request)

    async def _commit(self, source: Source, judged: Genuine, request: Request) -> Answer:
        event = judged.event
        request.identified(event.event_id, event.type, len(event.body))
        if request.trace.traceparent is not event.traceparent:
            event = event._replace(traceparent=request.trace.traceparent)
        source.in_work += 1
        try:
            outcome = await self._intake.commit(event, request.trace.persist)
        finally:
            source.in_work -= 1
        if isinstance(outcome, Accepted):
            self._watch.observe(source.name, event.type, judged.text, event.event_id, event.ordering_key)
            usual = answers.accepted(outcome.event_id, revision=outcome.revision)
        else:
            usual = answers.duplicate(outcome.event_id)
        return source.scheme.success(usual)

    def _shake_hands(self, source: Source, scope: Scope) -> Answer:
        """Answer a request that brings no webhook."""
        incoming = self._incoming(source, scope, b"")
        methods = source.scheme.other_methods
        shaken = source.scheme.open_handshake(incoming) if incoming.method in methods else None
        if isinstance(shaken, Answer):
            return shaken
        if shaken is not None:
            answer = source.scheme.refusal(shaken)
        elif incoming.method in methods:
            answer = answers.UNKNOWN_HANDSHAKE
        else:
            answer = answers.method_not_allowed(methods)
        self._reject(source, incoming, answer, is_whole=False)
        return answer

    def _reject(
        self, source: Source, incoming: Incoming, answer: Answer, *, is_whole: bool, size: int | None = None
    ) -> None:
        """Keep what was refused, for people."""
        self._rejections.keep(
            Rejection(
                source=source.name,
                cause=answer.outcome,
                status=answer.status,
                received_at=datetime.fromtimestamp(incoming.now, UTC),
                incoming=incoming,
                is_whole=is_whole,
                size=len(incoming.body) if size is None else size,
            )
        )

    def _incoming(self, source: Source, scope: Scope, body: bytes) -> Incoming:
        path: bytes = scope.get("raw_path") or scope["path"].encode()
        origin = self._proxies.origin(scope) if source.is_told_its_url else b""
        url = source.url(path, scope["query_string"], origin)
        return Incoming(scope["method"], url, scope["headers"], body, time())
