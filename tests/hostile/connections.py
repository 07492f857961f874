"""Whole requests of odd forms: hosts, targets, versions, requests sent ahead, and what is never finished."""

from hostile.case import Case, Cases, End, Reply, Row, bad, mark, problem
from hostile.framing import smuggled
from hostile.senders import BEGINI

_NOBODY = b"GET /v1/webhooks/nobody HTTP/1.1\r\nHost: edge\r\n\r\n"
_UNKNOWN = problem(404, "unknown_source")


def _genuine(name: str) -> tuple[bytes, Row]:
    body = BEGINI.document(mark(name), b"0")
    return BEGINI.request(body), BEGINI.row(body, BEGINI.keys(mark(name)))


def hosts() -> Cases:
    """Hosts that are none, and those that are strange."""
    for host in (
        b"edge", b"", b"127.0.0.1:8080", b"[::1]:80", b"a.b.c.", b"xn--4ca", b"a_b", b"%41", b"a" * 5000,
        b"localhost:99999", b"*", b"a;b",
    ):  # fmt: skip
        name = f"hosts/fine {host[:20]!r}"
        request, row = _genuine(name)
        yield Case(name, request.replace(b"Host: edge", b"Host: " + host), (BEGINI.accepted,), (row,))
    for host in (
        b"a b", b"a/b", b"a@b", b"http://edge", b"a#b", b"a?b", b"a\\b", b"<a>", b'"a"', b"a\tb",
        b"\xc3\xa9", b"a|b", b"a^b", b"{a}", b"a`b",
        b"a\x80",
    ):  # fmt: skip
        name = f"hosts/bad {host!r}"
        request = _genuine(name)[0].replace(b"Host: edge", b"Host: " + host)
        yield Case(name, request + smuggled(name), (bad("bad_host"),), end=End.LAST)
    for name, lines in {
        "none": b"", "two": b"Host: edge\r\nHost: edge\r\n",
        "two others": b"Host: edge\r\nX: a\r\nhost: b\r\n",
        "three": b"Host: a\r\n" * 3, "one empty": b"Host: edge\r\nHost:\r\n",
    }.items():  # fmt: skip
        request = _genuine(name)[0].replace(b"Host: edge\r\n", lines)
        yield Case(f"hosts/{name}", request + smuggled(name), (bad("bad_host"),), end=End.LAST)


def targets() -> Cases:
    """Targets that are no path, and paths that only look like another."""
    for target in (
        b"http://edge/v1/webhooks/begini", b"https://edge/", b"//", b"*", b"edge:443",
        b"v1/webhooks/begini", b"?", b"#", b"/#", b"\\",
        b"/v1/webhooks/begini#", b"file:///etc/passwd", b"javascript:alert(1)", b"-", b"HTTP/1.1",
    ):  # fmt: skip
        name = f"targets/{target!r}"
        request = _genuine(name)[0].replace(BEGINI.path, target, 1)
        if target == b"//":
            yield Case(name, request, (problem(404, "not_found"),))
        else:
            codes = ("bad_target", "bad_request")
            yield Case(name, request + smuggled(name), (Reply(400, codes),), end=End.LAST)
    for path in (
        b"/v1/webhooks/begini/", b"//v1/webhooks/begini", b"/v1//webhooks/begini", b"/v1/webhooks//begini",
        b"/V1/webhooks/begini",
        b"/v1/webhooks/", b"/v1/webhooks", b"/v1/webhooks/begini/..", b"/v1/webhooks/./begini",
        b"/v1/x/../webhooks/begini",
        b"/v1%2fwebhooks/begini%2f", b"/", b"/v1", b"/admin", b"/metrics", b"/docs", b"/openapi.json",
        b"/.env", b"/readyz/", b"/v1/webhooks/a/b",
        b"/v1/webhooks/a%2fb", b"/healthz/x", b"/%68ealthz%2f",
    ):  # fmt: skip
        name = f"targets/path {path!r}"
        request = _genuine(name)[0].replace(BEGINI.path, path, 1)
        yield Case(name, request, (problem(404, "not_found"),))
    for path in (
        b"/v1/webhooks/Begini",
        b"/v1/webhooks/begini%20",
        b"/v1/webhooks/begini;a",
        b"/v1/webhooks/begini%00",
        b"/v1/webhooks/..",
    ):
        name = f"targets/source {path!r}"
        yield Case(name, _genuine(name)[0].replace(BEGINI.path, path, 1), (_UNKNOWN,))
    for path in (
        b"/v1/webhooks/%62egini",
        b"/v1/webhooks/%62%65%67%69%6E%69",
        b"/v1/webhooks/begini?",
        b"/v1/%77ebhooks/begini?a?b",
    ):
        name = f"targets/same {path!r}"
        request, row = _genuine(name)
        yield Case(name, request.replace(BEGINI.path, path, 1), (BEGINI.accepted,), (row,))


