"""Every preset's provider, written from its documentation: a preset without one here fails the tests."""

import hmac
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, derive_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import CertificateBuilder, Name, NameAttribute
from cryptography.x509.oid import NameOID

from unit.signer import NOW, Signer

Sign = Callable[[bytes], bytes]

_TEXT = b"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"
_OTHER = b"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"
# Xero's and Zendesk's keys look like base64 and are text.
_LOOKS_LIKE_BASE64 = b"dGhpcyBsb29rcyBsaWtlIGJhc2U2NCBhbmQgaXMgdGV4dA=="
_LOOKS_LIKE_BASE64_TOO = b"YW5vdGhlciBvbmUgdGhhdCBsb29rcyBsaWtlIGJhc2U2NA=="
_KEY = sha256(b"a made-up key").digest()
_OTHER_KEY = sha256(b"another made-up key").digest()
_FIVE_MINUTES = 300.0


def _hmac(algorithm: str, key: bytes) -> Sign:
    return lambda message: hmac.new(key, message, algorithm).digest()


def _token(token: bytes) -> Sign:
    """Sent as it is, whatever the message."""
    return lambda _: token


_ED25519 = Ed25519PrivateKey.from_private_bytes(_KEY)
_ED25519_PUBLIC = _ED25519.public_key().public_bytes_raw()
_ED25519_OTHER = Ed25519PrivateKey.from_private_bytes(_OTHER_KEY).public_key().public_bytes_raw()
_P256 = derive_private_key(int.from_bytes(_KEY), SECP256R1())
_P256_OTHER = derive_private_key(int.from_bytes(_OTHER_KEY), SECP256R1())


def _p256(message: bytes) -> bytes:
    return _P256.sign(message, ECDSA(SHA256()))


def _spki(key: object) -> bytes:
    public = key.public_key()  # type: ignore[attr-defined]
    return b64encode(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


_RSA = generate_private_key(65537, 2048)
_RSA_OTHER = generate_private_key(65537, 2048)


def _certificate(key: RSAPrivateKey) -> bytes:
    """A self-signed one, valid around the tests' clock."""
    name = Name([NameAttribute(NameOID.COMMON_NAME, "messageverificationcerts.paypal.com")])
    now = datetime.fromtimestamp(NOW, UTC)
    from_, until = now - timedelta(days=900), now + timedelta(days=900)
    builder = CertificateBuilder(name, name, key.public_key(), 1, from_, until)
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM)


def _of_body(preset: str, header: str, algorithm: str, **more: object) -> Signer:
    """The most common kind: an HMAC of the body, in hex."""
    settings: dict[str, object] = {
        "secret": _TEXT,
        "stranger": _OTHER,
        "encoding": "hex",
        "message": "<body>",
        "headers": {header: "<signature>"},
    } | more
    secret = settings["secret"]
    assert isinstance(secret, bytes)
    return Signer(preset=preset, sign=_hmac(algorithm, secret), **settings)  # type: ignore[arg-type]


def _standard(preset: str, prefix: str) -> tuple[Signer, Signer]:
    """Standard Webhooks, whose headers Svix names otherwise: symmetric and asymmetric."""
    headers = {f"{prefix}-id": "<id>", f"{prefix}-timestamp": "<timestamp>"}
    return (
        Signer(
            preset=preset,
            variant="v1",
            secret=b"whsec_" + b64encode(_KEY),
            stranger=b"whsec_" + b64encode(_OTHER_KEY),
            sign=_hmac("sha256", _KEY),
            encoding="base64",
            message="<id>.<timestamp>.<body>",
            headers={**headers, f"{prefix}-signature": "v1,<signature>"},
            entry="v1,<signature>",
            separator=" ",
            unit="s",
            past=_FIVE_MINUTES,
            future=_FIVE_MINUTES,
        ),
        Signer(
            preset=preset,
            variant="v1a",
            secret=b"whpk_" + b64encode(_ED25519_PUBLIC),
            stranger=b"whpk_" + b64encode(_ED25519_OTHER),
            sign=_ED25519.sign,
            encoding="base64",
            message="<id>.<timestamp>.<body>",
            headers={**headers, f"{prefix}-signature": "v1a,<signature>"},
            entry="v1a,<signature>",
            separator=" ",
            unit="s",
            past=_FIVE_MINUTES,
            future=_FIVE_MINUTES,
        ),
    )


