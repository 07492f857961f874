"""What the token of a settlement can name, beside a delivery that is at hand."""

from enum import Enum, auto
from typing import NamedTuple

from hookline.core.turns import Place
from hookline.relay.ownership import OwnedShard


class Undecided(Enum):
    """Why it can't be said yet what a token names."""

    SHARD_NOT_OURS = auto()
    """Another relay has the lease, or nobody: it is passed on to whoever has it, or will."""
    NOT_READ_YET = auto()
    """The event was handed out by a relay before us, and we have not come to it."""


class Gone(NamedTuple):
    """It isn't at hand: it is settled, or a row that waits. The database knows."""

    shard: OwnedShard
    place: Place
    event: int
    """The end of the event's id, as the token says it."""


class Foreign(Enum):
    """The token can't be from any hand-over of what is in the database."""

    STALE = auto()
