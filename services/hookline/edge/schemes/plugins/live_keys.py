"""Every live secret of a source as a key."""

from collections.abc import Sequence

from hookline.config.signature import Algorithm, Key
from hookline.edge.schemes.keys import matcher


class LiveKeys:
    """Keys of one kind, any of which verifies.

    Args:
        algorithm: One of the HMACs.
        secrets: The secrets' texts. With none, nothing verifies.
        form: How a text becomes a key; None: as it is, in UTF-8.

    Raises:
        WrongKey: A secret is empty, or not of this form.
    """

    def __init__(self, algorithm: Algorithm, secrets: Sequence[bytes], form: Key | None = None) -> None:
        self._keys = [matcher(algorithm, form or Key(), secret) for secret in secrets]

    def __repr__(self) -> str:
        return f"<LiveKeys {len(self._keys)}>"

    def sign(self, message: bytes, signatures: Sequence[bytes]) -> bool:
        """Whether any of the signatures is any key's for the message."""
        right = False
        for key in self._keys:
            # No early exit: how long this takes must not tell which secret was the right one.
            right |= key.matches(message, signatures)
        return right