def versions() -> Cases:
    """Every version of one digit each, and what is no version."""
    for major in range(10):
        for minor in range(10):
            version = b"HTTP/%d.%d" % (major, minor)
            name = f"versions/{version.decode()}"
            request, row = _genuine(name)
            request = request.replace(b"HTTP/1.1", version, 1)
            if (major, minor) == (1, 1):
                yield Case(name, request, (BEGINI.accepted,), (row,))
            elif (major, minor) == (1, 0):
                # Without keep-alive: what follows isn't read.
                yield Case(name, request + smuggled(name), (BEGINI.accepted,), (row,), End.LAST)
            else:
                yield Case(name, request + smuggled(name), (bad("unsupported_version"),), end=End.LAST)
    for version in (b"HTTP/1", b"HTTP/1.", b"HTTP/.1", b"HTTP/11", b"HTTP/1.10", b"HTTP/01.1", b"HTTP/1,1",
    b"http/1.1", b"HTTPS/1.1", b"ICY/1.0",
                    b"HTTP 1.1", b"HTTP/-1.1", b"HTTP/1.1 HTTP/1.1", b"SIP/2.0", b"", b"HTTP/\xb9.1",
                    b"HTTP"):  # fmt: skip
        name = f"versions/none {version!r}"
        request = _genuine(name)[0].replace(b"HTTP/1.1", version, 1) + smuggled(name)
        yield Case(name, request, (bad("bad_request", "unsupported_version"),), end=End.LAST)
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000")
    yield Case("versions/HTTP/2 preface", preface, (bad("unsupported_version"),), end=End.LAST)
    for name, hello in {
        "TLS": bytes.fromhex("16030100c8010000c40303") + bytes(190),
        "SSL 2": bytes.fromhex("802e0100020015"), "SSH": b"SSH-2.0-OpenSSH\r\n",
        "SMTP": b"EHLO a\r\n", "Redis": b"*1\r\n$4\r\nPING\r\n", "gRPC": b"\0\0\0\0\5hello\n",
        "PROXY": b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n",
        "PROXY 2": bytes.fromhex("0d0a0d0a000d0a515549540a"), "NULs": bytes(1000),
        "line feeds": b"\n" * 1000, "HTTP 0.9": b"GET /\r\n",
        "FastCGI": bytes.fromhex("0101000100080000"), "MQTT": bytes.fromhex("101000044d515454"),
        "an answer": b"HTTP/1.1 200 OK\r\n\r\n",
    }.items():  # fmt: skip
        yield Case(f"versions/other/{name}", hello + b"\r\n\r\n" + smuggled(name), None, end=End.HALF)


def ahead() -> Cases:
    """Requests that are sent before the answers to those before them."""
    # As much as may wait is answered; of more the rest is dropped, and the connection ends.
    yield Case("ahead/1,200 requests", _NOBODY * 1_200, (_UNKNOWN,) * 1_200, end=End.DROP)
    for number in range(3):
        yield Case(f"ahead/10,000 requests {number}", _NOBODY * 10_000, None, end=End.DROP)
    for name, bad_ones in {"ahead/good": (), "ahead/good and bad": (BEGINI.refused(),)}.items():
        forged = BEGINI.request(b"{}", headers=BEGINI.forge(b"{}", "")) * len(bad_ones)
        pairs = [_genuine(f"{name} {number}") for number in range(100)]
        request = b"".join(one + forged for one, _ in pairs)
        yield Case(
            name, request, (BEGINI.accepted, *bad_ones) * 100, tuple(row for _, row in pairs), End.DROP
        )
    for number, empties in enumerate((1, 2, 3, 10)):
        name = f"ahead/{empties} empty lines between"
        (first, row), (second, other) = _genuine(name), _genuine(f"{name} second")
        request = first + b"\r\n" * empties + second
        if number == 0:
            yield Case(name, request, (BEGINI.accepted,) * 2, (row, other), End.DROP)
        else:
            yield Case(name, request, (BEGINI.accepted, bad("bad_request")), (row,), End.LAST)
    for close in (b"close", b"Close", b"keep-alive, close", b"close, x"):
        name = f"ahead/behind Connection: {close.decode()}"
        request, row = _genuine(name)
        request = request.replace(b"Host: edge", b"Host: edge\r\nConnection: " + close)
        yield Case(name, request + smuggled(name), (BEGINI.accepted,), (row,), End.LAST)


