"""A provider that signs, written from its documentation and not from Hookline's declarations.

A signer is a few templates with markers: `<body>`, `<timestamp>`, `<id>`, `<url>`, `<method>`, `<signature>`, `<text>`
(the draft's body in hex, to be put into JSON or a form), `<sha256>` and `<crc32>` of the body. A sample remembers where
they ended up.
"""

import re
from base64 import b64encode
from binascii import crc32
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from typing import Final, Literal, NamedTuple

from hookline.config import Scheme as Declaration
from hookline.config.presets import preset
from hookline.edge.schemes.incoming import Incoming
from hookline.edge.schemes.scheme import Scheme

NOW: Final = 1_790_000_000.0
Encoding = Literal["hex", "base64", "text"]
_MARKER = re.compile(r"<([a-z0-9]+)>")


class Draft(NamedTuple):
    """What a provider has to say."""

    body: bytes = b'{"id":"evt_1","type":"thing.made"}'
    id: bytes = b"2KWPBgLlAfxdpx2AI54pPJ85f4W2KWPBgLlAfxdpx2AI54pPJ8"
    now: float = NOW
    timestamp: bytes | None = None
    """As it is written; None: `now` in the provider's unit."""
    url: str = "https://hooks.example.com/v1/webhooks/acme"
    method: str = "POST"


class Span(NamedTuple):
    """Where something stands in a request."""

    where: str
    """A header's name in lower case, "body", "url" or "method"."""
    start: int
    stop: int


class Sample(NamedTuple):
    """A genuine request, and where its parts are."""

    incoming: Incoming
    spans: Mapping[str, Span]
    signature: bytes
    """Decoded."""

    def read(self, where: str) -> bytes:
        """A header, the body, the URL or the method, whole."""
        match where:
            case "body":
                return self.incoming.body
            case "url":
                return self.incoming.url.encode()
            case "method":
                return self.incoming.method.encode()
        return next(value for name, value in self.incoming.headers if name == where.encode())

    def written(self, where: str, value: bytes) -> Incoming:
        """The request with a header, the body, the URL or the method replaced."""
        match where:
            case "body":
                return self.incoming._replace(body=value)
            case "url":
                return self.incoming._replace(url=value.decode("latin-1"))
            case "method":
                return self.incoming._replace(method=value.decode("latin-1"))
        name = where.encode()
        lines = [(other, value if other == name else old) for other, old in self.incoming.headers]
        return self.incoming._replace(headers=lines)

    def text(self, part: str) -> bytes:
        """One part as it is written."""
        span = self.spans[part]
        return self.read(span.where)[span.start : span.stop]

    def replaced(self, part: str, text: bytes) -> Incoming:
        """The request with one part written otherwise."""
        span = self.spans[part]
        whole = self.read(span.where)
        return self.written(span.where, whole[: span.start] + text + whole[span.stop :])


@dataclass(frozen=True, kw_only=True)
class Signer:
    """One way in which one provider signs."""

    preset: str
    variant: str = ""
    secret: bytes
    """As it is pasted into the configuration."""
    stranger: bytes
    """Another secret of the same form, with which nothing is signed."""
    sign: Callable[[bytes], bytes]
    encoding: Encoding
    message: str
    """What is signed."""
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    body: str = "<body>"
    url: str = "<url>"
    entry: str = ""
    """One signature of several, where several are possible."""
    separator: str = ""
    unit: Literal["s", "ms", "iso8601"] | None = None
    past: float = 0.0
    """Seconds that a signature stays good."""
    future: float = 0.0
    options: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.preset} {self.variant}".rstrip()

    @property
    def covered(self) -> frozenset[str]:
        """Parts that can't be changed unnoticed, by what the provider signs."""
        signed = set(_MARKER.findall(self.message))
        if signed & {"sha256", "crc32", "body"}:
            signed |= {"body"} | set(_MARKER.findall(self.body))
        return frozenset(signed & {"body", "text", "timestamp", "id", "url", "method"})

    def scheme(self, *secrets: bytes) -> Scheme:
        """The code under test with these live secrets; by default with the right one alone."""
        return _scheme(self.preset, secrets or (self.secret,), tuple(self.options.items()))

    def encode(self, signature: bytes) -> bytes:
        """A signature as this provider writes it."""
        match self.encoding:
            case "hex":
                return signature.hex().encode()
            case "base64":
                return b64encode(signature)
        return signature

    def write_time(self, time: float) -> bytes:
        """A time as this provider writes it."""
        match self.unit:
            case "ms":
                return b"%d" % round(time * 1000)
            case "iso8601":
                return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ").encode()
        return b"%d" % time

    def make(self, draft: Draft = Draft(), headers: Mapping[str, str] | None = None) -> Sample:  # noqa: B008
        """A genuine request; `headers` replaces templates of headers."""
        spans: dict[str, Span] = {}
        texts = {
            "timestamp": self.write_time(draft.now) if draft.timestamp is None else draft.timestamp,
            "id": draft.id,
            "text": draft.body.hex().encode(),
            "method": draft.method.encode(),
            "url": draft.url.encode(),
            "body": draft.body,
        }
        if "<signature>" in self.body:
            signature = self.sign(_fill(self.message, texts))
            texts["signature"] = self.encode(signature)
            body = _fill(self.body, texts, "body", spans)
        else:
            body = _fill(self.body, texts, "body", spans)
            texts |= {"body": body, "sha256": sha256(body).hexdigest().encode(), "crc32": b"%d" % crc32(body)}
            signature = self.sign(_fill(self.message, texts))
            texts["signature"] = self.encode(signature)
        lines = [(b"content-type", self.content_type.encode())]
        for name, template in {**self.headers, **(headers or {})}.items():
            where = name.lower()
            lines.append((where.encode(), _fill(template, texts, where, spans)))
        url = _fill(self.url, texts, "url", spans).decode()
        spans |= {
            "body": Span("body", 0, len(body)),
            "url": Span("url", 0, len(url)),
            "method": Span("method", 0, len(draft.method)),
        }
        return Sample(Incoming(draft.method, url, lines, body, draft.now), spans, signature)


@cache
def _scheme(name: str, secrets: tuple[bytes, ...], options: tuple[tuple[str, str], ...]) -> Scheme:
    return Scheme(Declaration(**preset(name)), secrets, options=dict(options))


def _fill(
    template: str, texts: Mapping[str, bytes], where: str = "", spans: dict[str, Span] | None = None
) -> bytes:
    filled = b""
    for place, piece in enumerate(_MARKER.split(template)):
        if place % 2 == 0:
            filled += piece.encode()
            continue
        if spans is not None:
            spans.setdefault(piece, Span(where, len(filled), len(filled) + len(texts[piece])))
        filled += texts[piece]
    return filled
