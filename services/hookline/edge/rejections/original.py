"""The refused request as it was, sealed: bound to its rejection, so that it can't be passed off as another."""

from uuid import UUID

import msgspec

from hookline.edge.schemes.incoming import Incoming
from hookline.errors import HooklineError
from hookline.sealing import SealBroken, Sealer


class OriginalUnreadable(HooklineError):
    """What was sealed is not what this version of Hookline seals."""


class _Original(msgspec.Struct, array_like=True, tag="r1"):
    """What is inside the seal, as MessagePack: it takes every byte as it is. The tag names the layout."""

    method: bytes
    url: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes


_decoder = msgspec.msgpack.Decoder(_Original)


def seal(sealer: Sealer, rejection_id: UUID, source: str, incoming: Incoming) -> bytes:
    """The whole request, sealed for this rejection. The clock isn't in it: the receipt is the rejection's."""
    original = _Original(
        _encode(incoming.method), _encode(incoming.url), list(incoming.headers), incoming.body
    )
    return sealer.seal(msgspec.msgpack.encode(original), bound_to=_place(rejection_id, source))


def unseal(sealer: Sealer, rejection_id: UUID, source: str, sealed: bytes, *, now: float) -> Incoming:
    """The request as it was.

    Args:
        sealer: With the key that sealed it.
        rejection_id: Whose original it is.
        source: The rejection's.
        sealed: What was stored.
        now: Unix time in seconds by which a signed timestamp is to be judged.

    Raises:
        SealBroken: The key isn't here, or the original was altered or belongs to another rejection.
        OriginalUnreadable: Another version of Hookline sealed it.
    """
    opened = sealer.open(sealed, bound_to=_place(rejection_id, source))
    try:
        original = _decoder.decode(opened)
    except msgspec.MsgspecError:
        # Without the library's message, which may quote what it found.
        raise OriginalUnreadable("another version of Hookline sealed it; open it with that version") from None
    return Incoming(_decode(original.method), _decode(original.url), original.headers, original.body, now)


def _place(rejection_id: UUID, source: str) -> tuple[str, str, str]:
    return ("rejection", str(rejection_id), source)


def _encode(text: str) -> bytes:
    """UTF-8, and lone surrogates too: what a sender writes into its URL need not be Unicode."""
    return text.encode("utf-8", "surrogatepass")


def _decode(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogatepass")


__all__ = ["OriginalUnreadable", "SealBroken", "seal", "unseal"]
