"""The edge's answers, ready to be sent."""

from collections.abc import Collection
from dataclasses import dataclass, field
from http import HTTPStatus
from uuid import UUID

import msgspec
from starlette.types import Send

RETRY_AFTER = 2
"""Seconds after which a refused webhook is worth sending again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers and body of a response."""

    status: int
    body: bytes
    content_type: bytes = b"application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()
    outcome: str = field(default="", kw_only=True)
    """A stable word for logs and traces."""

    async def send(self, send: Send) -> None:
        """Send it as the response of an ASGI request."""
        await send(
            {
                "type": "http.response.start",
                "status": self.status,
                "headers": [*_describe(self), *self.headers],
            }
        )
        await send({"type": "http.response.body", "body": self.body})


def _describe(answer: Answer) -> tuple[tuple[bytes, bytes], ...]:
    """Type and length of the body; a 204 has neither (RFC 9110, section 8.6)."""
    if answer.status == HTTPStatus.NO_CONTENT:
        return ()
    return (b"content-type", answer.content_type), (b"content-length", b"%d" % len(answer.body))


def accepted(event_id: UUID, *, revision: bool) -> Answer:
    """The event is committed."""
    mark = "true" if revision else "false"
    return Answer(
        200, f'{{"status":"accepted","event_id":"{event_id}","revision":{mark}}}'.encode(), outcome="accepted"
    )


def duplicate(event_id: UUID) -> Answer:
    """The event was committed before."""
    return Answer(200, f'{{"status":"duplicate","event_id":"{event_id}"}}'.encode(), outcome="duplicate")


def problem(status: HTTPStatus, code: str, detail: str, *headers: tuple[bytes, bytes]) -> Answer:
    """A refusal as RFC 9457 problem details; `code` is stable, `detail` is for people."""
    body = msgspec.json.encode(
        {
            "type": "about:blank",
            "title": status.phrase,
            "status": status.value,
            "code": code,
            "detail": detail,
        }
    )
    return Answer(status.value, body, b"application/problem+json", headers, outcome=code)


_CLOSE = (b"connection", b"close")
"""The rest of the request won't be read."""

NOT_FOUND = problem(
    HTTPStatus.NOT_FOUND,
    "not_found",
    "There is nothing here; webhooks go to /v1/webhooks/ and a source's name.",
)
UNKNOWN_SOURCE = problem(
    HTTPStatus.NOT_FOUND,
    "unknown_source",
    "No source of this name is configured; the path is /v1/webhooks/ and the source's name.",
)
UNKNOWN_HANDSHAKE = problem(
    HTTPStatus.BAD_REQUEST, "unknown_handshake", "This isn't the handshake of this source's provider."
)
WRONG_CONTENT_TYPE = problem(
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "wrong_content_type",
    "The Content-Type isn't one that this source's provider sends.",
)
ENCODED = problem(
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "content_encoding",
    "Send the body without a Content-Encoding, or with one that is configured for this source.",
)
TOO_SLOW = problem(
    HTTPStatus.REQUEST_TIMEOUT,
    "request_timeout",
    "The request did not arrive in time; send it again.",
    _CLOSE,
)


ASKED_WITH_GET = problem(
    HTTPStatus.METHOD_NOT_ALLOWED,
    "method_not_allowed",
    "This is asked for with GET.",
    (b"allow", b"GET, HEAD"),
)


def method_not_allowed(others: Collection[str]) -> Answer:
    """A method that the source has no use for."""
    allowed = ", ".join(sorted({"POST", *others}))
    return problem(
        HTTPStatus.METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "Webhooks are sent with POST.",
        (b"allow", allowed.encode("ascii")),
    )


def too_many(seconds: int) -> Answer:
    """The source sends more than it may."""
    return problem(
        HTTPStatus.TOO_MANY_REQUESTS,
        "too_many_requests",
        "More requests came than are taken from this source; send it again later.",
        (b"retry-after", b"%d" % max(1, seconds)),
    )


def undecodable(reason: Exception) -> Answer:
    """The body isn't what its Content-Encoding says, or too much."""
    return problem(
        HTTPStatus.UNPROCESSABLE_ENTITY, "undecodable_body", f"The body can't be decoded: {reason}."
    )


def against_schema(finding: object) -> Answer:
    """The body is genuine, and not as the source's JSON Schema wants it."""
    return problem(
        HTTPStatus.UNPROCESSABLE_ENTITY, "schema", f"The body isn't as its schema says: {finding}."
    )


def too_large(limit: int) -> Answer:
    """The body is over the limit."""
    return problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body_too_large", f"The body may have {limit} bytes.", _CLOSE
    )


def unavailable(code: str, detail: str) -> Answer:
    """Our own failure: the provider should send the webhook again."""
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, code, detail, (b"retry-after", b"%d" % RETRY_AFTER))


COMMIT_TOO_SLOW = unavailable("commit_timeout", "The event could not be stored in time; send it again.")
NOT_STORED = unavailable("not_stored", "The event can't be stored now; send it again.")
NO_ROOM = unavailable("busy", "Too many large bodies are being read; send it again.")
NOT_RUNNING = unavailable(
    "not_running",
    "The edge was mounted but not started: enter `app.running()` in the lifespan of the application around it.",
)
