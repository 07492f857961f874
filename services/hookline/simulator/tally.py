"""The counts of a run, and whether it went as planned."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from hookline.simulator.answer import Answer
from hookline.simulator.differences import differences


@dataclass(frozen=True, slots=True)
class Tally:
    """The counts of a run: `sent` = `accepted` + `duplicate` + `refused` + `failed`."""

    sent: int
    accepted: int  # revisions among them
    duplicate: int
    revisions: int
    refused: int
    failed: int  # never taken and never refused, however often it was tried
    event_ids: frozenset[UUID]  # every event that the endpoint has confirmed, by "accepted" or by "duplicate"
    differences: tuple[str, ...]  # in words for people; empty when every item ended as its kind demands

    @property
    def as_planned(self) -> bool:
        """Whether every item ended as its kind demands."""
        return not self.differences


def tally(answers: Sequence[Answer]) -> Tally:
    """Count and judge the answers of one run."""
    accepted = [answer for answer in answers if answer.status == "accepted"]
    duplicate = sum(answer.status == "duplicate" for answer in answers)
    refused = sum(answer.refused for answer in answers)
    return Tally(
        sent=len(answers),
        accepted=len(accepted),
        duplicate=duplicate,
        revisions=sum(answer.is_revision for answer in accepted),
        refused=refused,
        failed=len(answers) - len(accepted) - duplicate - refused,
        event_ids=frozenset(answer.event_id for answer in answers if answer.event_id is not None),
        differences=tuple(differences(answers)),
    )
