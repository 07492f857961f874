"""Seal what must be stored and must not be read: AES-256-GCM (NIST SP 800-38D), bound to the place it belongs to.

What is sealed says which key sealed it, so several keys can be live while a master key is replaced:

    bytes 0 to 3   the key's id: the first bytes of SHA-256 over a prefix of our own and the key
    bytes 4 to 15  the nonce, random. Chances of the same one twice stay below 2^-32 for 2^32 seals with one key
    bytes 16 on    the ciphertext with its tag, 16 bytes longer than the plaintext

The names of the place are authenticated with it: what was moved to another place doesn't open there.
"""

import binascii
import os
from base64 import b64decode, b64encode
from collections.abc import Sequence
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hookline.core import identity
from hookline.errors import HooklineError

KEY_BYTES = 32
_ID_DOMAIN = b"hookline.sealing.key-id\0"
"""Keeps an id from being the plain digest of a key, which somebody else may have computed for another purpose."""
_ID_BYTES = 4
_NONCE_BYTES = 12
_TAG_BYTES = 16


class SealBroken(HooklineError):
    """What was sealed can't be opened: its key isn't configured, it was altered, or it belongs elsewhere."""


class Sealer:
    """Seals with the first of its keys, and opens what any of them has sealed.

    Args:
        keys: Of 32 bytes each, at least one.

    Raises:
        ValueError: There is no key, or one of another length.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys:
            raise ValueError("sealing takes at least one key")
        if any(len(key) != KEY_BYTES for key in keys):
            raise ValueError(f"a key has {KEY_BYTES} bytes")
        self._ciphers = {_key_id(key): AESGCM(key) for key in reversed(keys)}
        # Of two keys with one id, which nobody has, the first would stay.
        self._first = _key_id(keys[0])

    def __repr__(self) -> str:
        return f"<Sealer seals with {self.key_id}, opens {len(self._ciphers)} keys>"

    @property
    def key_id(self) -> str:
        """Id of the key that seals; no secret."""
        return self._first.hex()

    def is_sealed_by_first(self, sealed: bytes) -> bool:
        """Whether the key that seals now has sealed it."""
        return sealed.startswith(self._first)

    def seal(self, plaintext: bytes, *, bound_to: Sequence[str]) -> bytes:
        """Seal it, for this place only.

        Args:
            plaintext: What; up to 2^31 - 1 bytes.
            bound_to: Names of its place, such as a table, a source and an id. They must be given again to open it.
        """
        nonce = os.urandom(_NONCE_BYTES)
        ciphertext = self._ciphers[self._first].encrypt(nonce, plaintext, _authenticated(bound_to))
        return self._first + nonce + ciphertext

    def open(self, sealed: bytes, *, bound_to: Sequence[str]) -> bytes:
        """What was sealed.

        Raises:
            SealBroken: The key isn't here, a bit is not as it was, or it was sealed for another place.
        """
        nonce, ciphertext = sealed[_ID_BYTES:][:_NONCE_BYTES], sealed[_ID_BYTES + _NONCE_BYTES :]
        if len(ciphertext) < _TAG_BYTES:
            raise SealBroken("too short to have been sealed; it was cut off or never sealed")
        cipher = self._ciphers.get(sealed[:_ID_BYTES])
        if cipher is None:
            raise SealBroken(
                f"sealed with key {key_id(sealed)}, which isn't configured; add that key to secrets.keys"
            )
        try:
            return cipher.decrypt(nonce, ciphertext, _authenticated(bound_to))
        except InvalidTag:
            raise SealBroken(
                f"sealed with key {key_id(sealed)}, but altered since, or moved here from another place"
            ) from None


def key_id(sealed: bytes) -> str:
    """Id of the key with which it was sealed; no secret."""
    return sealed[:_ID_BYTES].hex()


def random_key() -> bytes:
    """A new key."""
    return os.urandom(KEY_BYTES)


def encode_key(key: bytes) -> str:
    """The key as base64, as `decode_key` reads it."""
    return b64encode(key).decode()


def decode_key(text: str) -> bytes:
    """The key that is written as base64 of 32 bytes, as `hookline sources secrets new-key` makes it.

    Raises:
        ValueError: It isn't. The message doesn't repeat it.
    """
    try:
        key = b64decode(text.strip().encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError(
            f"must be base64 of {KEY_BYTES} bytes; make one with `hookline sources secrets new-key`"
        )
    return key


def _authenticated(bound_to: Sequence[str]) -> bytes:
    return identity.join(bound_to).encode(errors="surrogatepass")


def _key_id(key: bytes) -> bytes:
    return sha256(_ID_DOMAIN + key).digest()[:_ID_BYTES]
