"""Signatures as Begini makes them, and as a forger gets them wrong.

Begini's help centre (securing webhooks, April 2026): lowercase hex HMAC-SHA-512 over the raw body; the key is
the deployment's API key in UTF-8. An older guide uses SHA-256, so the algorithm is a setting.
"""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Literal

Algorithm = Literal["sha512", "sha256"]
DEFAULT_HEADER = "X-Signature"


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs bodies with one deployment's API key."""

    key: str = field(repr=False)
    algorithm: Algorithm = "sha512"

    def sign(self, body: bytes) -> str:
        """Return the signature header's value for exactly these bytes."""
        return hmac.new(self.key.encode(), body, self.algorithm).hexdigest()


@dataclass(frozen=True, slots=True)
class Forgery:
    """A body and a signature that don't belong together under the right key."""

    body: bytes = field(repr=False)
    signature: str = field(repr=False)


def forge(body: bytes, signer: Signer, rng: Random) -> Forgery:
    """Forge a webhook from a genuine body, in one of several ways."""
    return rng.choice(_FORGERIES)(body, signer)


def _with_another_key(body: bytes, signer: Signer) -> Forgery:
    return Forgery(body, replace(signer, key=signer.key + "x").sign(body))


def _with_a_tampered_body(body: bytes, signer: Signer) -> Forgery:
    # The last digit belongs to a trait, a time or a score: still JSON, and another decision for the lender.
    at = max(position for position, byte in enumerate(body) if chr(byte).isdigit())
    tampered = body[:at] + str((int(body[at : at + 1]) + 1) % 10).encode() + body[at + 1 :]
    return Forgery(tampered, signer.sign(body))


def _with_a_changed_signature(body: bytes, signer: Signer) -> Forgery:
    signature = signer.sign(body)
    return Forgery(body, ("1" if signature[0] == "0" else "0") + signature[1:])


def _with_a_truncated_signature(body: bytes, signer: Signer) -> Forgery:
    return Forgery(body, signer.sign(body)[:-1])


def _with_a_plain_hash(body: bytes, signer: Signer) -> Forgery:
    return Forgery(body, hashlib.new(signer.algorithm, body).hexdigest())


_FORGERIES: tuple[Callable[[bytes, Signer], Forgery], ...] = (
    _with_another_key,
    _with_a_tampered_body,
    _with_a_changed_signature,
    _with_a_truncated_signature,
    _with_a_plain_hash,
)
