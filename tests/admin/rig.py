"""The operators' services on a real server, and what they are tried on."""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import asyncpg
import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from hookline.admin.server import AdminServices
from hookline.v1 import dead_letter_pb2 as dead_pb
from hookline.v1 import subscription_pb2 as pb
from hookline.v1.dead_letter_pb2_grpc import DeadLetterServiceStub
from hookline.v1.subscription_pb2_grpc import SubscriptionServiceStub
from path.rig.events import append, event

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""When the first of a test's dead letters died."""


@dataclass(frozen=True)
class Refusal:
    code: grpc.StatusCode
    reason: str
    message: str


class Admin:
    """The admin services, served on a port of their own, over a database of their own."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.port = 0

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self.services = AdminServices(self.dsn)
        self._server = grpc.aio.server()
        self.names = self.services.register(self._server)
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        self._channel = grpc.aio.insecure_channel(self.target)
        self.subscriptions = SubscriptionServiceStub(self._channel)
        self.dead_letters = DeadLetterServiceStub(self._channel)
        self.db = await asyncpg.connect(self.dsn)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.db.close()
        await self._channel.close()
        await self._server.stop(grace=0)
        await self.services.close()

    async def create(self, name: str = "all", **values: Any) -> pb.Subscription:
        request = pb.CreateSubscriptionRequest(subscription=pb.Subscription(name=name, **values))
        return (await self.subscriptions.CreateSubscription(request)).subscription

    async def dead(
        self,
        *keys: str,
        subscription: str = "all",
        source: str = "begini",
        type_: str = "application.complete",
        state: str = "dead",
        shard: int = 0,
        reason: str = "no",
        body: bytes = b"{}",
        ordered: bool = False,
        age: timedelta | None = None,
    ) -> list[int]:
        """Commit an event for each key, and its row; answers their seqs.

        Each died a second after the one before it, or `age` ago.
        """
        events = [
            event(body, shard=shard, source=source, type_=type_)._replace(ordering_key=key) for key in keys
        ]
        ids = await append(self.dsn, events)
        rows = await self.db.fetch(
            """
            INSERT INTO hookline.deliveries
                   (seq, due_at, first_at, changed_at, event_id, attempt, portion, shard, subscription, state, source,
                    ordering_key, reason)
            SELECT o.seq, $7, $7, CASE WHEN $8::interval IS NULL THEN $7::timestamptz + o.seq * interval '1 second'
                                       ELSE clock_timestamp() - $8 END,
                   o.event_id, 3, 1, o.shard, $2, $3, o.source, CASE WHEN $4 THEN o.ordering_key ELSE '' END, $5
              FROM hookline.outbox AS o WHERE o.shard = $6 AND o.event_id = ANY ($1)
             ORDER BY o.seq RETURNING seq
            """,
            ids,
            subscription,
            state,
            ordered,
            reason,
            shard,
            EPOCH,
            age,
        )
        return [row["seq"] for row in rows]

    async def list_dead(self, subscription: str = "all", **values: Any) -> dead_pb.ListDeadLettersResponse:
        return await self.dead_letters.ListDeadLetters(
            dead_pb.ListDeadLettersRequest(subscription=subscription, **values)
        )

    async def redrive(self, subscription: str = "all", **values: Any) -> int:
        request = dead_pb.RedriveDeadLettersRequest(subscription=subscription, **values)
        return (await self.dead_letters.RedriveDeadLetters(request)).redriven

    async def delete_dead(self, subscription: str = "all", reason: str = "not needed", **values: Any) -> int:
        request = dead_pb.DeleteDeadLettersRequest(subscription=subscription, reason=reason, **values)
        return (await self.dead_letters.DeleteDeadLetters(request)).deleted

    async def rows(self, subscription: str = "all") -> list[Any]:
        return await self.db.fetch(
            "SELECT * FROM hookline.deliveries WHERE subscription = $1 ORDER BY shard, seq, replay",
            subscription,
        )

    async def states(self, subscription: str = "all") -> dict[int, str]:
        return {row["seq"]: row["state"] for row in await self.rows(subscription)}


async def refusal(call: Awaitable[object]) -> Refusal:
    """How a call was refused; it must be with a google.rpc.Status that says the same."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    error = caught.value
    trailers = dict(error.trailing_metadata() or ())
    status = Status.FromString(trailers["grpc-status-details-bin"])
    info = ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (status.code, status.message) == (error.code().value[0], error.details())
    assert info.domain == "hookline"
    return Refusal(error.code(), info.reason, status.message)


def seqs(letters: Sequence[dead_pb.DeadLetter]) -> list[int]:
    """Where the letters stand in the log."""
    return [int(letter.name.rpartition("/")[2].split("-")[1]) for letter in letters]


class Notices:
    """Counts the hints to relays."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.heard = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self._connection.add_listener("hookline_control", self._on_notice)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._connection.remove_listener("hookline_control", self._on_notice)

    async def wait(self) -> None:
        async with asyncio.timeout(20):
            await self.heard.wait()
        self.heard.clear()

    def _on_notice(self, *_: object) -> None:
        self.heard.set()
