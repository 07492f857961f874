"""What telemetry gave up on, counted: no log line, span or metric is lost without a trace of it."""

import threading
from typing import Literal

Signal = Literal["span", "metric", "log"]

_lock = threading.Lock()
_counts: dict[str, int] = {"span": 0, "metric": 0, "log": 0}


def count(signal: Signal, n: int = 1) -> None:
    """Add `n` items of this signal to what the process has dropped since its start; from any thread."""
    with _lock:
        _counts[signal] += n


def counts() -> dict[str, int]:
    """Return how many spans, metric points and log lines the process has dropped since its start."""
    with _lock:
        return dict(_counts)
