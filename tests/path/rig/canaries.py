"""Texts that must not come out again, and the search for them."""

from base64 import b64encode
from collections.abc import Mapping
from secrets import token_hex

_LEAST = 12
"""Characters of a canary that give it away: a text that was cut is a leak too."""


class Canaries:
    """Makes one for each field, and finds them in what was said."""

    def __init__(self) -> None:
        self._by_text: dict[str, str] = {}

    def __call__(self, field: str) -> str:
        """A canary for this field: letters and digits, so that no escaping changes it."""
        # 32 characters: also the key that seals secrets can be one.
        text = f"{token_hex(5)}canary{token_hex(8)}"
        self._by_text[text] = field
        return text

    def found(self, told: Mapping[str, str]) -> set[tuple[str, str]]:
        """Where which field's canary was told: as it is, cut, or encoded.

        Args:
            told: What was said, by who said it.
        """
        return {
            (where, field)
            for where, said in told.items()
            for text, field in self._by_text.items()
            if any(form in said.lower() for form in _forms(text))
        }


def _forms(text: str) -> list[str]:
    raw = text.encode()
    return [text[:_LEAST], raw[:_LEAST].hex(), b64encode(raw[:_LEAST]).decode().lower()]
