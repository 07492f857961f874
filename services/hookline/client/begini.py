"""Begini's envelope, typed: what a consumer reads from the body of a delivery whose source is `begini`.

    envelope = Envelope.parse(delivery.body)
    if envelope.event_type == EventType.PSYCHOMETRIC_SCORE_COMPLETE:
        decide(envelope.uid, envelope.score, envelope.risk_band)

Follows Begini's help centre (webhook payload structure and event types, April 2026). Only `uid`,
`integration_id` and `event.type` are in every event, so all else is None or empty where it isn't sent. Fields
not listed here are ignored: Begini may add some, and they are still in the raw body.

Nothing here prints an applicant: neither `repr` nor an error's text holds a value from the body.
"""

import json
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Self

import msgspec

# Epoch seconds; the bound is the last second that a datetime can hold.
_Epoch = Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799)]


class EnvelopeError(ValueError):
    """The body isn't a Begini envelope. The message names the field and what is wrong, and no value."""


class EventType(StrEnum):
    """The event types that Begini has published. An envelope of another type is parsed all the same."""

    PSYCHOMETRIC_SCORE_COMPLETE = "psychometric_score.complete"  # the main one for decisions
    ANDROID_SCORE_COMPLETE = "android_score.complete"
    IOS_SCORE_COMPLETE = "ios_score.complete"
    APPLICATION_COMPLETE = "application.complete"
    APPLICATION_EXPIRED = "application.expired"  # the session's limit, 24 h if not set otherwise, has passed
    APPLICATION_INCOMPLETE = "application.incomplete"  # gave up; see `reasons`
    APPLICATION_CANCELLED = "application.cancelled"  # refused the privacy policy; see `reasons`


class _Discreet(msgspec.Struct, frozen=True):
    """Data about a person: its printed form is its type's name."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []  # rich's tracebacks and pretty printer would show msgspec's fields


class Trait(_Discreet, frozen=True):
    """One trait of an assessment."""

    key: str
    value: int | Decimal | None = None  # Begini writes percentages as decimal strings: exact as a Decimal
    risk_band: str | None = None


class Permissions(_Discreet, frozen=True):
    """What the applicant let the device's application read."""

    granted: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()


class Calculated(_Discreet, frozen=True):
    """The outcome of a scoring."""

    score: int | None = None
    risk_band: str | None = None
    score_confidence: str | None = None
    traits: tuple[Trait, ...] = ()


class Details(_Discreet, frozen=True):
    """`event.details`: which fields are there depends on the event's type."""

    application_started_at: _Epoch | None = None
    application_completed_at: _Epoch | None = None
    scored_at: _Epoch | None = None
    platform: str | None = None
    calculated: Calculated | None = None
    permissions: Permissions | None = None
    flags: Any = None  # Begini hasn't published their shape


class Event(_Discreet, frozen=True):
    """`event`: what happened."""

    type: str
    details: Details | None = None
    reasons: tuple[str, ...] | None = None


class Envelope(_Discreet, frozen=True):
    """One Begini event."""

    uid: str  # the client's own id of the applicant, so personal data in its hands
    integration_id: str  # which deployment, and whether its Test or its Production
    event: Event

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Read the raw body of a delivery.

        Raises:
            EnvelopeError: it isn't JSON, or a field is missing or of another type.
        """
        try:
            return msgspec.json.decode(body, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            wrong, well_formed = _explain(error), isinstance(error, msgspec.ValidationError)
        if not well_formed:
            # msgspec takes neither a byte order mark nor a lone surrogate ("\ud800") for JSON. The standard
            # library reads both, and an event isn't lost over them.
            try:
                return msgspec.convert(json.loads(body), cls)
            except msgspec.ValidationError as error:
                wrong = _explain(error)
            except (ValueError, RecursionError):
                pass  # no JSON to either of them: msgspec says at which byte
        # Outside the handlers: a JSON or Unicode error holds the whole body and would come along as context.
        raise EnvelopeError(wrong)

    @property
    def event_type(self) -> str:
        """An `EventType`, or a type that Begini has added since."""
        return self.event.type

    @property
    def details(self) -> Details:
        """`event.details`, empty when none were sent."""
        return self.event.details or Details()

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why an application is incomplete or cancelled; empty for other types."""
        return self.event.reasons or ()

    @property
    def score(self) -> int | None:
        """The score; None for events that carry none, as for the next two."""
        return self._calculated.score

    @property
    def risk_band(self) -> str | None:
        """The band that the score falls into."""
        return self._calculated.risk_band

    @property
    def score_confidence(self) -> str | None:
        """How far the score can be relied on."""
        return self._calculated.score_confidence

    @property
    def traits(self) -> tuple[Trait, ...]:
        """What the assessment found, trait by trait."""
        return self._calculated.traits

    @property
    def flags(self) -> Any:
        """Flags as they were sent, any JSON value: Begini hasn't published their shape. None without any."""
        return self.details.flags

    @property
    def started_at(self) -> datetime | None:
        """When the applicant began; in UTC, as all times here."""
        return _moment(self.details.application_started_at)

    @property
    def completed_at(self) -> datetime | None:
        """When the applicant finished."""
        return _moment(self.details.application_completed_at)

    @property
    def scored_at(self) -> datetime | None:
        """When the score was calculated; a revision's is later."""
        return _moment(self.details.scored_at)

    @property
    def platform(self) -> str | None:
        """For example "WEB" or "ANDROID"."""
        return self.details.platform

    @property
    def permissions_granted(self) -> tuple[str, ...]:
        """What the device's application was allowed to read."""
        return (self.details.permissions or Permissions()).granted

    @property
    def permissions_denied(self) -> tuple[str, ...]:
        """What it asked for and wasn't allowed to read."""
        return (self.details.permissions or Permissions()).denied

    @property
    def _calculated(self) -> Calculated:
        return self.details.calculated or Calculated()


def _moment(epoch: int | None) -> datetime | None:
    return None if epoch is None else datetime.fromtimestamp(epoch, UTC)


def _explain(error: Exception) -> str:
    # msgspec's own texts name types, fields and byte positions. Other texts may quote the body: not used.
    match error:
        case msgspec.ValidationError():
            return f"not a Begini envelope: {error}"
        case msgspec.DecodeError():
            return f"not JSON: {str(error).removeprefix('JSON is malformed: ')}"
        case RecursionError():
            return "not a Begini envelope: nested too deeply"
        case _:
            return "not JSON: not UTF-8"
