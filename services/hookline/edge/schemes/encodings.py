"""Strict decoding: one text for each value, so that no altered text passes as the same signature."""

from base64 import b64decode, b64encode, urlsafe_b64decode, urlsafe_b64encode
from binascii import Error, hexlify, unhexlify


def decode_hex(text: bytes) -> bytes | None:
    """Lower-case hex; None if it is anything else."""
    try:
        decoded = unhexlify(text)
    except Error:
        return None
    # What it makes of the text is written again and compared: a pattern takes five times as long.
    return decoded if decoded and hexlify(decoded) == text else None


def decode_base64(text: bytes) -> bytes | None:
    """Base64 with its padding (RFC 4648, section 4).

    Python's decoder skips what isn't in the alphabet, and nobody's decoder minds the unused bits before the padding,
    so what it makes of the text is encoded again and compared.
    """
    try:
        decoded = b64decode(text)
    except Error:
        return None
    return decoded if b64encode(decoded) == text else None


def decode_base64url(text: bytes) -> bytes | None:
    """Base64url without padding (RFC 4648, section 5)."""
    try:
        decoded = urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    except Error:
        return None
    return decoded if urlsafe_b64encode(decoded).rstrip(b"=") == text else None


DECODERS = {"hex": decode_hex, "base64": decode_base64, "base64url": decode_base64url}
