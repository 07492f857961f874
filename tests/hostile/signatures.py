"""Signatures that are nearly right, and headers that nearly hold one."""

import re
from collections.abc import Collection, Iterator, Mapping
from time import time

from hostile.case import Case, Cases, End, Reply, bad, mark, problem
from hostile.senders import (
    BEGINI,
    CLOUDEVENTS,
    GITHUB,
    GITLAB,
    META,
    PACKED,
    SLACK,
    STANDARD,
    STRIPE,
    Headers,
    Sender,
)
from hostile.wire_rules import refusal_of_value

HEADERS: Mapping[Sender, bytes] = {
    BEGINI: b"X-Signature",
    PACKED: b"X-Signature",
    STRIPE: b"Stripe-Signature",
    SLACK: b"X-Slack-Signature",
    STANDARD: b"webhook-signature",
    GITHUB: b"X-Hub-Signature-256",
    META: b"X-Hub-Signature-256",
    GITLAB: b"X-Gitlab-Token",
    CLOUDEVENTS: b"Authorization",
}
"""Where the signature is, or the token."""
CLOCKS: Mapping[Sender, bytes] = {
    STRIPE: b"Stripe-Signature",
    SLACK: b"X-Slack-Request-Timestamp",
    STANDARD: b"webhook-timestamp",
}
IDS: Mapping[Sender, bytes] = {STANDARD: b"webhook-id"}
_CAUSES = (
    "missing_signature", "malformed_signature", "bad_signature", "missing_timestamp", "malformed_timestamp",
    "stale_timestamp", "missing_id",
)  # fmt: skip
_MASKS = (0x01, 0x02, 0x20, 0x80)
_DIGEST = re.compile(rb"[0-9a-f]{64}|[0-9a-f]{128}|[A-Za-z0-9+/]{43}=")


def changed() -> Cases:
    """Each byte of the header changed, and it cut off behind each."""
    for sender in HEADERS:
        body = sender.document(mark("changed"), b"0")
        headers = sender.sign(body, mark("changed"))
        for change, value in _changes(dict(headers)[HEADERS[sender]]):
            lines = [(key, value if key == HEADERS[sender] else old) for key, old in headers]
            title = f"signature/{sender.source}/{change}"
            request = sender.request(body, headers=lines)
            if (refusal := refusal_of_value(value)) is not None:
                yield Case(title, request, (refusal,), end=End.LAST)
            else:
                yield Case(title, request, (sender.refused(*_CAUSES),))


def _changes(value: bytes) -> Iterator[tuple[str, bytes]]:
    for place in range(len(value)):
        for mask in _MASKS:
            changed = bytes([value[place] ^ mask])
            yield f"byte {place} ^ {mask:#04x}", value[:place] + changed + value[place + 1 :]
        yield f"cut at {place}", value[:place]
        yield f"first {place} missing", value[place + 1 :]
        yield f"blank at {place}", value[: place + 1] + b"x " + value[place + 1 :]
        yield f"NUL at {place}", value[:place] + b"\0" + value[place:]


def spelled() -> Cases:
    """The right signature in another spelling: none but the provider's own counts."""
    for sender, header in HEADERS.items():
        body = sender.document(mark("spelled"), b"0")
        headers = sender.sign(body, mark("spelled"))
        for name, value in _spellings(dict(headers)[header]):
            other = [(key, value if key == header else old) for key, old in headers]
            request = sender.request(body, headers=other)
            yield Case(f"spelling/{sender.source}/{name}", request, (sender.refused(*_CAUSES),))


