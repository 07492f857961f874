"""The services for operators, as a relay's gRPC server takes them in."""

import asyncio

import grpc

from hookline.admin.dead_letters import DeadLetterService
from hookline.admin.events import EventService
from hookline.admin.replays import ReplayService
from hookline.admin.subscriptions import SubscriptionService
from hookline.store.session import Session
from hookline.v1 import dead_letter_pb2, event_pb2, replay_pb2, subscription_pb2
from hookline.v1.dead_letter_pb2_grpc import add_DeadLetterServiceServicer_to_server
from hookline.v1.event_pb2_grpc import add_EventServiceServicer_to_server
from hookline.v1.replay_pb2_grpc import add_ReplayServiceServicer_to_server
from hookline.v1.subscription_pb2_grpc import add_SubscriptionServiceServicer_to_server


class AdminServices:
    """Each service has a session of its own, so that a long search in one doesn't hold up the others."""

    def __init__(self, dsn: str) -> None:
        self._subscriptions = Session(dsn, name="admin subscriptions")
        self._dead_letters = Session(dsn, name="admin dead letters")
        self._replays = ReplayService(dsn)
        self._events = EventService(dsn)

    def register(self, server: grpc.aio.Server) -> tuple[str, ...]:
        """Add the services to a server that hasn't started; answers their full names, for health and reflection."""
        add_SubscriptionServiceServicer_to_server(SubscriptionService(self._subscriptions), server)
        add_DeadLetterServiceServicer_to_server(DeadLetterService(self._dead_letters), server)
        add_ReplayServiceServicer_to_server(self._replays, server)
        add_EventServiceServicer_to_server(self._events, server)
        return (
            subscription_pb2.DESCRIPTOR.services_by_name["SubscriptionService"].full_name,
            dead_letter_pb2.DESCRIPTOR.services_by_name["DeadLetterService"].full_name,
            replay_pb2.DESCRIPTOR.services_by_name["ReplayService"].full_name,
            event_pb2.DESCRIPTOR.services_by_name["EventService"].full_name,
        )

    async def close(self) -> None:
        """Close the sessions. Stop the server before."""
        await asyncio.gather(
            self._subscriptions.close(),
            self._dead_letters.close(),
            self._replays.close(),
            self._events.close(),
        )
