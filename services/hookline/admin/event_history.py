"""What became of an event, put together from what is recorded of it: pure, so that it can be followed."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from hookline.core.subscription import Subscription
from hookline.model import SubscriptionName
from hookline.store.acks import PastAck
from hookline.store.timeline import Passage, PastAttempt, TroubledDelivery

State = Literal["pending", "waiting", "blocked", "acked", "dead", "deleted", "filtered", "passed"]


@dataclass(frozen=True, slots=True)
class DeliveryHistory:
    """The event on its way to one subscription."""

    subscription: SubscriptionName
    replay: int
    state: State
    attempts: list[PastAttempt]
    row: TroubledDelivery | None


def histories(
    passages: Iterable[Passage],
    troubled: Iterable[TroubledDelivery],
    attempts: Iterable[PastAttempt],
    acks: Iterable[PastAck],
    *,
    wants: Callable[[Subscription], bool],
) -> list[DeliveryHistory]:
    """All deliveries of one event, by subscription and replay.

    Args:
        passages: How far each subscription that there is has come past it.
        troubled: Its rows.
        attempts: Those that left rows.
        acks: Those in the journal.
        wants: Whether a subscription's filter lets it through; asked only where nothing is recorded.
    """
    passed = {passage.subscription.name: passage for passage in passages}
    rows = {(row.subscription, row.replay): row for row in troubled}
    past: dict[tuple[SubscriptionName, int], list[PastAttempt]] = {(name, 0): [] for name in passed}
    for attempt in sorted([*attempts, *map(_attempt, acks)], key=lambda attempt: attempt.ended_at):
        past.setdefault((attempt.subscription, attempt.replay), []).append(attempt)
    for place in rows:
        past.setdefault(place, [])
    found = []
    for (name, replay), entries in sorted(past.items()):
        passage, row = passed.get(name), rows.get((name, replay))
        once = _once(entries, passage)
        found.append(DeliveryHistory(name, replay, _state(replay, passage, row, once, wants), once, row))
    return found


def _state(
    replay: int,
    passage: Passage | None,
    row: TroubledDelivery | None,
    attempts: list[PastAttempt],
    wants: Callable[[Subscription], bool],
) -> State:
    if row is not None:
        return row.state
    # What came before the subscription was another one's of its name.
    own = [attempt for attempt in attempts if passage is None or attempt.ended_at >= passage.created_at]
    last = own[-1].outcome if own else ""
    if last in ("acked", "deleted"):
        return "acked" if last == "acked" else "deleted"
    if replay:
        return "deleted"  # withdrawn with its replay: nothing else ends a delivery without a word
    if passage is not None and passage.is_held:
        return "pending"
    if passage is not None and not own and not wants(passage.subscription):
        return "filtered"
    return "passed" if passage is None or passage.is_read else "pending"


def _once(attempts: list[PastAttempt], passage: Passage | None) -> list[PastAttempt]:
    """Without acks that were written twice, because it wasn't known whether the first write was committed."""
    once: list[PastAttempt] = []
    for attempt in attempts:
        is_second = bool(once) and once[-1].outcome == attempt.outcome == "acked"
        # A subscription that was deleted and made anew may have it twice indeed.
        if not is_second or (passage and once[-1].ended_at < passage.created_at <= attempt.ended_at):
            once.append(attempt)
    return once


def _attempt(ack: PastAck) -> PastAttempt:
    """An ack of the journal: nothing failed before it, or it would have left a row."""
    return PastAttempt(
        ack.subscription, 0, 1, "acked", "", ack.consumer, ack.handed_at, ack.acked_at, traceparent=""
    )
