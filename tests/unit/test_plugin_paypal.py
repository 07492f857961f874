"""PayPal's signature, with a certificate that is given offline."""

from base64 import b64encode
from binascii import crc32
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import CertificateBuilder, Name, NameAttribute
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from hookline import config
from hookline.config.presets import preset
from hookline.edge.schemes.event_keys import Envelope
from hookline.edge.schemes.incoming import Incoming
from hookline.edge.schemes.keys import WrongKey
from hookline.edge.schemes.plugins.paypal import PayPal
from hookline.edge.schemes.scheme import Scheme
from hookline.edge.schemes.verdict import Refusal, Verified
from hookline.errors import ConfigError
from unit.paypal_certificate import BODY, PEM, SIGNATURE, TRANSMISSION_ID, TRANSMISSION_TIME, WEBHOOK_ID
from unit.plugin_requests import NOW, flipped, with_header, without_one_bit

OPTIONS = {"webhook_id": WEBHOOK_ID}
PLUGIN = PayPal([PEM], OPTIONS)
GENUINE = Incoming(
    "POST",
    "https://hooks.example.com/v1/webhooks/paypal",
    [
        (b"content-type", b"application/json"),
        (b"paypal-auth-algo", b"SHA256withRSA"),
        (b"paypal-cert-url", b"https://evil.example.com/cert.pem"),
        (b"paypal-transmission-id", TRANSMISSION_ID),
        (b"paypal-transmission-time", TRANSMISSION_TIME),
        (b"paypal-transmission-sig", SIGNATURE),
    ],
    BODY,
    NOW,
)
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def certificate(key: Key, *, since: datetime = datetime(2026, 1, 1, tzinfo=UTC), days: int = 365) -> bytes:
    name = Name([NameAttribute(NameOID.COMMON_NAME, "webhooks.example.com")])
    made = (
        CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(since)
        .not_valid_after(since + timedelta(days))
        .sign(key, SHA256())
    )
    return made.public_bytes(Encoding.PEM)


def signed(
    body: bytes = BODY,
    *,
    id_: bytes = TRANSMISSION_ID,
    time: bytes = TRANSMISSION_TIME,
    webhook_id: str = WEBHOOK_ID,
    algorithm: HashAlgorithm | None = None,
) -> Incoming:
    message = b"|".join((id_, time, webhook_id.encode(), str(crc32(body)).encode()))
    signature = b64encode(rsa_key().sign(message, PKCS1v15(), algorithm or SHA256()))
    request = with_header(GENUINE._replace(body=body), b"paypal-transmission-sig", signature)
    request = with_header(request, b"paypal-transmission-id", id_)
    return with_header(request, b"paypal-transmission-time", time)


OWN = PayPal([certificate(rsa_key())], OPTIONS)


def test_a_signature_by_openssl_over_what_the_sdk_signs_verifies() -> None:
    assert PLUGIN.verify(GENUINE) == Verified(TRANSMISSION_ID.decode())


@settings(max_examples=30, deadline=None)
@given(body=st.binary(max_size=300), id_=st.uuids())
def test_what_is_signed_verifies(body: bytes, id_: object) -> None:
    assert OWN.verify(signed(body, id_=str(id_).encode())) == Verified(str(id_))


def test_any_flipped_bit_is_refused() -> None:
    names = (
        b"paypal-transmission-sig",
        b"paypal-transmission-id",
        b"paypal-transmission-time",
        b"paypal-auth-algo",
    )
    for altered in without_one_bit(GENUINE, headers=names):
        assert isinstance(PLUGIN.verify(altered), Refusal), altered
    for altered_id in flipped(WEBHOOK_ID.encode()):
        if altered_id.isalnum():
            assert PayPal([PEM], {"webhook_id": altered_id.decode()}).verify(GENUINE) is Refusal.BAD_SIGNATURE


def test_the_certificate_that_the_sender_names_is_never_looked_at() -> None:
    for url in (b"", b"file:///etc/passwd", b"https://api.paypal.com/v1/notifications/certs/CERT-1"):
        assert PLUGIN.verify(with_header(GENUINE, b"paypal-cert-url", url)) == Verified(
            TRANSMISSION_ID.decode()
        )


def test_only_sha256_with_rsa_verifies() -> None:
    for algorithm in (b"SHA1withRSA", b"sha256withrsa", b"SHA256withRSA ", b"none", b"", b"SHA256withECDSA"):
        assert (
            PLUGIN.verify(with_header(GENUINE, b"paypal-auth-algo", algorithm)) is Refusal.MALFORMED_SIGNATURE
        )
    assert PLUGIN.verify(with_header(GENUINE, b"paypal-auth-algo")) is Refusal.MALFORMED_SIGNATURE
    assert OWN.verify(signed(algorithm=SHA1())) is Refusal.BAD_SIGNATURE


def test_no_part_can_move_across_the_bar() -> None:
    moved = signed(id_=TRANSMISSION_ID, time=b"x|" + TRANSMISSION_TIME)
    assert OWN.verify(moved) is Refusal.MALFORMED_TIMESTAMP
    for id_ in (TRANSMISSION_ID + b"|2026-09-21T14:13:20Z", b"a|b", b"", b"\n", b"x" * 51, b"\xff"):
        assert OWN.verify(signed(id_=id_)) is Refusal.MISSING_ID


def test_a_certificate_counts_only_while_it_is_valid() -> None:
    start, end = datetime(2026, 1, 1, tzinfo=UTC).timestamp(), datetime(2027, 1, 1, tzinfo=UTC).timestamp()
    lenient = PayPal([certificate(rsa_key())], OPTIONS, tolerance=timedelta(days=1000))
    for now, valid in ((start - 1, False), (start, True), (end, True), (end + 1, False)):
        verdict = lenient.verify(signed()._replace(now=now))
        assert verdict == (Verified(TRANSMISSION_ID.decode()) if valid else Refusal.BAD_SIGNATURE)


