"""What is read from the database while something else is being committed."""

import math
from typing import Any

from hookline.core.subscription import Subscription
from hookline.model import CursorState, OwnedCursor, Seq, Shard, SubscriptionName
from hookline.relay.inventory import Inventory
from hookline.relay.ownership import OwnedShard
from hookline.relay.ready import ReadyQueue
from hookline.relay.settle import Changes
from hookline.store.deliveries import DueDelivery
from unit.logged_event import logged_event

EVENT = logged_event()
DUE = DueDelivery(EVENT, replay=0, attempt=0, portion=1, first_at=None)


def test_an_acked_suspect_is_not_taken_in_again_when_the_commit_of_its_row_ends_after_its_ack() -> None:
    """The row is there, its ack is on the way behind it, and a look for what is due falls in between."""
    ready, nobody = ReadyQueue(), Any
    inventory = Inventory(Subscription(SubscriptionName("all")), ready, nobody)  # type: ignore[arg-type]
    cursor = OwnedCursor(Shard(0), 1, CursorState(Seq(0), ()))
    shard = OwnedShard(cursor, valid_until=math.inf)
    inventory.take_new([(shard, EVENT)])
    [delivery] = inventory
    delivery.has_row = True
    suspected = Changes(rows=[(shard, inventory.row(delivery, "waiting"))])
    acked = Changes(acked=[delivery])
    inventory.remove(delivery)
    inventory.decided(delivery.place, acked)
    inventory.written(suspected)
    assert inventory.before_due_is_read() == []
    inventory.written(acked)
    inventory.take_due([(shard, DUE)])
    assert len(inventory) == ready.events == 0
    # A row that is found from now on was written by somebody else, such as a redrive.
    inventory.before_due_is_read()
    inventory.take_due([(shard, DUE)])
    assert len(inventory) == ready.events == 1
