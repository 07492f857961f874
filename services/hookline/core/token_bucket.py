"""A token bucket: so many at once, so many a second in the long run."""


class TokenBucket:
    """Holds up to `burst` tokens and gains `rate` a second; full at first.

    Time is handed in, in seconds of a clock that never goes back.
    """

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, *, rate: float, burst: int, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._at = now

    def __repr__(self) -> str:
        return f"<TokenBucket {self._tokens:.1f} of {self._burst}, {self._rate:g}/s>"

    def take(self, now: float) -> bool:
        """Take a token, if there is one."""
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    @property
    def wait(self) -> float:
        """Seconds from the last `take` until there is a token."""
        return max(0.0, (1 - self._tokens) / self._rate)
