"""When a secret counts: from a moment on, until a moment, or always."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

ValidityState = Literal["coming", "live", "expired"]


@dataclass(frozen=True, slots=True)
class Validity:
    """A span of time, open where there is no border.

    Raises:
        ValueError: It would end before it begins, or as it begins.
    """

    valid_from: datetime | None = None
    """The first moment. None: ever since."""
    valid_until: datetime | None = None
    """The first moment after it. None: for good."""

    def __post_init__(self) -> None:
        if self.valid_from and self.valid_until and self.valid_from >= self.valid_until:
            raise ValueError("valid_until must be later than valid_from")

    def state(self, now: datetime) -> ValidityState:
        """What it is at a moment."""
        if self.valid_until is not None and now >= self.valid_until:
            return "expired"
        return "coming" if self.valid_from is not None and now < self.valid_from else "live"


ALWAYS = Validity()