def expecting() -> Cases:
    """Expectations and upgrades, granted and not."""
    for number, expectation in enumerate(
        (b"100-continue", b"100-Continue", b"200-ok", b"", b"100-continue, x", b"a" * 1000)
    ):
        name = f"expecting/{number} with its body"
        request, row = _genuine(name)
        request = request.replace(b"Host: edge", b"Host: edge\r\nExpect: " + expectation)
        # The body is there already: nobody has to say "continue".
        yield Case(name, request, (BEGINI.accepted,), (row,))
    for upgrade in (b"websocket", b"h2c", b"TLS/1.0", b"HTTP/2.0", b"foo/2", b"\xff"):
        name = f"expecting/upgrade {upgrade!r}"
        request, row = _genuine(name)
        lines = b"Host: edge\r\nConnection: Upgrade\r\nUpgrade: %b\r\nHTTP2-Settings: AAMAAABk" % upgrade
        yield Case(name, request.replace(b"Host: edge", lines), (BEGINI.accepted,), (row,))


def unfinished() -> Cases:
    """A genuine request cut off at each of its bytes: nothing comes of it."""
    whole, _ = _genuine("unfinished")
    for place in range(1, len(whole)):
        yield Case(f"unfinished/{place} bytes", whole[:place], (), end=End.HALF)


def sizes() -> Cases:
    """Heads and bodies at their limits, and beyond."""
    for name, line, reply in (
        ("a line of 60 KB", b"X: " + b"a" * 60_000, None),
        ("a line of 70 KB", b"X: " + b"a" * 70_000, Reply(431, ("header_too_large",))),
        ("a name of 70 KB", b"a" * 70_000 + b": x", Reply(431, ("header_too_large",))),
        ("120 lines", b"\r\n".join(b"X-%d: a" % number for number in range(120)), None),
        (
            "130 lines",
            b"\r\n".join(b"X-%d: a" % number for number in range(130)),
            Reply(431, ("header_too_large",)),
        ),
        ("20,000 lines", b"\r\n".join([b"a:"] * 20_000), Reply(431, ("header_too_large",))),
        ("120 equal lines", b"\r\n".join([b"X: a"] * 120), None),
        ("5 MB", b"X: " + b"a" * 5_000_000, None),
    ):
        title = f"sizes/{name}"
        request, row = _genuine(title)
        request = request.replace(b"Host: edge", b"Host: edge\r\n" + line)
        if name == "5 MB":
            yield Case(title, request[:4_000_000], (Reply(431, ("header_too_large",)),), end=End.LAST)
        elif reply is None:
            yield Case(title, request, (BEGINI.accepted,), (row,))
        else:
            yield Case(title, request, (reply,), end=End.LAST)
    for size in (1024 * 1024, 1024 * 1024 + 1, 3 * 1024 * 1024):
        title = f"sizes/body of {size}"
        short = BEGINI.document(mark(title), b'""')
        body = BEGINI.document(mark(title), b'"' + b"a" * (size - len(short)) + b'"')
        row = BEGINI.row(body, BEGINI.keys(mark(title)))
        chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        head = BEGINI.request(body).partition(b"\r\n\r\n")[0]
        other = (
            head.replace(b"Content-Length: %d" % len(body), b"Transfer-Encoding: chunked")
            + b"\r\n\r\n"
            + chunked
        )
        if size > 1024 * 1024:
            refused = (problem(413, "body_too_large"),)
            yield Case(title, BEGINI.request(body), refused, end=End.LAST)
            yield Case(f"{title} in chunks", other, refused, end=End.LAST)
        else:
            yield Case(title, BEGINI.request(body), (BEGINI.accepted,), (row,))
            yield Case(f"{title} in chunks", other, (Reply(200, says="duplicate"),))
