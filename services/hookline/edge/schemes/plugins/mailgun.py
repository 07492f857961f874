"""Mailgun's webhooks: a signature in the body, over a timestamp and a token and nothing else.

https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks
"""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final, NamedTuple

from hookline.edge.schemes.clock import read_seconds
from hookline.edge.schemes.encodings import decode_hex
from hookline.edge.schemes.incoming import Incoming
from hookline.edge.schemes.plugins.live_keys import LiveKeys
from hookline.edge.schemes.plugins.plain_json import member, read_plain_json
from hookline.edge.schemes.plugins.settings import read_options
from hookline.edge.schemes.plugins.window import Window
from hookline.edge.schemes.verdict import Refusal, Verified

_WINDOW: Final = Window(past=timedelta(hours=9))
"""Mailgun retries for 8 hours and 5 minutes, and says nothing of whether it signs a retry anew."""
_TOKEN = re.compile(rb"[0-9A-Za-z]{50}")
"""All of one length: with others, digits of the timestamp could move into the token, and a webhook that was sent
before would have a new token and a new time, and the same signature."""


class Mailgun:
    """Verifies Mailgun's webhooks in JSON. It proves that Mailgun signed a token, not that it wrote the body.

    Args:
        secrets: Webhook signing keys. Webhooks of a subaccount verify with its key or the primary account's.
        options: There are none.
        tolerance: How old, and how far ahead, the timestamp may be; None: 9 hours and 5 minutes.

    Raises:
        WrongKey: A secret is empty.
        ConfigError: An option is unknown.
    """

    def __init__(
        self, secrets: Sequence[bytes], options: Mapping[str, str], *, tolerance: timedelta | None = None
    ) -> None:
        read_options("mailgun", options)
        self._keys = LiveKeys("hmac-sha256", secrets)
        self._window = _WINDOW.override(tolerance)

    def verify(self, incoming: Incoming) -> Verified | Refusal:
        """Check both signatures that may be there, then the timestamp. The id is the token."""
        signed = _read(incoming.body)
        if isinstance(signed, Refusal):
            return signed
        if not self._keys.sign(signed.timestamp + signed.token, signed.signatures):
            return Refusal.BAD_SIGNATURE
        stale = self._window.judge(read_seconds(signed.timestamp), incoming.now)
        return stale or Verified(signed.token.decode())


class _Signed(NamedTuple):
    timestamp: bytes
    token: bytes
    signatures: Sequence[bytes]
    """One, or with a subaccount's also the primary account's."""


def _read(body: bytes) -> _Signed | Refusal:
    signed = member(read_plain_json(body), "signature")
    texts = [_text(signed, name) for name in ("signature", "parent-signature")]
    if not any(texts):
        return Refusal.MISSING_SIGNATURE
    signatures = [signature for text in texts if (signature := decode_hex(text))]
    if not signatures:
        return Refusal.MALFORMED_SIGNATURE
    token, timestamp = _text(signed, "token"), _text(signed, "timestamp")
    if not _TOKEN.fullmatch(token):
        return Refusal.MISSING_ID
    return _Signed(timestamp, token, signatures) if timestamp else Refusal.MISSING_TIMESTAMP


def _text(signed: object, name: str) -> bytes:
    """A text or a whole number: the documentation calls the timestamp a number, and shows a text. Or empty."""
    value = member(signed, name)
    if isinstance(value, str):
        return value.encode(errors="surrogatepass")
    return value if isinstance(value, bytes) else b""
