"""Applicant journeys: what one applicant makes Begini send, from the first click to the last score.

Pure: the same random source gives the same bytes. Envelope, event types and field names follow Begini's help
centre (payload structure, April 2026). It lists no risk bands, traits, permissions or reasons, and doesn't
say where a percentage stands or what flags look like: those are made up here.
"""

import json
import string
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

_ALPHANUMERICS = string.ascii_uppercase + string.digits
_BANDS = ("LOW", "MEDIUM", "HIGH")
_TRAITS = (
    "agreeableness",
    "conscientiousness",
    "integrity",
    "locus_of_control",
    "openness",
    "self_control",
    "financial_planning",
    "risk_tolerance",
)
_FLAGS = ("fast_answers", "straight_lining", "inconsistent_answers")
_PERMISSIONS: tuple[str, ...] = ("calendar", "contacts", "location", "sms", "storage")
_REASONS = {
    "application.incomplete": ("questions_skipped", "device_changed", "connection_lost"),
    "application.cancelled": ("privacy_policy_refused", "applicant_gave_up"),
}
# Fixed, because a journey must be the same bytes whenever it is drawn.
_FIRST_START = datetime(2026, 4, 15, tzinfo=UTC)
_STARTS_WITHIN = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Document:
    """One event as Begini would send it: `body` is compact JSON, byte for byte what gets signed."""

    event_type: str
    uid: str = field(repr=False)  # the applicant: kept out of every printed form
    body: bytes = field(repr=False)

    @property
    def is_score(self) -> bool:
        """Whether it carries a score, and so may be scored again."""
        return self.event_type.endswith("_score.complete")


@dataclass(frozen=True, slots=True)
class Journey:
    """One applicant's events, in the order in which they happen."""

    number: int
    documents: tuple[Document, ...]


def journeys(rng: Random, count: int) -> Iterator[Journey]:
    """Draw `count` journeys of one deployment; no two share a uid."""
    # One deployment of its own for every seed: two runs never meet in each other's dedup keys.
    integration_id = "".join(rng.choices(string.digits, k=20))
    taken: set[str] = set()
    for number in range(1, count + 1):
        uid = _uid(rng)
        while uid in taken:
            uid = _uid(rng)
        taken.add(uid)
        documents = (
            Document(event_type, uid, _encode(uid, integration_id, event_type, details, rng))
            for event_type, details in _events(rng)
        )
        yield Journey(number, tuple(documents))


def rescored(document: Document, rng: Random) -> Document:
    """Score again, as Beacon's "Re-try" does: the same uid, deployment and type, another body."""
    envelope = json.loads(document.body)
    details = envelope["event"]["details"]
    details["scored_at"] += rng.randint(60, 86_400)  # always later, so the bytes always differ
    details["calculated"] = _calculated(rng)
    return Document(document.event_type, document.uid, _compact(envelope))


def _uid(rng: Random) -> str:
    # Begini: 5 to 60 alphanumerics, chosen by its client.
    return "".join(rng.choices(_ALPHANUMERICS, k=rng.randint(5, 60)))


def _events(rng: Random) -> Iterator[tuple[str, dict[str, Any]]]:
    started = int(_FIRST_START.timestamp()) + rng.randrange(int(_STARTS_WITHIN.total_seconds()))
    times = {"application_started_at": started}
    ending = rng.choices(("complete", "expired", "incomplete", "cancelled"), (80, 6, 9, 5))[0]
    if ending != "expired":
        times["application_completed_at"] = started + rng.randint(30, 1_800)
    yield f"application.{ending}", times
    if ending != "complete":
        return
    yield "psychometric_score.complete", _score(rng, times, "WEB") | {"flags": _flags(rng)}
    device = rng.choices((None, "ANDROID", "IOS"), (70, 20, 10))[0]
    if device is not None:
        permissions = {"permissions": _permissions(rng)}
        yield f"{device.lower()}_score.complete", _score(rng, times, device) | permissions


def _score(rng: Random, times: dict[str, int], platform: str) -> dict[str, Any]:
    scored = {"scored_at": times["application_completed_at"] + rng.randint(5, 600), "platform": platform}
    return {**times, **scored, "calculated": _calculated(rng)}


def _calculated(rng: Random) -> dict[str, Any]:
    traits = rng.sample(_TRAITS, rng.randint(2, 6))
    return {
        "score": rng.randint(300, 850),
        "risk_band": rng.choice(_BANDS),
        "score_confidence": rng.choice(_BANDS),
        "probability": _percentage(rng),
        "traits": [
            {"key": key, "value": rng.randint(1, 10), "risk_band": rng.choice(_BANDS)} for key in traits
        ],
    }


def _flags(rng: Random) -> list[dict[str, str]]:
    return [{"key": key, "value": _percentage(rng)} for key in rng.sample(_FLAGS, rng.randint(0, 2))]


def _permissions(rng: Random) -> dict[str, list[str]]:
    asked = rng.sample(_PERMISSIONS, len(_PERMISSIONS))
    granted = rng.randint(0, len(asked))
    return {"granted": asked[:granted], "denied": asked[granted:]}


def _percentage(rng: Random) -> str:
    # Begini sends percentages as decimal strings, for example "0.333333333333333".
    return f"{rng.random():.15f}"


def _encode(uid: str, integration_id: str, event_type: str, details: dict[str, Any], rng: Random) -> bytes:
    event: dict[str, Any] = {"type": event_type, "details": details}
    if reasons := _REASONS.get(event_type):
        event["reasons"] = rng.sample(reasons, rng.randint(1, len(reasons)))
    return _compact({"uid": uid, "integration_id": integration_id, "event": event})


def _compact(envelope: dict[str, Any]) -> bytes:
    return json.dumps(envelope, separators=(",", ":")).encode()
