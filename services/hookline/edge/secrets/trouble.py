"""What can't be read now: said once when it begins and once when it is over, not at every look."""

import structlog

_log = structlog.get_logger(__name__)


class Trouble:
    """Remembers what was said. The reasons it is given hold no secret, nor anything else that was read."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def begins(self, what: str, reason: str) -> None:
        """Something can't be read; what was live stays so."""
        if what not in self._known:
            self._known.add(what)
            _log.warning("secret not reloaded; what was live stays", secret=what, reason=reason)

    def ends(self, what: str) -> None:
        """It can be read."""
        if what in self._known:
            self._known.discard(what)
            _log.info("secret readable again", secret=what)
