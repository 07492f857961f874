"""Webhooks in: verify, parse, and one transaction per request."""

import hashlib
import hmac
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

_KEY = os.environ["BEGINI_API_KEY"].encode()

# One statement, so one transaction and one round trip.
_INSERT = """
WITH event AS (
    INSERT INTO events (dedup_key, source, type, ordering_key) VALUES ($1, 'begini', $2, $3)
        ON CONFLICT (dedup_key) DO NOTHING
    RETURNING id
)
INSERT INTO outbox (event_id, headers, body) SELECT id, $4::json, $5::bytea FROM event
RETURNING event_id
"""


async def _keep(_: object) -> None:
    """Stand in for asyncpg's reset of a connection that is returned: nothing here changes its state.

    The default costs a round trip per request.
    """


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=20, max_size=20, reset=_keep) as pool:
        app.state.pool = pool
        yield


async def receive(request: Request) -> JSONResponse:
    body = await request.body()
    expected = hmac.new(_KEY, body, hashlib.sha512).hexdigest()
    if not hmac.compare_digest(expected, request.headers.get("x-signature", "")):
        return JSONResponse({"detail": "Validation Failure"}, status_code=403)
    webhook = json.loads(body)
    subject = f"{webhook['integration_id']}:{webhook['uid']}"
    kind = webhook["event"]["type"]
    dedup_key = f"{subject}:{kind}:{hashlib.sha256(body).hexdigest()}"
    headers = json.dumps(dict(request.headers))
    event_id = await request.app.state.pool.fetchval(_INSERT, dedup_key, kind, subject, headers, body)
    return JSONResponse({"id": event_id, "status": "duplicate" if event_id is None else "accepted"})


async def ready(_: Request) -> JSONResponse:
    return JSONResponse({"status": "ready"})


app = Starlette(
    routes=[
        Route("/v1/webhooks/begini", receive, methods=["POST"]),
        Route("/readyz", ready),
    ],
    lifespan=lifespan,
)
