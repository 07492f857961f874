"""In a dispatcher's place: gives a push consumer deliveries and notes what it says of them."""

import math
from collections import deque
from collections.abc import Sequence
from datetime import timedelta
from itertools import count
from os import urandom
from uuid import UUID

from hookline.core.subscription import Push, Subscription
from hookline.model import (
    CursorState,
    LoggedEvent,
    OwnedCursor,
    Seq,
    Shard,
    SourceName,
    SubscriptionName,
)
from hookline.relay.delivery import Delivery
from hookline.relay.holder import Holder
from hookline.relay.ownership import OwnedShard
from hookline.relay.push import PushConsumer
from hookline.relay.token import TokenCodec
from hookline.v1 import delivery_pb2 as pb
from path.rig.events import event


class Engine:
    """Hands out what it has whenever the window has room, as the dispatcher does; released deliveries come first."""

    def __init__(self) -> None:
        self.tokens = TokenCodec(SubscriptionName("all"))
        self.waiting: deque[Delivery] = deque()
        self.released: list[Delivery] = []
        self.suspected: list[tuple[list[Delivery], str]] = []
        self.failed: list[tuple[list[Delivery], str, str]] = []
        self.settled: list[pb.Settlement] = []
        self.refuse: pb.SettlementFailureReason.ValueType | None = None
        """Fail every settlement so."""
        self.holder: Holder | None = None
        self._seqs = count(1)
        cursor = OwnedCursor(Shard(0), 7, CursorState(Seq(0), ()))
        self._shard = OwnedShard(cursor, valid_until=math.inf)
        self._by_token: dict[bytes, Delivery] = {}

    def new(self, body: bytes = b"{}", *, portion: int = 0) -> Delivery:
        new = event(body)
        logged = LoggedEvent(
            event_id=UUID(bytes=urandom(16)),
            seq=Seq(next(self._seqs)),
            received_at=new.received_at,
            shard=Shard(0),
            revision=False,
            source=SourceName("begini"),
            type=new.type,
            ordering_key=new.ordering_key,
            traceparent=new.traceparent,
            tracestate="",
            headers=new.headers,
            body=body,
        )
        return Delivery(logged, self._shard, attempt=1, portion=portion)

    def add(self, *bodies: bytes, portion: int = 0) -> list[Delivery]:
        """New deliveries, handed out as far as there is room."""
        added = [self.new(body, portion=portion) for body in bodies]
        self.waiting.extend(added)
        self.changed()
        return added

    def join(self, holder: Holder) -> None:
        self.holder = holder
        self.changed()

    def leave(self, holder: Holder) -> None:
        self.holder = None
        held = {delivery: None for delivery in self._by_token.values() if delivery.holder is holder}
        self.release(list(held), reason="left", first=True)

    def changed(self) -> None:
        if self.holder is None:
            return
        portion: list[Delivery] = []
        while self.waiting and self.holder.window.fits(self.waiting[0].size):
            delivery = self.waiting.popleft()
            self.holder.take(delivery.size)
            delivery.holder = self.holder
            delivery.hand_over += 1
            delivery.deadline = 1.0  # long past: a push consumer's deliveries end with its calls
            self._by_token[self.tokens.encode(delivery)] = delivery
            portion.append(delivery)
        if portion:
            self.holder.send(portion)

    def release(self, deliveries: Sequence[Delivery], *, reason: str, first: bool) -> None:
        assert reason
        assert first
        self.released += deliveries
        self._take_back(deliveries)
        self.waiting = deque(sorted([*self.waiting, *deliveries], key=lambda waiting: waiting.event.seq))
        self.changed()

    def suspect(self, deliveries: Sequence[Delivery], reason: str) -> None:
        self.suspected.append((list(deliveries), reason))
        self._take_back(deliveries)
        self.changed()

    def fail(self, deliveries: Sequence[Delivery], outcome: str, reason: str) -> None:
        self.failed.append((list(deliveries), outcome, reason))
        self._take_back(deliveries)
        self.changed()

    async def settle(self, settlements: Sequence[pb.Settlement]) -> list[pb.SettlementFailure]:
        if self.refuse is not None:
            return [pb.SettlementFailure(token=s.token, reason=self.refuse, detail="no") for s in settlements]
        self.settled += settlements
        deliveries = [self._by_token[settlement.token] for settlement in settlements]
        self._take_back(deliveries)
        for delivery in deliveries:
            delivery.settled = True
        self.changed()
        return []

    def _take_back(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            assert delivery.holder is not None, "given back twice"
            delivery.holder.give_back(delivery.size)
            delivery.holder = None

    def consumer(self, push: Push, *, ack_deadline: float = 30.0) -> PushConsumer:
        name = SubscriptionName("all")
        self.subscription = Subscription(name, push=push, ack_deadline=timedelta(seconds=ack_deadline))
        return PushConsumer(self.subscription, push, self)
