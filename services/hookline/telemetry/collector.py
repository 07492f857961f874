"""What is known of the collector on the other end of OTLP, and told: once when it is lost, once when it is back."""

from time import monotonic
from typing import Literal

import structlog

from hookline.telemetry import dropped

_log = structlog.get_logger(__name__)

_SILENCE = 60.0
"""Seconds between two lines that complain."""


class Collector:
    """Hears how exports of one signal end. Used by one thread at a time, the exporter's.

    Args:
        signal: What is exported.
        address: Host and port, to tell people.
    """

    def __init__(self, signal: Literal["span", "metric"], address: str) -> None:
        self.reason = ""
        """Why the last request failed: a status or an error's name; never the collector's own text, which may quote
        the headers that it was sent."""
        self._signal: Literal["span", "metric"] = signal
        self._address = address
        self._is_lost = False
        self._lost = 0
        self._next_complaint = 0.0

    def rejected(self, items: int) -> None:
        """Hear that it took an export but for some spans or points."""
        if items > 0:
            dropped.count(self._signal, items)
            self._complain("the collector rejects a part of what it gets", rejected=items)

    def took(self) -> None:
        """Hear that an export arrived."""
        if self._is_lost:
            self._is_lost = False
            _log.warning("collector found again", **self._facts, lost=self._lost)
            self._lost = 0

    def failed(self, items: int) -> None:
        """Hear that an export of so many spans or points failed, retries and all."""
        self._lost += items
        if self._complain("collector lost: what it should get is dropped", reason=self.reason or "unknown"):
            self._is_lost = True

    def _complain(self, event: str, **facts: object) -> bool:
        now = monotonic()
        if now < self._next_complaint:
            return False
        self._next_complaint = now + _SILENCE
        _log.warning(event, **self._facts, **facts)
        return True

    @property
    def _facts(self) -> dict[str, str]:
        return {"signal": self._signal, "collector": self._address}
