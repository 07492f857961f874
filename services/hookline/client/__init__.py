"""The consumer's side of Hookline.

    async def handler(delivery: Delivery) -> None:
        print(delivery.type, delivery.event_id)

    await Consumer("localhost:50051", "decisioning", concurrency=16).run(handler)

Depends on the generated contracts only, so a service that consumes needs nothing else of this package. The rooms:

    consumer            what a service uses: handlers, or an iterator
    delivery, verdict   an event in its hands, and what to say of it
    inbox               `once`: a redelivery changes nothing
    outcome, workers    handlers, many at a time and one of each key
    lanes, leases       what waits its turn, and what is held
    push, push_batch    the other direction: a consumer that the relay calls
    connection, stream  the way to a relay, across reconnects; credential: what is shown there
    channel, tls        what they go through
    settlement(_queue)  verdicts on their way, until they are confirmed
"""

from hookline.client.consumer import Consumer
from hookline.client.delivery import Delivery
from hookline.client.errors import ConsumerError, NoTransaction, SettlementFailed, SubscriptionRefused
from hookline.client.inbox import create_inbox, once
from hookline.client.push import PushServer, serve_push
from hookline.client.tls import Tls, UnusableFile
from hookline.client.verdict import Reject, Retry

__all__ = [
    "Consumer",
    "ConsumerError",
    "Delivery",
    "NoTransaction",
    "PushServer",
    "Reject",
    "Retry",
    "SettlementFailed",
    "SubscriptionRefused",
    "Tls",
    "UnusableFile",
    "create_inbox",
    "once",
    "serve_push",
]
