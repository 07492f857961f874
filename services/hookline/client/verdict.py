"""What a handler may raise to say more than that it failed."""

from datetime import timedelta


class Retry(Exception):
    """Not now: try again later.

    Args:
        delay: How long to wait at least; None leaves it to the subscription's retry policy.
        reason: Why, for people. It is kept with the attempt, so it must hold no personal data.
    """

    def __init__(self, delay: timedelta | None = None, reason: str = "") -> None:
        super().__init__(reason)
        self.delay = delay
        self.reason = reason


class Reject(Exception):
    """Never: no attempt can succeed. The event goes to the dead letters.

    Args:
        reason: Why, for people. It is kept with the dead letter, so it must hold no personal data.
    """

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
