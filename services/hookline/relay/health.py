"""Whether a relay can serve: told to load balancers and consumers over gRPC, and at the status address."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from time import monotonic

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio

from hookline.errors import DatabaseUnavailable, StatementRefused
from hookline.status.check import Check
from hookline.store.probe import probe
from hookline.store.session import Session

_log = structlog.get_logger(__name__)

_EVERY = 1.0
"""Seconds between two looks at the database."""
_WITHIN = timedelta(seconds=2)
_PATIENCE = 5.0
"""Seconds that a database may be away before consumers are sent elsewhere: a failover is shorter, and every relay of
the same database would say the same."""


class Health:
    """What a relay knows of itself, and says of its services.

    Args:
        session: To the database, for this alone.
        server: Where to answer; it hasn't started.
    """

    def __init__(self, session: Session, server: grpc.aio.Server) -> None:
        self._session = session
        self._checks = aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._checks, server)
        self._names: tuple[str, ...] = ("",)
        self._has_started = False
        self._draining = False
        self._reached_at: float | None = None
        self._trouble = ""

    def __repr__(self) -> str:
        return f"<Health {'serving' if self.is_serving else 'not serving'}>"

    @property
    def is_serving(self) -> bool:
        """Whether consumers should come here."""
        return self._has_started and not self._draining and self._has_database

    @property
    def _has_database(self) -> bool:
        return self._reached_at is not None and monotonic() - self._reached_at < _PATIENCE

    async def start(self, names: Sequence[str]) -> None:
        """The server takes calls.

        Args:
            names: The services' full names.
        """
        self._names = ("", *names)
        self._has_started = True
        # The subscriptions were declared in it a moment ago.
        self._reached_at = monotonic()
        await self._tell(is_serving=True)

    async def drain(self) -> None:
        """The relay is about to stop, whatever becomes of its database."""
        self._draining = True
        await self._checks.enter_graceful_shutdown()

    async def run(self) -> None:
        """Look at the database until cancelled."""
        told = True
        try:
            while True:
                await self._look()
                if self._has_started and not self._draining and self.is_serving is not told:
                    told = self.is_serving
                    await self._tell(is_serving=told)
                    if told:
                        _log.info("database found again; consumers are welcome")
                    else:
                        _log.warning("database lost; consumers are sent elsewhere", reason=self._trouble)
                await asyncio.sleep(_EVERY)
        finally:
            await self._session.close()

    def checks(self) -> Sequence[Check]:
        """What the status address says."""
        return (
            Check(
                "database",
                self._has_database,
                "reached" if self._has_database else self._trouble or "not reached yet",
            ),
            Check(
                "grpc",
                self._has_started,
                "takes calls" if self._has_started else "is starting",
            ),
            Check(
                "draining",
                not self._draining,
                "about to stop" if self._draining else "not told to stop",
            ),
        )

    async def _look(self) -> None:
        try:
            await probe(self._session, within=_WITHIN)
        except (DatabaseUnavailable, StatementRefused) as error:
            self._trouble = str(error)
        else:
            self._reached_at = monotonic()
            self._trouble = ""

    async def _tell(self, *, is_serving: bool) -> None:
        status = (
            health_pb2.HealthCheckResponse.SERVING
            if is_serving
            else health_pb2.HealthCheckResponse.NOT_SERVING
        )
        for name in self._names:
            await self._checks.set(name, status)
