"""Access tokens: what a caller shows to a relay, and the roles that say what it may do.

A token is text, `hkl_<id>_<secret>`: the id is public and names it in lists and logs; the secret is 256 random bits, so
that its plain SHA-256 can be stored: nobody finds by trying what no person has chosen.
"""

import re
import secrets
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal, Self, get_args

Role = Literal["consumer", "reader", "operator"]
"""A consumer receives and settles events of its subscriptions; a reader looks at everything; an operator may do
anything."""
ROLES: tuple[Role, ...] = get_args(Role)
_ID_BYTES = 6
_SECRET_BYTES = 32
_FORM = re.compile(r"hkl_(?P<id>[0-9a-f]{12})_(?P<secret>[0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token as its owner has it."""

    id: str
    """12 hexadecimal digits; no secret."""
    _secret: str = field(repr=False)

    @classmethod
    def new(cls) -> Self:
        """One that nobody has."""
        return cls(secrets.token_hex(_ID_BYTES), secrets.token_hex(_SECRET_BYTES))

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The token that is written so; None if none is."""
        match = _FORM.fullmatch(text)
        return cls(match["id"], match["secret"]) if match is not None else None

    def __str__(self) -> str:
        return f"hkl_{self.id}_…"

    def reveal(self) -> str:
        """The text that its owner has to send. Show it once, and write it nowhere."""
        return f"hkl_{self.id}_{self._secret}"

    @property
    def digest(self) -> bytes:
        """SHA-256 of the secret: what is stored of it."""
        return sha256(self._secret.encode()).digest()
