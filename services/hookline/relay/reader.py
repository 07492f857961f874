"""Read the log for one subscription: what was pending at take-over, then everything above the positions."""

from datetime import timedelta
from itertools import islice

import structlog

from hookline.model import LoggedEvent, Seq, Shard
from hookline.relay.ownership import OwnedShard
from hookline.store.log import read_log, read_pending
from hookline.store.session import Session

_log = structlog.get_logger(__name__)

_WITHIN = timedelta(seconds=30)
_FEWEST_PER_SHARD = 16
_PENDING_AT_ONCE = 1000


class LogReader:
    """Reads the shards it is given, fairly, within bounds."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._pending: dict[tuple[Shard, Seq], OwnedShard] = {}
        self._behind: set[OwnedShard] = set()
        self._turn = 0

    def add(self, shards: list[OwnedShard]) -> None:
        """Start with what these shards' former owner had handed out and not seen settled."""
        for shard in shards:
            for seq in shard.progress.unsettled():
                self._pending[shard.shard, seq] = shard

    @property
    def has_pending(self) -> bool:
        """Whether there is still something to be read of what former owners left."""
        for place in [place for place, shard in self._pending.items() if shard.lost]:
            del self._pending[place]
        return bool(self._pending)

    async def read(
        self, shards: dict[Shard, OwnedShard], *, events: int, body_bytes: int
    ) -> tuple[list[tuple[OwnedShard, LoggedEvent]], bool]:
        """The next events of the log, and whether more are known to wait.

        What is read is noted in the shards' progress, so each event is answered once.
        """
        # Shards that are behind get a round of their own, with a larger share, between rounds over all.
        behind = [shard for shard in self._behind if shards.get(shard.shard) is shard]
        self._behind.clear()
        asked = behind if behind and self._turn % 2 else list(shards.values())
        self._turn += 1
        if not asked:
            return [], False
        # Whoever comes last may be cut off, so each comes first in turn.
        start = self._turn % len(asked)
        asked = asked[start:] + asked[:start]
        per_shard = max(_FEWEST_PER_SHARD, -(-events // len(asked)))
        positions = [(shard.shard, shard.progress.read_up_to) for shard in asked]
        by_number = {shard.shard: shard for shard in asked}
        rows = await read_log(
            self._session,
            positions,
            per_shard=per_shard,
            events=events,
            body_bytes=body_bytes,
            within=_WITHIN,
        )
        counts: dict[OwnedShard, int] = {}
        found: list[tuple[OwnedShard, LoggedEvent]] = []
        for row in rows:
            shard = by_number[row.shard]
            if shard.lost:
                continue
            shard.progress.read(row.seq)
            counts[shard] = counts.get(shard, 0) + 1
            found.append((shard, row))
        self._behind.update(shard for shard, count in counts.items() if count >= per_shard)
        cut = len(rows) >= events or sum(len(row.body) for row in rows) >= body_bytes
        return found, cut or bool(self._behind)

    async def read_pending(self, body_bytes: int) -> list[tuple[OwnedShard, LoggedEvent]]:
        """The next events that former owners had handed out and not seen settled."""
        places = list(islice(self._pending, _PENDING_AT_ONCE))
        rows = await read_pending(self._session, places, body_bytes=body_bytes, within=_WITHIN)
        if not rows:
            # Their segment is gone. Retention never drops what a cursor needs, so somebody else did.
            _log.error("events that were not settled are missing in the outbox", events=len(places))
            for place in places:
                self._pending.pop(place).progress.settle(place[1])
            return []
        found = []
        for row in rows:
            shard = self._pending.pop((row.shard, row.seq), None)
            if shard is not None and not shard.lost and shard.progress.is_unsettled(row.seq):
                found.append((shard, row))
        return found
