"""PayPal's signature: RSA over transmission id, time, webhook id and the body's CRC-32.

https://developer.paypal.com/api/rest/webhooks/rest/
https://github.com/paypal/PayPal-Python-SDK/blob/master/paypalrestsdk/notifications.py
"""

import re
from binascii import crc32
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import load_pem_x509_certificates

from hookline.edge.schemes.clock import read_iso8601
from hookline.edge.schemes.encodings import decode_base64
from hookline.edge.schemes.incoming import Incoming
from hookline.edge.schemes.keys import WrongKey
from hookline.edge.schemes.plugins.settings import read_options
from hookline.edge.schemes.plugins.window import Window
from hookline.edge.schemes.verdict import Refusal, Verified
from hookline.errors import ConfigError

_WINDOW: Final = Window(past=timedelta(days=4))
"""PayPal retries for three days, and says nothing of whether a retry has a new transmission time."""
_ALGORITHM: Final = b"SHA256withRSA"
_TRANSMISSION_ID = re.compile(rb"[0-9A-Za-z-]{1,50}")
_WEBHOOK_ID = re.compile(r"[0-9A-Za-z]{1,50}")
_SMALLEST_KEY: Final = 2048
_LARGEST_KEY: Final = 8192
"""Bits. A larger one would only be slow."""


class _Certificate:
    """One of PayPal's certificates. It is trusted because it was given, not for who issued it."""

    def __init__(self, pem: bytes) -> None:
        try:
            # PayPal serves the certificate with its issuers behind it.
            certificate = load_pem_x509_certificates(pem)[0]
            key = certificate.public_key()
        except (ValueError, UnsupportedAlgorithm):
            raise WrongKey("must be PayPal's certificate in PEM") from None
        if not isinstance(key, RSAPublicKey) or not _SMALLEST_KEY <= key.key_size <= _LARGEST_KEY:
            raise WrongKey(f"must be a certificate for an RSA key of {_SMALLEST_KEY} to {_LARGEST_KEY} bits")
        self._key = key
        self._not_before = certificate.not_valid_before_utc.timestamp()
        self._not_after = certificate.not_valid_after_utc.timestamp()

    def signs(self, message: bytes, signature: bytes, now: float) -> bool:
        if not self._not_before <= now <= self._not_after:
            return False
        try:
            self._key.verify(signature, message, PKCS1v15(), SHA256())
        except InvalidSignature:
            return False
        return True


class PayPal:
    """Verifies PayPal's webhooks without asking anybody: `PAYPAL-CERT-URL` is never looked at.

    Args:
        secrets: PayPal's certificates in PEM. Each counts while it is valid.
        options: `webhook_id`, needed: the id that PayPal's dashboard shows beside the webhook.
        tolerance: How old, and how far ahead, the transmission time may be; None: 4 days and 5 minutes.

    Raises:
        WrongKey: A secret is no certificate for an RSA key of 2048 bits or more.
        ConfigError: The webhook's id is missing or malformed, or an option is unknown.
    """

    def __init__(
        self, secrets: Sequence[bytes], options: Mapping[str, str], *, tolerance: timedelta | None = None
    ) -> None:
        webhook_id = read_options("paypal", options, needed=["webhook_id"])["webhook_id"]
        if not _WEBHOOK_ID.fullmatch(webhook_id):
            raise ConfigError(
                "options: webhook_id must be letters and digits, as PayPal's dashboard shows it beside the webhook; it "
                "is neither the webhook's URL nor an event's id"
            )
        self._webhook_id = webhook_id.encode()
        self._certificates = [_Certificate(secret) for secret in secrets]
        self._window = _WINDOW.override(tolerance)

    def verify(self, incoming: Incoming) -> Verified | Refusal:
        """Check the signature, then the time. The id is the transmission's."""
        transmission = _read(incoming)
        if isinstance(transmission, Refusal):
            return transmission
        checksum = b"%d" % crc32(incoming.body)
        message = b"|".join((transmission.id, transmission.time, self._webhook_id, checksum))
        right = False
        for certificate in self._certificates:
            right |= certificate.signs(message, transmission.signature, incoming.now)
        if not right:
            return Refusal.BAD_SIGNATURE
        stale = self._window.judge(read_iso8601(transmission.time), incoming.now)
        return stale or Verified(transmission.id.decode())


class _Transmission(NamedTuple):
    id: bytes
    time: bytes
    signature: bytes


def _read(incoming: Incoming) -> _Transmission | Refusal:
    text = incoming.header(b"paypal-transmission-sig")
    if not text:
        return Refusal.MISSING_SIGNATURE
    signature = decode_base64(text)
    if not signature or incoming.header(b"paypal-auth-algo") != _ALGORITHM:
        return Refusal.MALFORMED_SIGNATURE
    time = incoming.header(b"paypal-transmission-time")
    if not time:
        return Refusal.MISSING_TIMESTAMP
    id_ = incoming.header(b"paypal-transmission-id")
    # In no other form, so that no part of it can move across the bar.
    if not id_ or not _TRANSMISSION_ID.fullmatch(id_):
        return Refusal.MISSING_ID
    return _Transmission(id_, time, signature)
