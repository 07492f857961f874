"""The plan of a run: every webhook that will be sent, in order, decided before the first one leaves.

Pure: one seed, one plan.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from itertools import count, groupby
from random import Random
from typing import TypeVar

from hookline.simulator.journeys import Document, journeys, rescored
from hookline.simulator.signature import Signer, forge

T = TypeVar("T")


class Kind(StrEnum):
    """Why a webhook is in the plan, and so how it has to end."""

    NEW = "new"  # accepted
    DUPLICATE = "duplicate"  # the same bytes at the same moment: one of the two is accepted
    LATE = "late"  # the same bytes at the end of the run, as a provider's late retry: a duplicate
    REVISION = "revision"  # same deployment, uid and type, scored again: accepted as a revision
    FORGED = "forged"  # body and signature don't belong together: refused


@dataclass(frozen=True, slots=True)
class Item:
    """One webhook to send."""

    kind: Kind
    journey: int
    step: int  # items with the same step are sent at the same moment
    event_type: str
    uid: str = field(repr=False)  # nothing of the applicant is ever printed
    body: bytes = field(repr=False)
    signature: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Mix:
    """How much of a run isn't simply new; each a fraction from 0 to 1, rounded up to whole webhooks.

    Raises:
        ValueError: a fraction is outside 0 to 1.
    """

    duplicates: float = 0.0  # of the genuine webhooks: the new ones and the revisions
    late: float = 0.0  # of the genuine webhooks
    revisions: float = 0.0  # of the scores
    forged: float = 0.0  # of the genuine webhooks, each of which is sent as well

    def __post_init__(self) -> None:
        for share in fields(self):
            if not 0 <= getattr(self, share.name) <= 1:
                raise ValueError(f"the fraction of {share.name} must be from 0 to 1")


Plan = tuple[Item, ...]
Track = tuple[tuple[Item, ...], ...]
"""Steps to be taken one after the other, each of one or more items to be sent at the same moment."""


@dataclass(frozen=True, slots=True)
class _Genuine:
    kind: Kind
    journey: int
    document: Document


def draw_plan(*, journey_count: int, mix: Mix, signer: Signer, seed: int) -> Plan:
    """Draw the plan of a run: the journeys one after the other, then the late repeats in any order."""
    rng = Random(seed)  # noqa: S311 - it has to be repeatable, and guards nothing
    genuine = _genuine(rng, journey_count, mix)
    doubled = frozenset(_chosen(rng, genuine, mix.duplicates))
    copied = frozenset(_chosen(rng, genuine, mix.forged))
    late = _chosen(rng, genuine, mix.late)
    steps = count()
    items: list[Item] = []
    for origin in genuine:
        kinds = [(origin.kind, Kind.DUPLICATE) if origin in doubled else (origin.kind,)]
        if origin in copied:
            kinds.insert(rng.randint(0, 1), (Kind.FORGED,))  # ahead of the genuine one, or behind it
        for together, step in zip(kinds, steps, strict=False):
            items.extend(_item(rng, origin, signer, kind, step) for kind in together)
    items.extend(_item(rng, origin, signer, Kind.LATE, next(steps)) for origin in late)
    return tuple(items)


def rounds(plan: Plan) -> Iterator[tuple[Track, ...]]:
    """Split a plan into what may run side by side: first the journeys, then the late repeats.

    The tracks of one round are independent of one another. A round begins when the one before it has ended.
    """
    prompt = [item for item in plan if item.kind is not Kind.LATE]
    yield tuple(_track(items) for _, items in groupby(prompt, lambda item: item.journey))
    yield tuple(((item,),) for item in plan if item.kind is Kind.LATE)


def _track(items: Iterator[Item]) -> Track:
    return tuple(tuple(together) for _, together in groupby(items, lambda item: item.step))


def _genuine(rng: Random, journey_count: int, mix: Mix) -> list[_Genuine]:
    drawn = list(journeys(rng, journey_count))
    scores = [document for journey in drawn for document in journey.documents if document.is_score]
    revised = frozenset(_chosen(rng, scores, mix.revisions))
    genuine: list[_Genuine] = []
    for journey in drawn:
        genuine.extend(_Genuine(Kind.NEW, journey.number, document) for document in journey.documents)
        genuine.extend(
            _Genuine(Kind.REVISION, journey.number, rescored(document, rng))
            for document in journey.documents
            if document in revised
        )
    return genuine


def _chosen(rng: Random, population: Sequence[T], fraction: float) -> list[T]:
    # Rounded up, so that asking for some never gives none; the margin is for what floats add (0.07 * 100).
    return rng.sample(population, math.ceil(fraction * len(population) - 1e-9))


def _item(rng: Random, origin: _Genuine, signer: Signer, kind: Kind, step: int) -> Item:
    document = origin.document
    body, signature = document.body, signer.sign(document.body)
    if kind is Kind.FORGED:
        forgery = forge(body, signer, rng)
        body, signature = forgery.body, forgery.signature
    return Item(
        kind=kind,
        journey=origin.journey,
        step=step,
        event_type=document.event_type,
        uid=document.uid,
        body=body,
        signature=signature,
    )
