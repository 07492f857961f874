"""Heads that nobody would think of: random bytes, random grammar, and genuine requests with random damage."""

from random import Random

from hostile.case import Case, Cases, End, mark
from hostile.framing import smuggled
from hostile.senders import BEGINI, META, STANDARD, STRIPE

_COUNT = 1_000
_TELLING = (BEGINI, STRIPE, STANDARD, META)
"""Their answers say whether they were accepted, and their headers don't change what is stored."""
_METHODS = (b"GET", b"POST", b"HEAD", b"PUT", b"OPTIONS", b"CONNECT", b"post", b"PRI", b"", b"\0", b"A" * 40)
_TARGETS = (
    b"/", b"*", b"/healthz", b"/readyz", b"/v1/webhooks/begini", b"/v1/webhooks/nobody",
    b"/v1/webhooks/meta?hub.mode=subscribe", b"/%00", b"/%",
    b"//", b"/..", b"http://a/", b"/" + b"a" * 9000, b"?", b"/\xff", b"/v1/webhooks/stripe", b"/a b",
)  # fmt: skip
_VERSIONS = (
    b"HTTP/1.1",
    b"HTTP/1.1",
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"HTTP/2.0",
    b"HTTP/0.9",
    b"http/1.1",
    b"",
    b"HTTP/1.1 ",
)
_NAMES = (
    b"Host", b"Content-Length", b"Transfer-Encoding", b"Connection", b"Expect", b"Content-Type",
    b"Content-Encoding", b"X-Signature", b"Upgrade",
    b"Trailer", b"TE", b"traceparent", b"", b" ", b"X\0", b"\xff", b"Host ", b"X" * 300, b"Authorization",
    b"Cookie", b"X-HTTP-Method-Override",
)  # fmt: skip
_VALUES = (
    b"edge", b"0", b"5", b"-1", b"chunked", b"gzip", b"close", b"keep-alive", b"100-continue",
    b"application/json", b"websocket", b"", b"\0", b"\xff" * 9,
    b" ", b"a\tb", b"a" * 3000, b"99999999999999999999", b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-01",
    b"trailers", b"identity", b"%s%n", b"a\r", b"a\n",
)  # fmt: skip
_ENDS = (b"\r\n",) * 12 + (b"\n", b"\r", b"\r\r\n", b"", b"\r\n ", b"\n\r\n")
_TAILS = (b"", b"", b"{}", b"5\r\nhello\r\n0\r\n\r\n", b"0\r\n\r\n", b"\0" * 50, b"a" * 70_000)


def noise() -> Cases:
    """Bytes, all of them or only those of text."""
    random = Random("noise")
    for number in range(_COUNT):
        size = random.choice((1, 2, 5, 20, 100, 500, 5_000))
        alphabet = random.choice(
            (bytes(range(256)), bytes(range(32, 127)) + b"\r\n", b"\r\n \t:/.HTP1", b"\r\n")
        )
        yield Case(f"random/noise {number}", bytes(random.choices(alphabet, k=size)), None, end=End.HALF)


def grammar() -> Cases:
    """Requests of parts, each of which may be wrong."""
    random = Random("grammar")
    for number in range(_COUNT):
        name = f"random/grammar {number}"
        lines = [b" ".join((random.choice(_METHODS), random.choice(_TARGETS), random.choice(_VERSIONS)))]
        lines += [b"Host: edge"] * random.choice((0, 1, 1, 1, 2))
        for _ in range(random.randrange(6)):
            lines.append(
                random.choice(_NAMES) + random.choice((b": ", b":", b" : ", b"")) + random.choice(_VALUES)
            )
        head = b"".join(line + random.choice(_ENDS) for line in lines) + random.choice(_ENDS)
        request = head + random.choice(_TAILS)
        if random.random() < 0.5:
            request += b"\0" + smuggled(name)
        yield Case(name, request, None, end=End.HALF)


def damage() -> Cases:
    """Genuine requests with a few bytes changed, dropped, doubled or moved: whole they are stored, or refused."""
    random = Random("damage")
    for number in range(3 * _COUNT):
        name = f"random/damage {number}"
        sender = random.choice(_TELLING)
        body = sender.document(mark(name), b"0")
        request = bytearray(sender.request(body, mark(name)))
        end = request.index(b"\r\n\r\n") + 4
        for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
            place, other = random.randrange(end), random.randrange(end)
            match random.randrange(6):
                case 0:
                    request[place] ^= 1 << random.randrange(8)
                case 1:
                    request[place] = random.randrange(256)
                case 2:
                    del request[place : place + random.choice((1, 1, 2, 10))]
                case 3:
                    request[place:place] = request[other : other + random.choice((1, 2, 20))]
                case 4:
                    request[place:place] = random.choice(
                        (b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b"\xff")
                    )
                case 5:
                    request[place], request[other] = request[other], request[place]
            end = max(min(end, len(request)), 1)
        perhaps = (sender.row(body, sender.keys(mark(name))),)
        yield Case(name, bytes(request), None, end=End.HALF, perhaps=perhaps)
