"""How far one subscription has come in one shard, while deliveries are in flight."""

from collections.abc import Iterable

from hookline.model import CursorState, Seq


class ShardProgress:
    """Tracks what was read from a shard's log and what of it is settled.

    Pure: it is told what happened and answers what to write. Seqs are read in ascending order and settled in any
    order; `state()` is always true to write, because unsettled seqs below the position are named in it.
    """

    __slots__ = ("_settled_up_to", "_unsettled", "read_up_to")

    def __init__(self, state: CursorState) -> None:
        self.read_up_to = state.position
        """The next read starts after this seq."""
        self._settled_up_to = state.position
        # A dict for its order: keys are inserted ascending, so the first key is the oldest unsettled seq.
        self._unsettled: dict[Seq, None] = dict.fromkeys(state.pending)

    def __repr__(self) -> str:
        return f"<read_up_to={self.read_up_to} unsettled={list(self._unsettled)}>"

    def read(self, seq: Seq) -> None:
        """Note that an event was read from the log, above all that were read before."""
        self.read_up_to = seq
        self._unsettled[seq] = None

    def settle(self, seq: Seq) -> bool:
        """Note that an event needs no delivery any more. False if that was known, or it was never read."""
        if seq not in self._unsettled:
            return False
        del self._unsettled[seq]
        self._settled_up_to = max(self._settled_up_to, seq)
        return True

    def is_unsettled(self, seq: Seq) -> bool:
        """Whether the event was read and isn't settled."""
        return seq in self._unsettled

    def is_settled(self, seq: Seq) -> bool:
        """Whether the event was read (by this relay or one before) and settled."""
        return seq <= self.read_up_to and seq not in self._unsettled

    def unsettled(self) -> Iterable[Seq]:
        """Everything read and not settled, in ascending order."""
        return self._unsettled.keys()

    def state(self) -> CursorState:
        """What to write so that no settlement is lost and no unsettled event is skipped."""
        pending: list[Seq] = []
        for seq in self._unsettled:
            if seq > self._settled_up_to:
                break
            pending.append(seq)
        return CursorState(position=self._settled_up_to, pending=tuple(pending))
