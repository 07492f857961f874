"""Handshakes that nobody's provider sends."""

import json
from itertools import permutations
from urllib.parse import quote

from hostile.case import Case, Cases, Reply, bad, mark
from hostile.senders import CLOUDEVENTS, META, SLACK, VERIFY_TOKEN, Headers

_TOKEN = quote(VERIFY_TOKEN).encode()
_GOOD = {b"hub.mode": b"subscribe", b"hub.verify_token": _TOKEN, b"hub.challenge": b"1158201444"}


def _get(query: bytes, headers: bytes = b"", method: bytes = b"GET", path: bytes = META.path) -> bytes:
    return b"%b %b?%b HTTP/1.1\r\nHost: edge\r\n%b\r\n" % (method, path, query, headers)


def _query(values: dict[bytes, bytes]) -> bytes:
    return b"&".join(b"%b=%b" % item for item in values.items())


def meta() -> Cases:
    """Meta's GET: without one part, with one twice, with a wrong token, with too many."""
    fine = Reply(200, body=b"1158201444")
    unknown, wrong = bad("unknown_handshake"), META.refused("bad_verify_token")
    for number, order in enumerate(permutations(_GOOD.items())):
        yield Case(f"challenges/meta order {number}", _get(_query(dict(order))), (fine,))
    for name, good in _GOOD.items():
        rest = {key: value for key, value in _GOOD.items() if key != name}
        reply = wrong if name == b"hub.verify_token" else unknown
        title = f"challenges/meta {name.decode()}"
        yield Case(f"{title} missing", _get(_query(rest)), (reply,))
        yield Case(f"{title} empty", _get(_query({**rest, name: b""})), (reply,))
        yield Case(f"{title} twice", _get(_query(_GOOD) + b"&" + name + b"=" + good), (reply,))
        yield Case(f"{title} in capitals", _get(_query({**rest, name.upper(): good})), (reply,))
        yield Case(
            f"{title} with an underscore", _get(_query({**rest, name.replace(b".", b"_"): b"a"})), (reply,)
        )
        yield Case(f"{title} invalid UTF-8", _get(_query({**rest, name: b"%ff"})), (unknown,))
        yield Case(f"{title} NUL", _get(_query({**rest, name: b"%00"})), (reply,))
        yield Case(f"{title} of 512", _get(_query({**rest, name: b"a" * 512})), (
            Reply(200, body=b"a" * 512) if name == b"hub.challenge" else reply,
        ))  # fmt: skip
        yield Case(f"{title} of 513", _get(_query({**rest, name: b"a" * 513})), (reply,))
    for place in range(len(VERIFY_TOKEN)):
        for token in (VERIFY_TOKEN[:place], VERIFY_TOKEN[:place] + "X" + VERIFY_TOKEN[place + 1 :]):
            query = _query({**_GOOD, b"hub.verify_token": quote(token).encode()})
            yield Case(f"challenges/meta token {token!r}", _get(query), (wrong,))
    for change, other in (
        ("longer", _TOKEN + b"a"),
        ("a blank more", _TOKEN + b"%20"),
        ("capitals", _TOKEN.upper()),
    ):
        query = _query({**_GOOD, b"hub.verify_token": other})
        yield Case(f"challenges/meta token {change}", _get(query), (wrong,))
    for count, reply in {900: fine, 1100: unknown}.items():
        query = _query(_GOOD) + b"&a=" * count
        yield Case(f"challenges/meta {count} parameters", _get(query), (reply,))
    for mode in (b"unsubscribe", b"Subscribe", b"subscribe%20", b"0"):
        yield Case(f"challenges/meta mode {mode!r}", _get(_query({**_GOOD, b"hub.mode": mode})), (unknown,))
    for markup in (b"<script>alert(1)</script>", b"%0d%0aX-Injected: 1", b"%0d%0a%0d%0aHTTP/1.1 200 OK"):
        escaped = quote(markup, safe="%").encode()
        body = markup.replace(b"%0d", b"\r").replace(b"%0a", b"\n")
        query = _query({**_GOOD, b"hub.challenge": escaped})
        yield Case(f"challenges/meta answer {markup!r}", _get(query), (Reply(200, body=body),))


def slack() -> Cases:
    """Slack's url_verification: signed or refused; with a challenge, or an event like any other."""
    for number, challenge in enumerate(
        (
            "a",
            "a" * 512,
            '"',
            "\\",
            "</script>",
            "é",
            "💥",
            "{challenge}",
            "\x01",
            "\r\nX: a",
            "a,b",
            "\u2028",
            "{}",
            "%s",
        )
    ):
        title = f"challenges/slack {number}"
        body = json.dumps({"type": "url_verification", "challenge": challenge, "mark": mark(title)}).encode()
        reply = Reply(
            200, body=json.dumps({"challenge": challenge}, ensure_ascii=False, separators=(",", ":")).encode()
        )
        yield Case(f"{title}/signed", SLACK.request(body), (reply,))
        forged = SLACK.request(body, headers=SLACK.forge(body, ""))
        yield Case(f"{title}/forged", forged, (SLACK.refused("bad_signature"),))
    for name, value in {
        "number": b"1.5", "null": b"null", "array": b'["a"]', "empty": b'""',
        "long": b'"' + b"a" * 513 + b'"',
        "NUL": rb'"\u0000"', "half a character": rb'"\ud800"',
    }.items():  # fmt: skip
        title = f"challenges/slack no challenge: {name}"
        body = b'{"type":"url_verification","challenge":%b,"mark":"%b"}' % (value, mark(title).encode())
        row = SLACK.row(body, {"/type": "url_verification"}.get)
        yield Case(title, SLACK.request(body), (SLACK.accepted,), (row,))


def cloudevents() -> Cases:
    """CloudEvents' OPTIONS: an origin that would make other headers of the answer's."""
    for number, origin in enumerate(
        (
            b"eventemitter.example.com",
            b"*",
            b"a" * 512,
            b"<a>",
            b"a, b",
            b"a;b",
            b"{challenge}",
            b'"',
            b"a  b",
            b"null",
        )
    ):
        request = _get(b"", b"WebHook-Request-Origin: %b\r\n" % origin, b"OPTIONS", CLOUDEVENTS.path)
        yield Case(f"challenges/cloudevents {number}", request, (Reply(200),))
    for name, line in {
        "missing": b"", "empty": b"WebHook-Request-Origin:\r\n",
        "too long": b"WebHook-Request-Origin: %b\r\n" % (b"a" * 513),
        "twice": b"WebHook-Request-Origin: a\r\n" * 2, "beyond ASCII": b"WebHook-Request-Origin: \xff\r\n",
        "a tab": b"WebHook-Request-Origin: a\tb\r\n",
    }.items():  # fmt: skip
        request = _get(b"", line, b"OPTIONS", CLOUDEVENTS.path)
        yield Case(f"challenges/cloudevents {name}", request, (bad("unknown_handshake"),))
    lines: Headers = [(b"WebHook-Request-Origin", b"a")]
    refused = CLOUDEVENTS.refused("missing_signature")
    yield Case(
        "challenges/cloudevents as POST",
        CLOUDEVENTS.request(b"{}", headers=[(b"Content-Type", b"application/json"), *lines]),
        (refused,),
    )
