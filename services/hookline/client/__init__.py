"""The consumer's side of Hookline.

    async with Consumer("localhost:50051", "decisioning") as consumer:
        async for delivery in consumer:
            print(delivery.type, delivery.event_id)
            await delivery.ack()

Depends on the generated contracts only, so a service that consumes needs nothing else of this package.
"""

from hookline.client.consumer import Consumer
from hookline.client.delivery import Delivery
from hookline.client.errors import ConsumerError, SettlementFailed, SubscriptionRefused

__all__ = ["Consumer", "ConsumerError", "Delivery", "SettlementFailed", "SubscriptionRefused"]
