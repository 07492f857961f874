"""Where a run's endings aren't what the kinds of its webhooks demand, in words for people.

Pure. An attempt without a good answer may have been committed all the same, and then its retry meets itself:
after one, "duplicate" is as good as "accepted". Never good: the same bytes accepted twice or under two ids,
and two bodies under one id.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from hookline.simulator.answer import Answer
from hookline.simulator.plan import Item, Kind


def differences(answers: Sequence[Answer]) -> Iterator[str]:
    """Name every difference. Journeys are named by number, never by uid."""
    by_body: defaultdict[bytes, list[Answer]] = defaultdict(list)
    for answer in answers:
        if answer.item.kind is Kind.FORGED:
            yield from _of_forged(answer)
        else:
            by_body[answer.item.body].append(answer)
    # A revision is one only if the first version is known to have arrived.
    begun = {
        (answer.item.journey, answer.item.event_type)
        for answer in answers
        if answer.item.kind is Kind.NEW and answer.event_id is not None
    }
    for same in by_body.values():
        yield from _of_unconfirmed(same)
        yield from _of_one_event(same, begun)
    yield from _of_shared_ids(by_body.values())


def _of_forged(answer: Answer) -> Iterator[str]:
    if not answer.refused:
        yield f"{_name(answer.item)}: not refused with HTTP 403, but ended with {_ending(answer)}"


def _of_unconfirmed(same: Sequence[Answer]) -> Iterator[str]:
    for answer in same:
        if answer.event_id is None:
            hint = "; is this the API key that the endpoint knows?" if answer.refused else ""
            yield f"{_name(answer.item)}: not taken, ended with {_ending(answer)}{hint}"


def _of_one_event(same: Sequence[Answer], begun: set[tuple[int, str]]) -> Iterator[str]:
    items = [answer.item for answer in same]
    origin = next((item for item in items if item.kind in {Kind.NEW, Kind.REVISION}), items[0])
    accepted = [answer for answer in same if answer.status == "accepted"]
    if len(accepted) > 1:
        yield f"{_name(origin)}: accepted {len(accepted)} times, though the same bytes are one event"
    if not accepted and not any(answer.in_doubt for answer in same):
        yield f"{_name(origin)}: a duplicate when first sent; did this endpoint get this seed before?"
    if len({answer.event_id for answer in same} - {None}) > 1:
        yield f"{_name(origin)}: more than one event id for the same bytes"
    expected = origin.kind is Kind.REVISION
    for answer in accepted:
        if answer.is_revision != expected and (origin.journey, origin.event_type) in begun:
            yield f"{_name(answer.item)}: {'' if answer.is_revision else 'not '}marked as a revision"


def _of_shared_ids(bodies: Iterable[Sequence[Answer]]) -> Iterator[str]:
    holders = Counter(
        event_id for same in bodies for event_id in {answer.event_id for answer in same} - {None}
    )
    for event_id, bodies_held in holders.items():
        if bodies_held > 1:
            yield f"event {event_id}: stands for {bodies_held} different bodies"


def _name(item: Item) -> str:
    return f"journey {item.journey}, {item.event_type} ({item.kind})"


def _ending(answer: Answer) -> str:
    reason = answer.reply.problem or (
        f"HTTP 200 '{answer.status}'" if answer.status else "HTTP 200 without 'accepted' or 'duplicate'"
    )
    return f"{reason} after {answer.attempts} attempt{'' if answer.attempts == 1 else 's'}"
