"""Refused requests, and somebody to keep them, for the tests of rejections."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from hookline import config
from hookline.edge.rejections.keeper import Limits, Rejections
from hookline.edge.rejections.mask import Mask
from hookline.edge.rejections.rejection import Rejection
from hookline.edge.schemes.incoming import Incoming
from hookline.sealing import Sealer
from hookline.store.session import Session

SEALING_KEY = bytes(range(32))
BODY_CANARY = b"applicant-4711-canary"
HEADER_CANARY = b"header-canary-0815"
QUERY_CANARY = "query-canary-1337"
URL = f"https://hooks.example.com/v1/webhooks/begini?token={QUERY_CANARY}&type=x"
HEADERS = (
    (b"content-type", b"application/json"),
    (b"x-signature", b"ab12"),
    (b"authorization", b"Bearer " + HEADER_CANARY),
)
BODY = b'{"uid":"' + BODY_CANARY + b'"}'


def refused(body: bytes = BODY, **values: Any) -> Rejection:
    """A request that was refused."""
    now = datetime.now(UTC)
    incoming = Incoming(
        values.pop("method", "POST"),
        values.pop("url", URL),
        values.pop("headers", HEADERS),
        body,
        now.timestamp(),
    )
    usual = Rejection(
        source="begini",
        cause="bad_signature",
        status=403,
        received_at=now,
        incoming=incoming,
        is_whole=True,
        size=len(body),
    )
    return usual._replace(**values)


def keeper(
    dsn: str,
    *,
    sealed: bool = True,
    limits: Mapping[str, Limits] = MappingProxyType({}),
    masks: Mapping[str, Mask] = MappingProxyType({}),
    **settings: Any,
) -> Rejections:
    """What keeps rejections of the source `begini`, and of `quiet`."""
    return Rejections(
        Session(dsn, name="rejections"),
        config.Rejections(**settings),
        sources=["begini", "quiet"],
        sealer=Sealer([SEALING_KEY]) if sealed else None,
        limits=limits,
        masks=masks,
    )


@asynccontextmanager
async def running(rejections: Rejections) -> AsyncIterator[Rejections]:
    """Writes while the block lasts; at its end all is written."""
    task = asyncio.create_task(rejections.run())
    # It must have begun, or cancelling it would end it before it can write anything.
    await asyncio.sleep(0)
    try:
        yield rejections
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
