"""Providers that sign, written from their documentation; with the sources that receive from them."""

import hmac
from base64 import b64encode
from collections.abc import Callable, Mapping
from hashlib import sha256
from time import time
from typing import NamedTuple

from hostile.case import Reply, Row, problem
from hostile.reading import Get, look

Headers = list[tuple[bytes, bytes]]
Documents = Callable[[str, bytes], bytes]
"""Make a JSON text of a mark and of a JSON value that is in it under "x", where no key is looked for."""
UNPARSABLE = "unparsable"
_KEY = sha256(b"a made-up key").digest()
_TEXT = _KEY.hex()
VERIFY_TOKEN = "a made-up verify token"
ENVIRONMENT = {
    "HOSTILE_KEY": _TEXT,
    "HOSTILE_STANDARD_KEY": "whsec_" + b64encode(_KEY).decode(),
    "HOSTILE_VERIFY_TOKEN": VERIFY_TOKEN,
    "HOSTILE_SEALING_KEY": b64encode(bytes(range(32))).decode(),
}


class Sender(NamedTuple):
    """A provider, and the source that it sends to."""

    source: str
    document: Documents
    sign: Callable[..., Headers]
    """The headers of a genuine request with this body; the mark is its id, where that is a header. Who signs the time
    takes it as a third argument."""
    type_of: Callable[[Get], str]
    """The type of a webhook, by what is at places of its body."""
    covers: bool = True
    """Whether the signature covers the body."""
    accepted: Reply = Reply(200, says="accepted")
    refusal: Reply | None = None
    """The provider's own."""
    scheme: str = ""
    more: str = ""
    """More lines of the source's table."""

    def refused(self, *codes: str) -> Reply:
        """The answer to what doesn't verify."""
        return self.refusal or problem(401, *codes)

    def request(
        self,
        body: bytes,
        mark: str = "",
        *,
        headers: Headers | None = None,
        target: bytes = b"",
        more: Headers | None = None,
        method: bytes = b"POST",
    ) -> bytes:
        """A whole request; genuine unless `headers` says otherwise."""
        lines = [(b"Host", b"edge"), *(self.sign(body, mark) if headers is None else headers), *(more or [])]
        return b"%b %b HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n%b" % (
            method,
            target or self.path,
            b"".join([b"%b: %b\r\n" % line for line in lines]),
            len(body),
            body,
        )

    def forge(self, body: bytes, mark: str) -> Headers:
        """Headers with a genuine signature, of another body."""
        return self.sign(body + b" ", mark)

    def keys(self, mark: str) -> Get:
        """What is in a document with this mark."""
        return look(self.document(mark, b"0"))

    @property
    def path(self) -> bytes:
        return b"/v1/webhooks/" + self.source.encode()

    def row(self, body: bytes, get: Get, header: tuple[str, str] | None = None) -> Row:
        """What is stored of a genuine webhook."""
        return Row(self.source, self.type_of(get), body, header)


def _hex(message: bytes, algorithm: str = "sha256") -> bytes:
    return hmac.new(_TEXT.encode(), message, algorithm).hexdigest().encode()


def _now() -> bytes:
    return b"%d" % time()


_TYPE = (b"Content-Type", b"application/json")


def _begini(body: bytes, _: str) -> Headers:
    return [_TYPE, (b"X-Signature", _hex(body, "sha512"))]


def _stripe(body: bytes, _: str, now: bytes = b"") -> Headers:
    now = now or _now()
    return [_TYPE, (b"Stripe-Signature", b"t=%b,v1=%b" % (now, _hex(now + b"." + body)))]


def _slack(body: bytes, _: str, now: bytes = b"") -> Headers:
    now = now or _now()
    signature = b"v0=" + _hex(b"v0:%b:%b" % (now, body))
    return [_TYPE, (b"X-Slack-Request-Timestamp", now), (b"X-Slack-Signature", signature)]


def sign_standard(body: bytes, id_: bytes, now: bytes = b"") -> Headers:
    """Standard Webhooks' headers, with any id."""
    now = now or _now()
    signature = b64encode(hmac.digest(_KEY, b"%b.%b.%b" % (id_, now, body), "sha256"))
    return [
        _TYPE,
        (b"webhook-id", id_),
        (b"webhook-timestamp", now),
        (b"webhook-signature", b"v1," + signature),
    ]


def _standard(body: bytes, mark: str, now: bytes = b"") -> Headers:
    return sign_standard(body, mark.encode(), now)


def _github(body: bytes, mark: str) -> Headers:
    return [
        _TYPE,
        (b"X-GitHub-Event", b"push"),
        (b"X-GitHub-Delivery", mark.encode()),
        (b"X-Hub-Signature-256", b"sha256=" + _hex(body)),
    ]


def _meta(body: bytes, _: str) -> Headers:
    return [_TYPE, (b"X-Hub-Signature-256", b"sha256=" + _hex(body))]


def _gitlab(_: bytes, mark: str) -> Headers:
    return [_TYPE, (b"X-Gitlab-Token", _TEXT.encode()), (b"Idempotency-Key", mark.encode())]


