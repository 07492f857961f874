"""Secrets as keys, and what each can verify."""

import hmac
from base64 import b64decode
from binascii import Error, unhexlify
from collections.abc import Sequence
from hashlib import sha256
from typing import Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key

from hookline.config.signature import Algorithm, Key
from hookline.edge.schemes.encodings import decode_base64

_ED25519_KEY = 32
_ED25519_SIGNATURE = 64
_ECDSA_SIGNATURE = range(8, 73)
"""Bytes of a DER SEQUENCE of two integers of 256 bits."""


class WrongKey(Exception):
    """A secret is no key of this kind. Says what was expected, and nothing of the secret."""


class Matcher(Protocol):
    """One key."""

    def matches(self, message: bytes, signatures: Sequence[bytes]) -> bool:
        """Whether any of the signatures is this key's for the message. Looks at all of them."""


class _Hmac:
    def __init__(self, key: bytes, algorithm: str) -> None:
        self._key = key
        self._hash = algorithm

    def matches(self, message: bytes, signatures: Sequence[bytes]) -> bool:
        right = hmac.digest(self._key, message, self._hash)
        found = False
        for signature in signatures:
            # Of another length it is no signature of this kind, which is no secret.
            found |= len(signature) == len(right) and hmac.compare_digest(right, signature)
        return found


class _Token:
    """A text that is sent as it is: it proves who sends and covers nothing."""

    def __init__(self, token: bytes) -> None:
        self._digest = sha256(token).digest()

    def matches(self, message: bytes, signatures: Sequence[bytes]) -> bool:
        del message
        found = False
        for text in signatures:
            # Digests have one length, so that the time tells nothing of the token's.
            found |= hmac.compare_digest(self._digest, sha256(text).digest())
        return found


class _Basic(_Token):
    """`user:password`, sent as RFC 7617 says."""

    def matches(self, message: bytes, signatures: Sequence[bytes]) -> bool:
        credentials = []
        for text in signatures:
            scheme, _, encoded = text.partition(b" ")
            if scheme.lower() == b"basic" and (decoded := decode_base64(encoded.strip(b" "))) is not None:
                credentials.append(decoded)
        return super().matches(message, credentials)


class _Ed25519:
    def __init__(self, key: bytes) -> None:
        if len(key) != _ED25519_KEY:
            raise WrongKey("an Ed25519 public key has 32 bytes")
        self._key = Ed25519PublicKey.from_public_bytes(key)

    def matches(self, message: bytes, signatures: Sequence[bytes]) -> bool:
        found = False
        for signature in signatures:
            if len(signature) == _ED25519_SIGNATURE:
                try:
                    self._key.verify(signature, message)
                except InvalidSignature:
                    continue
                found = True
        return found


class _EcdsaP256:
    def __init__(self, key: object) -> None:
        if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
            raise WrongKey("must be a public key on the curve P-256")
        self._key = key

    def matches(self, message: bytes, signatures: Sequence[bytes]) -> bool:
        found = False
        for signature in signatures:
            if len(signature) in _ECDSA_SIGNATURE:
                try:
                    self._key.verify(signature, message, ECDSA(SHA256()))
                except InvalidSignature:
                    continue
                found = True
        return found


class _Anybody:
    def matches(self, message: bytes, signatures: Sequence[bytes]) -> bool:
        del message, signatures
        return True


def matcher(algorithm: Algorithm, form: Key, secret: bytes) -> Matcher:
    """Make a key of a secret.

    Raises:
        WrongKey: The secret isn't a key for this algorithm in this form.
    """
    if algorithm == "none":
        return _Anybody()
    if algorithm == "ed25519":
        return _Ed25519(_public_ed25519(form, secret))
    if algorithm == "ecdsa-p256-sha256":
        return _EcdsaP256(_public_p256(form, secret))
    key = _decode(form, secret)
    if algorithm == "basic":
        return _Basic(key)
    return _Token(key) if algorithm == "token" else _Hmac(key, algorithm.removeprefix("hmac-"))


def _public_ed25519(form: Key, secret: bytes) -> bytes:
    if form.encoding not in ("pem", "der"):
        return _decode(form, secret)
    public = _load(form, secret)
    if not isinstance(public, Ed25519PublicKey):
        raise WrongKey("must be an Ed25519 public key")
    return public.public_bytes_raw()


def _public_p256(form: Key, secret: bytes) -> object:
    if form.encoding in ("pem", "der"):
        return _load(form, secret)
    try:
        return EllipticCurvePublicKey.from_encoded_point(SECP256R1(), _decode(form, secret))
    except ValueError:
        raise WrongKey("must be a point on the curve P-256") from None


def _without_prefix(form: Key, secret: bytes) -> bytes:
    prefix = form.prefix.encode()
    if form.prefix_required and not secret.startswith(prefix):
        raise WrongKey(f"must begin with {form.prefix!r}")
    return secret.removeprefix(prefix)


def _decode(form: Key, secret: bytes) -> bytes:
    text = _without_prefix(form, secret)
    key: bytes | None = text
    if form.encoding == "hex":
        try:
            key = unhexlify(text)  # a key may be pasted in capitals
        except Error:
            raise WrongKey("must be hex") from None
    elif form.encoding == "base64":
        # A key may be pasted without its padding: the length says what is missing.
        key = decode_base64(text + b"=" * (-len(text) % 4))
        if key is None:
            raise WrongKey("must be base64")
    if not key:
        # An empty key would let everybody in who knows that it is empty.
        raise WrongKey("must not be empty")
    return key


def _load(form: Key, secret: bytes) -> object:
    text = _without_prefix(form, secret)
    try:
        return load_pem_public_key(text) if form.encoding == "pem" else load_der_public_key(b64decode(text))
    except (ValueError, UnsupportedAlgorithm):
        raise WrongKey(f"must be a public key in {form.encoding.upper()}") from None
