"""What a consumer shows to a relay that takes access tokens."""

import re
from collections.abc import Callable

from hookline.client.errors import ConsumerError

AccessToken = str | Callable[[], str]
"""The token's text, or what gives it: called for each new stream, so that a token can be replaced while it runs."""
_SENDABLE = re.compile(r"[\x21-\x7e]+")
"""Anything else gRPC would refuse, and repeat in its error."""


class Credential:
    """An access token on its way to a relay; it is in no `repr`, error or log.

    Args:
        token: The token; None shows none.
    """

    def __init__(self, token: AccessToken | None) -> None:
        self._token = token
        self._shown: str | None = None

    def __repr__(self) -> str:
        return f"<Credential {'given' if self._token is not None else 'none'}>"

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes with a call.

        Raises:
            ConsumerError: It can't be a token. Whatever a callable raises passes through.
        """
        self._shown = self._current()
        return (("authorization", f"Bearer {self._shown}"),) if self._shown is not None else ()

    def is_replaced(self) -> bool:
        """Whether there is another token than the one that was shown last. Errors as of `metadata`."""
        return callable(self._token) and self._current() != self._shown

    def _current(self) -> str | None:
        if self._token is None:
            return None
        token = self._token() if callable(self._token) else self._token
        # A file's last line end is none of it.
        token = token.strip() if isinstance(token, str) else ""
        if not _SENDABLE.fullmatch(token):
            raise ConsumerError("the access token that was given is empty, or no token; it isn't shown here")
        return token