def _cloudevents(_: bytes, __: str) -> Headers:
    return [
        (b"Content-Type", b"application/cloudevents+json"),
        (b"Authorization", b"Bearer " + _TEXT.encode()),
    ]


def _first(*alternatives: str | None) -> str:
    return next((one for one in alternatives if one is not None), UNPARSABLE)


def _both(get: Get, first: str, second: str) -> str | None:
    one, other = get(first), get(second)
    return None if one is None or other is None else f"{one}.{other}"


def _type_of_begini(get: Get) -> str:
    type_ = get("/event/type")
    keys = (get("/integration_id"), get("/uid"), type_)
    return UNPARSABLE if None in keys else str(type_)


def _type_of_stripe(get: Get) -> str:
    return UNPARSABLE if get("/id") is None else _first(get("/type"))


def _type_of_github(get: Get) -> str:
    action = get("/action")
    return "push" if action is None else f"push.{action}"


def _documents(text: str) -> Documents:
    before, _, after = text.partition("EXTRA")

    def document(mark: str, extra: bytes) -> bytes:
        return before.replace("MARK", mark).encode() + extra + after.replace("MARK", mark).encode()

    return document


_BEGINI_DOCUMENT = _documents(
    '{"uid":"MARK","integration_id":"5399505","event":{"type":"device.score"},"x":EXTRA}'
)
_BEGINI_REFUSAL = Reply(403, body=b'{"detail":"Validation Failure"}')

BEGINI = Sender(
    "begini", _BEGINI_DOCUMENT, _begini, _type_of_begini, scheme="begini", refusal=_BEGINI_REFUSAL
)
PACKED = Sender(
    "packed",
    _BEGINI_DOCUMENT,
    _begini,
    _type_of_begini,
    scheme="begini",
    refusal=_BEGINI_REFUSAL,
    more='content_encodings = ["gzip", "deflate"]',
)
STRIPE = Sender(
    "stripe",
    _documents('{"id":"MARK","type":"charge.failed","data":{"object":{"id":"ch_1"}},"x":EXTRA}'),
    _stripe,
    _type_of_stripe,
    scheme="stripe",
)
SLACK = Sender(
    "slack",
    _documents(
        '{"type":"event_callback","team_id":"T1","event_id":"MARK","event":{"type":"message"},"x":EXTRA}'
    ),
    _slack,
    lambda get: _first(get("/event/type"), get("/type"), "form"),
    scheme="slack",
    accepted=Reply(200, body=b""),
)
STANDARD = Sender(
    "standard",
    _documents('{"type":"user.created","timestamp":"2026-04-15T10:00:00Z","mark":"MARK","x":EXTRA}'),
    _standard,
    lambda get: _first(get("/type"), "message"),
    scheme="standard-webhooks",
)
GITHUB = Sender(
    "github",
    _documents('{"action":"opened","repository":{"id":1296269},"mark":"MARK","x":EXTRA}'),
    _github,
    _type_of_github,
    scheme="github",
)
GITLAB = Sender(
    "gitlab",
    _documents('{"object_kind":"issue","object_attributes":{"action":"close"},"mark":"MARK","x":EXTRA}'),
    _gitlab,
    lambda get: _first(
        _both(get, "/object_kind", "/object_attributes/action"), get("/object_kind"), get("/event_name")
    ),
    scheme="gitlab",
    covers=False,
)
META = Sender(
    "meta",
    _documents(
        '{"object":"page","entry":[{"id":"1","changes":[{"field":"feed","value":"MARK"}]}],"x":EXTRA}'
    ),
    _meta,
    lambda get: _first(_both(get, "/object", "/entry/0/changes/0/field"), get("/object")),
    scheme="meta",
    more='verify_token = "env:HOSTILE_VERIFY_TOKEN"',
)
CLOUDEVENTS = Sender(
    "cloudevents",
    _documents('{"specversion":"1.0","id":"MARK","source":"/here","type":"com.example.made","x":EXTRA}'),
    _cloudevents,
    lambda get: _first(get("/type")),
    scheme="cloudevents",
    accepted=Reply(202, body=b""),
    covers=False,
)
SENDERS = (BEGINI, PACKED, STRIPE, SLACK, STANDARD, GITHUB, GITLAB, META, CLOUDEVENTS)
SIGNING = tuple(sender for sender in SENDERS if sender.covers)

SECRETS: Mapping[str, str] = {"standard": "HOSTILE_STANDARD_KEY"}


def configuration() -> str:
    """`hookline.toml` with a source for each sender."""
    tables = ['[secrets]\nkeys = ["env:HOSTILE_SEALING_KEY"]\n']
    for sender in SENDERS:
        secret = SECRETS.get(sender.source, "HOSTILE_KEY")
        tables.append(
            f'[sources.{sender.source}]\nscheme = "{sender.scheme}"\nsecrets = ["env:{secret}"]\n{sender.more}\n'
        )
    return "\n".join(tables)