def test_any_of_several_certificates_verifies_and_a_chain_is_its_first() -> None:
    other = certificate(rsa.generate_private_key(65537, 2048))
    own = certificate(rsa_key())
    for secrets in ([other, own], [own, other], [own + other]):
        assert PayPal(secrets, OPTIONS).verify(signed()) == Verified(TRANSMISSION_ID.decode())
    assert PayPal([other + own], OPTIONS).verify(signed()) is Refusal.BAD_SIGNATURE
    assert PayPal([], OPTIONS).verify(signed()) is Refusal.BAD_SIGNATURE


def test_what_is_no_certificate_for_a_good_rsa_key_is_refused() -> None:
    public = rsa_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for secret in (b"", b"secret", public, PEM.replace(b"MIIC", b"MIIB"), PEM[:-100]):
        with pytest.raises(WrongKey, match="must be PayPal's certificate in PEM"):
            PayPal([secret], OPTIONS)
    for key in (rsa_key(1024), ec.generate_private_key(ec.SECP256R1())):
        with pytest.raises(WrongKey, match="RSA key of 2048"):
            PayPal([certificate(key)], OPTIONS)


def test_the_webhook_s_id_is_needed_and_of_its_form() -> None:
    with pytest.raises(ConfigError, match=r"needs 'webhook_id'; add options = \{ webhook_id"):
        PayPal([PEM], {})
    for wrong in ("https://x", "a|b", "a b", "é", "x\n"):
        with pytest.raises(ConfigError, match="webhook_id must be letters and digits"):
            PayPal([PEM], {"webhook_id": wrong})
    with pytest.raises(ConfigError, match="has no option 'cert_url'"):
        PayPal([PEM], OPTIONS | {"cert_url": "x"})


def test_a_retry_of_three_days_is_fresh_and_one_of_more_than_four_is_stale() -> None:
    verified = Verified(TRANSMISSION_ID.decode())
    for seconds, fresh in (
        (3 * 86400, True),
        (4 * 86400, True),
        (4 * 86400 + 1, False),
        (-300, True),
        (-301, False),
    ):
        verdict = OWN.verify(signed()._replace(now=NOW + seconds))
        assert verdict == (verified if fresh else Refusal.STALE_TIMESTAMP), seconds
    strict = PayPal([PEM], OPTIONS, tolerance=timedelta(minutes=1))
    assert strict.verify(GENUINE._replace(now=NOW + 61)) is Refusal.STALE_TIMESTAMP


@pytest.mark.parametrize(
    "time", [b"2026-09-21 14:13:20Z", b"2026-09-21T14:13:20", b"1790000000", b"2026-13-01T00:00:00Z"]
)
def test_a_signed_time_of_another_form_is_malformed(time: bytes) -> None:
    assert OWN.verify(signed(time=time)) is Refusal.MALFORMED_TIMESTAMP


def test_causes_are_told_apart() -> None:
    for name, cause in (
        (b"paypal-transmission-sig", Refusal.MISSING_SIGNATURE),
        (b"paypal-transmission-id", Refusal.MISSING_ID),
        (b"paypal-transmission-time", Refusal.MISSING_TIMESTAMP),
    ):
        right = GENUINE.header(name) or b""
        for values in ([], [b""], [right, right]):
            assert PLUGIN.verify(with_header(GENUINE, name, *values)) is cause
    assert (
        PLUGIN.verify(with_header(GENUINE, b"paypal-transmission-sig", b"?")) is Refusal.MALFORMED_SIGNATURE
    )
    assert PLUGIN.verify(with_header(GENUINE, b"paypal-transmission-sig", b"AAAA")) is Refusal.BAD_SIGNATURE


def forge(body: bytes, checksum: int) -> bytes:
    """The body with four bytes more, so that it has this CRC-32: it is linear, so a forger solves 32 equations."""
    start = crc32(body + bytes(4))
    rows = [(crc32(body + (1 << bit).to_bytes(4, "little")) ^ start, 1 << bit) for bit in range(32)]
    left, chosen = checksum ^ start, 0
    for bit in range(32):
        pivot = next(row for row in rows if row[0] >> bit & 1)
        rows.remove(pivot)
        rows = [(a ^ pivot[0], b ^ pivot[1]) if a >> bit & 1 else (a, b) for a, b in rows]
        if left >> bit & 1:
            left, chosen = left ^ pivot[0], chosen ^ pivot[1]
    return body + chosen.to_bytes(4, "little")


def test_a_forged_body_with_the_same_checksum_verifies_and_is_a_duplicate() -> None:
    scheme = Scheme(config.Scheme(**preset("paypal")), [PEM], options=OPTIONS)

    def read(incoming: Incoming) -> Envelope | None:
        verdict = scheme.verify(incoming)
        assert isinstance(verdict, Verified)
        return scheme.read(scheme.context(incoming, verdict))

    assert read(GENUINE) == Envelope("PAYMENT.SALE.COMPLETED", (TRANSMISSION_ID.decode(),), "")
    for body in (b'{"id":"WH-2","event_type":"PAYMENT.SALE.REFUNDED"}', b"", b"not JSON"):
        forged = read(GENUINE._replace(body=forge(body, crc32(BODY))))
        assert forged is not None
        assert forged.dedup_key == (TRANSMISSION_ID.decode(),)
    assert not scheme.revisions
