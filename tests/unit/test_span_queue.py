"""What becomes of ended spans: exported, or counted as dropped; and nobody waits for either."""

import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from time import monotonic

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from hookline.telemetry import dropped
from hookline.telemetry.span_queue import SpanQueue

PATIENCE = 10
SUCCESS, FAILURE = SpanExportResult.SUCCESS, SpanExportResult.FAILURE


class Peer(SpanExporter):
    """Notes the size of each export; `allow` lets one go, and is waited for."""

    def __init__(self, *results: SpanExportResult, holds: bool = False) -> None:
        self.sizes: list[int] = []
        self.at: list[float] = []
        self.began = threading.Semaphore(0)
        self._results = list(results)
        self._gate = threading.Semaphore(0) if holds else None

    def allow(self) -> None:
        assert self._gate
        self._gate.release()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.sizes.append(len(spans))
        self.at.append(monotonic())
        self.began.release()
        if self._gate:
            self._gate.acquire()
        return self._results.pop(0) if self._results else SUCCESS

    def expect(self) -> None:
        assert self.began.acquire(timeout=PATIENCE), "no export began"


@pytest.fixture
def drops() -> Callable[[], int]:
    before = dropped.counts()["span"]
    return lambda: dropped.counts()["span"] - before


def end(queue: SpanQueue, spans: int) -> None:
    provider = TracerProvider(sampler=ALWAYS_ON, shutdown_on_exit=False)
    provider.add_span_processor(queue)
    tracer = provider.get_tracer("test")
    for number in range(spans):
        tracer.start_span(f"span {number}").end()


def test_spans_go_in_batches_and_the_first_is_small(drops: Callable[[], int]) -> None:
    peer = Peer()
    queue = SpanQueue(peer, batch=100, delay=timedelta(minutes=1))
    end(queue, 250)
    queue.shutdown()
    assert peer.sizes[0] == 16, "who knows whether anybody takes them"
    assert sum(peer.sizes) == 250
    assert max(peer.sizes) == 100
    assert drops() == 0


def test_what_finds_the_queue_full_is_dropped_and_counted(drops: Callable[[], int]) -> None:
    peer = Peer(holds=True)
    queue = SpanQueue(peer, capacity=50, batch=20, delay=timedelta(minutes=1))
    end(queue, 20)
    peer.expect()
    end(queue, 47)
    assert drops() == 1, "4 of the first are left in the queue, and 46 fit in beside them"
    for _ in range(10):
        peer.allow()
    queue.shutdown()
    assert sum(peer.sizes) == 66
    assert drops() == 1


def test_a_failed_export_is_counted_and_followed_by_a_rest_and_a_small_one(drops: Callable[[], int]) -> None:
    peer = Peer(SUCCESS, FAILURE)
    queue = SpanQueue(peer, batch=40, delay=timedelta(minutes=1), rest=timedelta(seconds=0.3))
    end(queue, 16 + 40 + 40)
    for _ in range(3):
        peer.expect()
    queue.shutdown()
    assert peer.sizes[:3] == [16, 40, 16]
    assert peer.at[2] - peer.at[1] >= 0.3
    assert sum(peer.sizes) == 96
    assert drops() == 40


def test_a_refusing_collector_is_not_asked_again_and_again_at_the_end(drops: Callable[[], int]) -> None:
    peer = Peer(*[FAILURE] * 50)
    queue = SpanQueue(peer, delay=timedelta(minutes=1))
    end(queue, 200)
    queue.shutdown()
    assert peer.sizes == [16]
    assert drops() == 200


def test_an_end_that_takes_too_long_is_given_up_and_everything_left_is_counted(
    drops: Callable[[], int],
) -> None:
    peer = Peer(FAILURE, holds=True)
    queue = SpanQueue(peer, batch=20, delay=timedelta(minutes=1))
    end(queue, 20)
    peer.expect()
    end(queue, 30)
    began = monotonic()
    queue.shutdown()
    assert 1.5 <= monotonic() - began <= 3
    assert drops() == 50
    # It returns after all, and its spans aren't counted twice.
    peer.allow()
    queue._thread.join(PATIENCE)
    assert not queue._thread.is_alive()
    assert (peer.sizes, drops()) == ([16], 50)


def test_what_ends_after_the_end_is_counted(drops: Callable[[], int]) -> None:
    queue = SpanQueue(Peer())
    queue.shutdown()
    queue.shutdown()
    end(queue, 3)
    assert drops() == 3


def test_no_thread_keeps_the_process_alive() -> None:
    queue = SpanQueue(Peer())
    assert queue._thread.daemon
    queue.shutdown()
