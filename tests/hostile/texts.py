"""Naughty strings in everything that is no body: path, query, names and values of headers, ids, handshakes."""

from urllib.parse import quote, unquote

from hostile.case import Case, Cases, End, Reply, Row, bad, mark, problem
from hostile.naughty import NAUGHTY
from hostile.reading import is_key
from hostile.senders import (
    BEGINI,
    CLOUDEVENTS,
    GITHUB,
    META,
    STANDARD,
    UNPARSABLE,
    VERIFY_TOKEN,
    sign_standard,
)
from hostile.wire_rules import refusal_of_name, refusal_of_target, refusal_of_value

_NOT_FOUND = problem(404, "not_found")
_UNKNOWN = problem(404, "unknown_source")
_HOSTED = b"%b %b HTTP/1.1\r\nHost: edge\r\n\r\n"


def paths() -> Cases:
    """As the name of a source, escaped and not, and as a whole path."""
    for name, text in NAUGHTY.items():
        for form, segment in (
            ("escaped", quote(text, safe="").encode()),
            ("half escaped", quote(text).encode()),
            ("raw", text.encode()),
        ):
            title = f"paths/{form}/{name}"
            body = BEGINI.document(mark(title), b"0")
            target = b"/v1/webhooks/" + segment
            reply = _reply_to(target)
            rows = [BEGINI.row(body, BEGINI.keys(mark(title)))] if reply is BEGINI.accepted else []
            yield _case(title, BEGINI.request(body, target=target), reply, *rows)
        target = b"/" + quote(text).encode()
        reply = refusal_of_target(target) or _NOT_FOUND
        yield _case(f"paths/whole/{name}", BEGINI.request(b"{}", target=target), reply)


def _reply_to(target: bytes) -> Reply:
    refusal = refusal_of_target(target)
    if refusal is not None:
        return refusal
    path = unquote(target.decode().partition("?")[0])
    name = path.removeprefix("/v1/webhooks/")
    if name == BEGINI.source:
        return BEGINI.accepted
    return _NOT_FOUND if not name or "/" in name else _UNKNOWN


def queries() -> Cases:
    """Behind a genuine webhook's path, and where a query's parameter counts."""
    for name, text in NAUGHTY.items():
        for form, query in (("escaped", quote(text, safe="").encode()), ("raw", text.encode())):
            title = f"queries/{form}/{name}"
            body = BEGINI.document(mark(title), b"0")
            target = BEGINI.path + b"?q=" + query
            refusal = refusal_of_target(target)
            row = BEGINI.row(body, BEGINI.keys(mark(title)))
            request = BEGINI.request(body, target=target)
            yield _case(title, request, refusal or BEGINI.accepted, *(() if refusal else (row,)))
        target = b"%b?access_token=%b" % (CLOUDEVENTS.path, quote(text, safe="").encode())
        headers = [(b"Content-Type", b"application/json")]
        refusal = refusal_of_target(target) or CLOUDEVENTS.refused("bad_signature", "missing_signature")
        yield _case(
            f"queries/token/{name}", CLOUDEVENTS.request(b"{}", headers=headers, target=target), refusal
        )


def headers() -> Cases:
    """As a header's value and name: refused by their form, or stored as they came."""
    for name, text in NAUGHTY.items():
        for form, value in (("UTF-8", text.encode()), ("Latin-1", text.encode("latin-1", errors="replace"))):
            title = f"headers/{form} value/{name}"
            body = BEGINI.document(mark(title), b"0")
            # Line ends would make other headers of it, which is what framing.py is about.
            value_ = value.replace(b"\r\n", b"")
            refusal = refusal_of_value(value_)
            stored = ("x-naughty", value_.strip(b" \t").decode("latin-1"))
            row = BEGINI.row(body, BEGINI.keys(mark(title)), stored)
            request = BEGINI.request(body, more=[(b"X-Naughty", value_)])
            yield _case(title, request, refusal or BEGINI.accepted, *(() if refusal else (row,)))
        title = f"headers/name/{name}"
        body = BEGINI.document(mark(title), b"0")
        line = text.encode().replace(b"\r\n", b"")
        field, _, rest = (line + b": value").partition(b":")
        refusal = refusal_of_name(field) or refusal_of_value(rest)
        if field.lower() in (b"content-length", b"transfer-encoding"):
            refusal = bad("bad_framing")
        stored = (field.decode("latin-1").lower(), rest.strip(b" \t").decode("latin-1"))
        row = BEGINI.row(body, BEGINI.keys(mark(title)), stored)
        request = BEGINI.request(body, more=[(line, b"value")])
        yield _case(title, request, refusal or BEGINI.accepted, *(() if refusal else (row,)))


def ids() -> Cases:
    """As ids and types that come in headers."""
    for name, text in NAUGHTY.items():
        value = text.encode().replace(b"\r\n", b"")
        refusal = refusal_of_value(value)
        plain = value.strip(b" \t")
        yield _signed_id(f"ids/standard/{name}", value, plain, refusal)
        for field in (b"X-GitHub-Event", b"X-GitHub-Delivery"):
            title = f"ids/{field.decode()}/{name}"
            body = GITHUB.document(mark(title), b"0")
            lines = [(key, old if key != field else value) for key, old in GITHUB.sign(body, mark(title))]
            decoded = plain.decode("latin-1")
            type_ = "push.opened"
            if field == b"X-GitHub-Event":
                type_ = f"{decoded}.opened" if is_key(decoded) else UNPARSABLE
            row = Row(GITHUB.source, type_, body)
            request = GITHUB.request(body, headers=lines)
            yield _case(title, request, refusal or GITHUB.accepted, *(() if refusal else (row,)))


def _signed_id(title: str, value: bytes, plain: bytes, refusal: Reply | None) -> Case:
    # The id is signed as the edge sees it, without the blanks around it.
    body = STANDARD.document(mark(title), b"0")
    lines = [(key, value if key == b"webhook-id" else old) for key, old in sign_standard(body, plain)]
    request = STANDARD.request(body, headers=lines)
    if refusal is not None:
        return _case(title, request, refusal)
    if not plain:
        return _case(title, request, STANDARD.refused("missing_id"))
    row = Row(STANDARD.source, "user.created" if is_key(plain.decode("latin-1")) else UNPARSABLE, body)
    return _case(title, request, STANDARD.accepted, row)


def handshakes() -> Cases:
    """As challenges and verify tokens."""
    for name, text in NAUGHTY.items():
        escaped = quote(text, safe="").encode()
        for title, token, challenge in (
            ("token", escaped, b"1158201444"),
            ("challenge", quote(VERIFY_TOKEN).encode(), escaped),
        ):
            query = b"hub.mode=subscribe&hub.verify_token=%b&hub.challenge=%b" % (token, challenge)
            target = META.path + b"?" + query
            reply = refusal_of_target(target)
            if reply is None:
                reply = META.refused("bad_verify_token")
                if title == "challenge":
                    reply = Reply(200, body=text.encode()) if is_key(text) else bad("unknown_handshake")
            yield _case(f"handshakes/meta {title}/{name}", _HOSTED % (b"GET", target), reply)


def _case(name: str, request: bytes, reply: Reply, *rows: Row) -> Case:
    """Front refusals end the connection; others don't."""
    ends = reply.status in (400, 414, 431) and not set(reply.codes) & {"unknown_handshake"}
    return Case(name, request, (reply,), rows, End.LAST if ends else End.KEEP)
