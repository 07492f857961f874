"""What a sender is told who sent no proper request: problem details, and the connection is closed."""

from http import HTTPStatus

from hookline.edge.answers import RETRY_AFTER, Answer, problem

_CLOSE = (b"connection", b"close")


class Refused(Exception):
    """No proper request; nothing that follows on its connection can be trusted to be one."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.outcome)
        self.answer = answer


def _bad(code: str, detail: str) -> Answer:
    return problem(HTTPStatus.BAD_REQUEST, code, detail, _CLOSE)


BAD_REQUEST = _bad("bad_request", "This is no HTTP/1.1 request: RFC 9112 tells its form.")
BAD_TARGET = _bad("bad_target", "The request's target must be a path that begins with '/'.")
BAD_HOST = _bad("bad_host", "Send exactly one Host header, with a host's name or address.")
BAD_FRAMING = _bad(
    "bad_framing",
    "Where the body ends must be clear: one Content-Length, or one Transfer-Encoding of just 'chunked'.",
)
BAD_CHUNK = _bad("bad_chunk", "The body's chunks are not as RFC 9112, section 7.1, tells.")
BAD_VERSION = _bad("unsupported_version", "Only HTTP/1.1 and HTTP/1.0 are spoken here.")
HEAD_TOO_LARGE = problem(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    "header_too_large",
    "The request's headers are too many or too large.",
    _CLOSE,
)
URL_TOO_LONG = problem(
    HTTPStatus.REQUEST_URI_TOO_LONG, "url_too_long", "The request's URL is too long.", _CLOSE
)
HEAD_TOO_SLOW = problem(
    HTTPStatus.REQUEST_TIMEOUT,
    "header_timeout",
    "The request's headers did not arrive in time; send it again.",
    _CLOSE,
)
TOO_MANY_CONNECTIONS = problem(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "too_many_connections",
    "There are too many connections now; send it again.",
    (b"retry-after", b"%d" % RETRY_AFTER),
    _CLOSE,
)
FAILED = problem(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "internal_error",
    "The request could not be answered; send it again.",
    (b"retry-after", b"%d" % RETRY_AFTER),
    _CLOSE,
)


def status_line(status: int) -> bytes:
    """The first line of an answer, with its line end."""
    return _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status


_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}


def wire(answer: Answer) -> bytes:
    """A whole answer as it goes over the wire."""
    lines = [b"%b: %b\r\n" % header for header in answer.headers]
    return b"%bcontent-type: %b\r\ncontent-length: %d\r\n%b\r\n%b" % (
        status_line(answer.status),
        answer.content_type,
        len(answer.body),
        b"".join(lines),
        answer.body,
    )