def _spellings(value: bytes) -> Iterator[tuple[str, bytes]]:
    found = _DIGEST.search(value)
    assert found is not None
    digest = found[0]

    def put(text: bytes) -> bytes:
        return value.replace(digest, text)

    yield "empty header", b""
    yield "no digest", put(b"")
    yield "zeros", put(b"0" * len(digest))
    yield "twice in one", put(digest + digest)
    yield "the first half", put(digest[: len(digest) // 2])
    yield "a byte more", put(digest + b"00")
    yield "a digit more", put(digest + b"0")
    yield "0x first", put(b"0x" + digest)
    yield "quoted", put(b'"' + digest + b'"')
    yield "single quotes", put(b"'" + digest + b"'")
    yield "in brackets", put(b"<" + digest + b">")
    yield "colons", put(b":".join(digest[place : place + 2] for place in range(0, len(digest), 2)))
    yield "percent-encoded", put(b"".join(b"%%%02x" % byte for byte in digest))
    yield "full-width digits", put("".join(chr(0xFEE0 + byte) for byte in digest).encode())
    yield "with a NUL escaped", put(digest + rb"\u0000")
    yield "null", put(b"null")
    yield "undefined", put(b"undefined")
    yield "true", put(b"true")
    yield "an array", put(b"[" + digest + b"]")
    yield "a wildcard", put(b"*")
    yield "a regular expression", put(b".*")
    yield "60 KB", put(b"a" * 60_000)
    yield "60 KB of commas", put(b"," * 60_000)
    yield "60 KB of blanks and more", put(b"a" + b" " * 60_000 + b"a")
    if digest != digest.upper() and not digest.endswith(b"="):
        yield "capitals", put(digest.upper())
    if digest.endswith(b"="):
        yield "no padding", put(digest[:-1])
        yield "more padding", put(digest + b"=")
        yield "newline escaped", put(digest[:20] + rb"\n" + digest[20:])
        yield "junk inside", put(digest[:20] + b"!" + digest[20:])
        yield "unused bits set", put(digest[:-2] + bytes([digest[-2] + 1]) + b"=")


def around() -> Cases:
    """The header twice, elsewhere, under almost its name, and beside others."""
    for sender, header in HEADERS.items():
        refused = sender.refused("missing_signature")
        for name, lines in _misplaced(sender, header):
            body = sender.document(mark("around"), b"0")
            yield Case(f"around/{sender.source}/{name}", sender.request(body, headers=lines), (refused,))
        for name, change in _lists(sender, header).items():
            title = f"lists/{sender.source}/{name}"
            body = sender.document(mark(title), b"0")
            headers = [
                (key, change.replace(b"GOOD", old) if key == header else old)
                for key, old in sender.sign(body, mark(title))
            ]
            row = sender.row(body, sender.keys(mark(title)))
            yield Case(title, sender.request(body, headers=headers), (sender.accepted,), (row,))


def _misplaced(sender: Sender, header: bytes) -> Iterator[tuple[str, Headers]]:
    signed = sender.sign(sender.document(mark("around"), b"0"), mark("around"))
    value = dict(signed)[header]
    rest = [line for line in signed if line[0] != header]
    yield "missing", rest
    yield "twice", [*signed, (header, value)]
    yield "twice in other letters", [*signed, (header.swapcase(), value)]
    yield "a bad one after", [*signed, (header, b"00")]
    yield "a bad one before", [(header, b"00"), *signed]
    yield "an empty one after", [*signed, (header, b"")]
    yield "100 of them", [*rest, *[(header, value)] * 100]
    yield "with underscores", [*rest, (header.replace(b"-", b"_") + b"_", value)]
    yield "almost the name", [*rest, (header + b"s", value)]
    yield "for a proxy", [*rest, (b"X-Forwarded-" + header, value)]
    yield "in a cookie", [*rest, (b"Cookie", header + b"=" + value)]


def _lists(sender: Sender, header: bytes) -> Mapping[str, bytes]:
    """Headers that hold a good signature, and must be taken."""
    del header
    blanks = {"blanks before": b" \t GOOD"}
    if sender is STRIPE:
        return {
            **blanks,
            "another scheme": b"GOOD,v0=00",
            "a bad one after": b"GOOD,v1=00",
            "empty fields": b",GOOD,,",
        }
    if sender is STANDARD:
        return {
            **blanks,
            "another version": b"v2,AAAA GOOD",
            "a bad one before": b"v1,AAAA GOOD",
            "junk before": b"v1,!!! v1 , v1a,x GOOD",
            "30 bad ones before": b"v1,AAAA " * 30 + b"GOOD",
        }
    return blanks


def clocks() -> Cases:
    """Timestamps that are old, far, or written otherwise; where it is signed, it is signed as it stands."""
    now = int(time())
    for sender, header in CLOCKS.items():
        for name, (text, codes) in _times(now).items():
            title = f"clocks/{sender.source}/{name}"
            body = sender.document(mark(title), b"0")
            signed = sender.sign(body, mark(title), text)
            codes_ = codes if sender is not STRIPE or "," not in text.decode("latin-1") else _CAUSES
            request = sender.request(body, headers=signed)
            yield Case(title, request, (sender.refused(*codes_),))
        body = sender.document(mark("clocks"), b"0")
        if sender is not STRIPE:
            signed = sender.sign(body, mark("clocks"))
            lines = [line for line in signed if line[0] != header]
            for name, other in {"missing": lines, "twice": [*signed, (header, b"%d" % now)]}.items():
                request = sender.request(body, headers=other)
                yield Case(f"clocks/{sender.source}/{name}", request, (sender.refused("missing_timestamp"),))


def _times(now: int) -> Mapping[str, tuple[bytes, Collection[str]]]:
    stale, malformed = ("stale_timestamp",), ("malformed_timestamp",)
    return {
        "an hour old": (b"%d" % (now - 3600), stale),
        "an hour ahead": (b"%d" % (now + 3600), stale),
        "310 s old": (b"%d" % (now - 310), stale),
        "330 s ahead": (b"%d" % (now + 330), stale),
        "1": (b"1", stale),
        "the largest": (b"99999999999", stale),
        "zero": (b"0", malformed),
        "negative": (b"-%d" % now, malformed),
        "plus": (b"+%d" % now, malformed),
        "fraction": (b"%d.0" % now, malformed),
        "exponent": (b"%de0" % now, malformed),
        "leading zero": (b"0%d" % now, malformed),
        "milliseconds": (b"%d000" % now, malformed),
        "hex": (hex(now).encode(), malformed),
        "underscore": (b"%d_0" % (now // 10), malformed),
        "a blank inside": (b"%d %d" % (now // 10, now % 10), malformed),
        "ISO 8601": (b"2026-04-15T10:00:00Z", malformed),
        "HTTP date": (b"Wed 15 Apr 2026 10:00:00 GMT", malformed),
        "infinity": (b"inf", malformed),
        "NaN": (b"nan", malformed),
        "words": (b"now", malformed),
        "full-width digits": ("".join(chr(0xFEE0 + ord(c)) for c in str(now)).encode(), malformed),
        "5,000 digits": (b"1" * 5000, malformed),
        "NULs escaped": (rb"\u0000%d" % now, malformed),
    }


def types() -> Cases:
    """Content types that the provider doesn't send, and encodings that the source doesn't allow."""
    body = BEGINI.document(mark("types"), b"0")
    wrong = problem(415, "wrong_content_type")
    for number, type_ in enumerate(
        (
            b"", b"text/plain", b"text/html", b"application/xml", b"application/x-www-form-urlencoded",
            b"multipart/form-data; boundary=x", b"application/jsonx", b"xapplication/json",
            b"application/json,text/plain",
            b"application/ json", b"application", b"/json", b"json", b"*/*", b"application/*",
            b"application/x-ndjson",
            b"application/json-seq", b"text/json", b"application/\xff", b"application\\json",
            b"application%2Fjson",
            b'"application/json"', b"application/octet-stream", b"charset=utf-8", b";application/json",
            b"a" * 10_000,
        )
    ):  # fmt: skip
        headers = [(b"Content-Type", type_), *BEGINI.sign(body, "")[1:]]
        yield Case(f"types/{number} {type_[:20]!r}", BEGINI.request(body, headers=headers), (wrong,))
    for number, type_ in enumerate(
        (
            b"application/json;charset=utf-8", b"APPLICATION/JSON", b"application/json; charset=utf-7",
            b"application/json ; a=b; c", b"application/json;", b'application/json; boundary="x"',
        )
    ):  # fmt: skip
        title = f"types/fine {number}"
        fine = BEGINI.document(mark(title), b"0")
        headers = [(b"Content-Type", type_), *BEGINI.sign(fine, "")[1:]]
        row = BEGINI.row(fine, BEGINI.keys(mark(title)))
        yield Case(title, BEGINI.request(fine, headers=headers), (BEGINI.accepted,), (row,))
    for sender in HEADERS:
        if sender is not CLOUDEVENTS:
            text = sender.document(mark("types"), b"0")
            headers = [(b"Content-Type", b"image/png"), *sender.sign(text, "")[1:]]
            yield Case(f"types/{sender.source} image", sender.request(text, headers=headers), (wrong,))
    yield Case("types/none", BEGINI.request(body, headers=BEGINI.sign(body, "")[1:]), (wrong,))


def methods() -> Cases:
    """Every other method, on every source."""
    refused: dict[bytes, Reply] = {}
    for method in (
        b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"TRACE", b"COPY", b"LOCK", b"MKCOL",
        b"MOVE",
        b"PROPFIND", b"PROPPATCH", b"SEARCH", b"UNLOCK", b"BIND", b"REPORT", b"PURGE", b"MERGE", b"NOTIFY",
        b"SUBSCRIBE",
        b"LINK", b"UNLINK", b"SOURCE", b"M-SEARCH", b"QUERY", b"CONNECT",
    ):  # fmt: skip
        refused[method] = problem(405, "method_not_allowed")
        for sender in HEADERS:
            body = sender.document(mark("methods"), b"0")
            reply = refused[method]
            if method == b"HEAD":
                reply = Reply(405)
            if (sender, method) in ((META, b"GET"), (CLOUDEVENTS, b"OPTIONS")):
                reply = bad("unknown_handshake")
            request = sender.request(body, mark("methods"), method=method)
            yield Case(f"methods/{method.decode()} {sender.source}", request, (reply,))
    for method in (
        b"post", b"Post", b"POS", b"POSTS", b"PosT", b"BREW", b"FOO", b"\xff", b"P\0ST", b"P OST", b"",
        b"GETPOST", b"PRI",
        b"X" * 100, b"{}", b"<POST>", b"POST,GET", b"POST\t", b"\x16\x03\x01",
    ):  # fmt: skip
        body = BEGINI.document(mark("methods"), b"0")
        request = BEGINI.request(body, method=method)
        yield Case(
            f"methods/none {method[:20]!r}", request, (bad("bad_request", "bad_target"),), end=End.LAST
        )
