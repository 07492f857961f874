"""Adyen's standard webhooks: each item of the body is signed in its own `additionalData`.

https://docs.adyen.com/development-resources/webhooks/secure-webhooks/verify-hmac-signatures
https://github.com/Adyen/adyen-python-api-library/blob/main/Adyen/util.py
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

from hookline.config.signature import Key
from hookline.edge.schemes.encodings import decode_base64
from hookline.edge.schemes.incoming import Incoming
from hookline.edge.schemes.plugins.live_keys import LiveKeys
from hookline.edge.schemes.plugins.plain_json import member, read_plain_json
from hookline.edge.schemes.plugins.settings import read_options, refuse_tolerance
from hookline.edge.schemes.verdict import Refusal, Verified

_MOST_ITEMS: Final = 100
"""Of one webhook. Adyen sends one in JSON, and documents no more than six anywhere."""


class Adyen:
    """Verifies Adyen's standard webhooks in JSON.

    Args:
        secrets: HMAC keys in hex, as the Customer Area shows them.
        options: There are none.
        tolerance: Refused. Adyen signs no timestamp.

    Raises:
        WrongKey: A secret isn't hex.
        ConfigError: An option is unknown, or a tolerance is set.
    """

    def __init__(
        self, secrets: Sequence[bytes], options: Mapping[str, str], *, tolerance: timedelta | None = None
    ) -> None:
        refuse_tolerance("adyen", tolerance)
        read_options("adyen", options)
        self._keys = LiveKeys("hmac-sha256", secrets, Key(encoding="hex"))

    def verify(self, incoming: Incoming) -> Verified | Refusal:
        """Check every item; one that isn't right refuses all."""
        items = member(read_plain_json(incoming.body), "notificationItems")
        if not isinstance(items, list) or not items:
            return Refusal.MISSING_SIGNATURE
        if len(items) > _MOST_ITEMS:
            return Refusal.MALFORMED_SIGNATURE
        right = True
        for item in items:
            request = member(item, "NotificationRequestItem")
            text = member(request, "additionalData", "hmacSignature")
            if not isinstance(text, str) or not text:
                return Refusal.MISSING_SIGNATURE
            signature = decode_base64(text.encode(errors="replace"))
            if not signature:
                return Refusal.MALFORMED_SIGNATURE
            message = _message(request)
            right &= message is not None and self._keys.sign(message, [signature])
        return Verified() if right else Refusal.BAD_SIGNATURE


def _message(request: object) -> bytes | None:
    """What is signed of an item: eight fields with colons between them. None if one isn't of its documented type.

    The SDKs escape no colon (https://github.com/Adyen/adyen-python-api-library/issues/117). It is genuine in the
    merchant's own reference; in a second field it could move the border between two, with the signature still right.
    """
    amount = member(request, "amount")
    if amount is None:
        amount = {}
    fields = [
        _text(request, "pspReference"),
        _text(request, "originalReference"),
        _text(request, "merchantAccountCode"),
        _text(request, "merchantReference", colons=True),
        _integer(amount, "value"),
        _text(amount, "currency"),
        _text(request, "eventCode"),
        _text(request, "success"),
    ]
    return None if None in fields else b":".join(field for field in fields if field is not None)


def _text(holder: object, name: str, *, colons: bool = False) -> bytes | None:
    """A field, empty if it isn't there."""
    if not isinstance(holder, dict):
        return None
    value = holder.get(name, "")
    if not isinstance(value, str) or (":" in value and not colons):
        return None
    return value.encode(errors="surrogatepass")


def _integer(holder: object, name: str) -> bytes | None:
    if not isinstance(holder, dict):
        return None
    value = holder.get(name, b"")
    return value if isinstance(value, bytes) else None