def _timed(preset: str, headers: dict[str, str], message: str, **more: object) -> Signer:
    """An HMAC-SHA-256 of timestamp and body, in hex."""
    settings: dict[str, object] = {
        "secret": _TEXT,
        "stranger": _OTHER,
        "encoding": "hex",
        "unit": "s",
        "past": _FIVE_MINUTES,
        "future": _FIVE_MINUTES,
    } | more
    secret = settings["secret"]
    assert isinstance(secret, bytes)
    sign = _hmac("sha256", secret)
    return Signer(preset=preset, headers=headers, message=message, sign=sign, **settings)  # type: ignore[arg-type]


def _of_token(preset: str, header: str, template: str, variant: str = "", url: str = "<url>") -> Signer:
    """A text that only says who sends."""
    return Signer(
        preset=preset,
        variant=variant,
        secret=_TEXT,
        stranger=_OTHER,
        sign=_token(_TEXT),
        encoding="text",
        message="",
        headers={header: template} if header else {},
        url=url,
    )


DECLARED: tuple[Signer, ...] = (
    _of_body("begini", "X-Signature", "sha512"),
    *_standard("standard-webhooks", "webhook"),
    *_standard("svix", "svix"),
    _timed(
        "stripe",
        {"Stripe-Signature": "t=<timestamp>,v1=<signature>"},
        "<timestamp>.<body>",
        secret=b"whsec_7mgRLLkcSQSR0Y7uz1Mc7yP3TOWrGB8P",
        stranger=b"whsec_0mgRLLkcSQSR0Y7uz1Mc7yP3TOWrGB8P",
        entry="v1=<signature>",
        separator=",",
    ),
    _of_body(
        "github", "X-Hub-Signature-256", "sha256", headers={"X-Hub-Signature-256": "sha256=<signature>"}
    ),
    _of_token("gitlab", "X-Gitlab-Token", "<signature>"),
    _timed(
        "slack",
        {"X-Slack-Request-Timestamp": "<timestamp>", "X-Slack-Signature": "v0=<signature>"},
        "v0:<timestamp>:<body>",
    ),
    _of_body("shopify", "X-Shopify-Hmac-Sha256", "sha256", encoding="base64"),
    _of_body("square", "x-square-hmacsha256-signature", "sha256", encoding="base64", message="<url><body>"),
    _timed(
        "zoom",
        {"x-zm-request-timestamp": "<timestamp>", "x-zm-signature": "v0=<signature>"},
        "v0:<timestamp>:<body>",
    ),
    _timed(
        "paddle",
        {"Paddle-Signature": "ts=<timestamp>;h1=<signature>"},
        "<timestamp>:<body>",
        secret=b"pdl_ntfset_7twd2ay5409ux3iddqcz7t3qx8_eWmiegDSUHoyinRJOf4m9t",
        stranger=b"pdl_ntfset_0twd2ay5409ux3iddqcz7t3qx8_eWmiegDSUHoyinRJOf4m9t",
        entry="h1=<signature>",
        separator=";",
        past=5.0,
        future=5.0,
    ),
    Signer(
        preset="sendgrid",
        secret=_spki(_P256),
        stranger=_spki(_P256_OTHER),
        sign=_p256,
        encoding="base64",
        message="<timestamp><body>",
        headers={
            "X-Twilio-Email-Event-Webhook-Signature": "<signature>",
            "X-Twilio-Email-Event-Webhook-Timestamp": "<timestamp>",
        },
        unit="s",
        past=_FIVE_MINUTES,
        future=_FIVE_MINUTES,
    ),
    Signer(
        preset="discord",
        secret=_ED25519_PUBLIC.hex().encode(),
        stranger=_ED25519_OTHER.hex().encode(),
        sign=_ED25519.sign,
        encoding="hex",
        message="<timestamp><body>",
        headers={"X-Signature-Ed25519": "<signature>", "X-Signature-Timestamp": "<timestamp>"},
        unit="s",
        past=600.0,
        future=_FIVE_MINUTES,
    ),
    _timed(
        "linear",
        {"Linear-Signature": "<signature>"},
        "<body>",
        body='{"action":"create","type":"Issue","webhookTimestamp":<timestamp>,"data":{"id":"<text>"}}',
        unit="ms",
        past=60.0,
        future=60.0,
    ),
    _of_body("intercom", "X-Hub-Signature", "sha1", headers={"X-Hub-Signature": "sha1=<signature>"}),
    _timed(
        "zendesk",
        {
            "X-Zendesk-Webhook-Signature": "<signature>",
            "X-Zendesk-Webhook-Signature-Timestamp": "<timestamp>",
        },
        "<timestamp><body>",
        secret=_LOOKS_LIKE_BASE64,
        stranger=_LOOKS_LIKE_BASE64_TOO,
        encoding="base64",
        unit="iso8601",
    ),
    _timed(
        "calendly",
        {"Calendly-Webhook-Signature": "t=<timestamp>,v1=<signature>"},
        "<timestamp>.<body>",
        entry="v1=<signature>",
        separator=",",
        past=180.0,
        future=180.0,
    ),
    _of_body(
        "typeform",
        "Typeform-Signature",
        "sha256",
        encoding="base64",
        headers={"Typeform-Signature": "sha256=<signature>"},
    ),
    _of_body(
        "xero",
        "x-xero-signature",
        "sha256",
        encoding="base64",
        secret=_LOOKS_LIKE_BASE64,
        stranger=_LOOKS_LIKE_BASE64_TOO,
    ),
    _of_body("meta", "X-Hub-Signature-256", "sha256", headers={"X-Hub-Signature-256": "sha256=<signature>"}),
    _of_token("okta", "Authorization", "<signature>"),
    _of_token("cloudevents", "Authorization", "Bearer <signature>", "in the header"),
    _of_token("cloudevents", "", "", "in the query", url="<url>?access_token=<signature>&topic=a"),
)
PLUGINS: tuple[Signer, ...] = (
    Signer(
        preset="twilio",
        variant="form",
        secret=_TEXT,
        stranger=_OTHER,
        sign=_hmac("sha1", _TEXT),
        encoding="base64",
        content_type="application/x-www-form-urlencoded; charset=UTF-8",
        body="MessageSid=<id>&Body=<text>&From=%2B15005550006",
        message="<url>Body<text>From+15005550006MessageSid<id>",
        headers={"X-Twilio-Signature": "<signature>"},
    ),
    Signer(
        preset="twilio",
        variant="json",
        secret=_TEXT,
        stranger=_OTHER,
        sign=_hmac("sha1", _TEXT),
        encoding="base64",
        url="<url>?bodySHA256=<sha256>",
        message="<url>?bodySHA256=<sha256>",
        headers={"X-Twilio-Signature": "<signature>"},
    ),
    _timed(
        "hubspot",
        {"X-HubSpot-Signature-v3": "<signature>", "X-HubSpot-Request-Timestamp": "<timestamp>"},
        "<method><url><body><timestamp>",
        encoding="base64",
        unit="ms",
    ),
    Signer(
        preset="adyen",
        secret=_KEY.hex().upper().encode(),
        stranger=_OTHER_KEY.hex().upper().encode(),
        sign=_hmac("sha256", _KEY),
        encoding="base64",
        body=(
            '{"live":"false","notificationItems":[{"NotificationRequestItem":{"additionalData":{"hmacSignature":'
            '"<signature>"},"amount":{"currency":"EUR","value":1130},"eventCode":"AUTHORISATION","eventDate":'
            '"2026-09-21T14:13:20+02:00","merchantAccountCode":"Acme","merchantReference":"<text>","paymentMethod":'
            '"visa","pspReference":"<id>","success":"true"}}]}'
        ),
        message="<id>::Acme:<text>:1130:EUR:AUTHORISATION:true",
    ),
    Signer(
        preset="adyen-platform",
        secret=_KEY.hex().upper().encode(),
        stranger=_OTHER_KEY.hex().upper().encode(),
        sign=_hmac("sha256", _KEY),
        encoding="base64",
        message="<body>",
        headers={"HmacSignature": "<signature>"},
    ),
    _timed(
        "mailgun",
        {},
        "<timestamp><id>",
        body=(
            '{"signature":{"timestamp":"<timestamp>","token":"<id>","signature":"<signature>"},'
            '"event-data":{"event":"opened","x":"<text>"}}'
        ),
        past=9 * 3600.0,
    ),
    Signer(
        preset="paypal",
        secret=_certificate(_RSA),
        stranger=_certificate(_RSA_OTHER),
        sign=lambda message: _RSA.sign(message, PKCS1v15(), SHA256()),
        encoding="base64",
        message="<id>|<timestamp>|8PT597110X687430LKGECATA|<crc32>",
        headers={
            "PAYPAL-TRANSMISSION-ID": "<id>",
            "PAYPAL-TRANSMISSION-TIME": "<timestamp>",
            "PAYPAL-TRANSMISSION-SIG": "<signature>",
            "PAYPAL-AUTH-ALGO": "SHA256withRSA",
        },
        unit="iso8601",
        past=4 * 86_400.0,
        future=_FIVE_MINUTES,
        options={"webhook_id": "8PT597110X687430LKGECATA"},
    ),
)
SIGNERS = DECLARED + PLUGINS
