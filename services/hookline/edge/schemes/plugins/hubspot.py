"""HubSpot's signature, version 3: method, URL, body and timestamp, with nothing between them.

https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/request-validation
"""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import ClassVar, Final

from hookline.edge.schemes.clock import read_milliseconds
from hookline.edge.schemes.encodings import decode_base64
from hookline.edge.schemes.incoming import Incoming
from hookline.edge.schemes.plugins.live_keys import LiveKeys
from hookline.edge.schemes.plugins.settings import read_options
from hookline.edge.schemes.plugins.window import Window
from hookline.edge.schemes.verdict import Refusal, Verified

_WINDOW: Final = Window(past=timedelta(minutes=5))
_TIMESTAMP = re.compile(rb"[1-9][0-9]{12}")
"""Milliseconds from 2001 to 2286. Of another length, digits may have come from the end of the body."""
_URL = re.compile(r"[^\s{}\"<>]+")
"""A URL ends where no URL goes on: the beginning of a body must not be taken for the end of its query."""
_DECODED: Final = {
    escape: chr(int(escape[1:], 16))
    for escape in ("%3A", "%2F", "%3F", "%40", "%21", "%24", "%27", "%28", "%29", "%2A", "%2C", "%3B")
}
"""The documented table: these escapes are signed as the characters that they stand for, all others as they are."""
_ESCAPE = re.compile("|".join(_DECODED))


class HubSpot:
    """Verifies HubSpot's requests by their `X-HubSpot-Signature-v3`.

    The older signatures v1 and v2 aren't looked at: they are plain hashes over secret and body, and cover no timestamp.
    HubSpot sends v3 beside them.

    Args:
        secrets: Client secrets of the app.
        options: There are none.
        tolerance: How old, and how far ahead, the timestamp may be; None: 5 minutes.

    Raises:
        WrongKey: A secret is empty.
        ConfigError: An option is unknown.
    """

    signs_url: ClassVar[bool] = True

    def __init__(
        self, secrets: Sequence[bytes], options: Mapping[str, str], *, tolerance: timedelta | None = None
    ) -> None:
        read_options("hubspot", options)
        self._keys = LiveKeys("hmac-sha256", secrets)
        self._window = _WINDOW.override(tolerance)

    def verify(self, incoming: Incoming) -> Verified | Refusal:
        """Check the signature, then the timestamp."""
        text = incoming.header(b"x-hubspot-signature-v3")
        if not text:
            return Refusal.MISSING_SIGNATURE
        signature = decode_base64(text)
        if not signature:
            return Refusal.MALFORMED_SIGNATURE
        timestamp = incoming.header(b"x-hubspot-request-timestamp")
        if not timestamp:
            return Refusal.MISSING_TIMESTAMP
        if not _URL.fullmatch(incoming.url):
            return Refusal.BAD_SIGNATURE
        url = _ESCAPE.sub(lambda match: _DECODED[match[0]], incoming.url)
        start = f"{incoming.method}{url}".encode(errors="surrogatepass")
        if not self._keys.sign(start + incoming.body + timestamp, [signature]):
            return Refusal.BAD_SIGNATURE
        time = read_milliseconds(timestamp) if _TIMESTAMP.fullmatch(timestamp) else None
        return self._window.judge(time, incoming.now) or Verified()
