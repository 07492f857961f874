"""The edge inside somebody else's application."""

import asyncio
import hmac
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from edge.ledger import rows
from edge.provider import body, signed
from edge.running import BEGINI
from edge.served import served
from hookline.config import Settings
from hookline.edge import create_app
from hookline.errors import ConfigError, DatabaseUnavailable
from hookline.process import BackgroundFailed


def settings(database: str, **sources: Any) -> Settings:
    return Settings(database_url=database, sources={"begini": BEGINI, **sources})


async def home(_: Request) -> PlainTextResponse:
    return PlainTextResponse("the bank's own page")


def starlette_around(app: Any) -> Starlette:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with app.running():
            yield

    return Starlette(routes=[Route("/", home), Mount("/hooks", app)], lifespan=lifespan)


def fastapi_around(app: Any) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with app.running():
            yield

    around = FastAPI(lifespan=lifespan)
    around.add_api_route("/", lambda: "the bank's own page")
    around.mount("/hooks", app)
    return around


@pytest.mark.parametrize("host", [starlette_around, fastapi_around])
async def test_webhooks_are_taken_under_the_mount_and_the_host_s_own_pages_stay(
    database: str, foreign: Any, host: Any
) -> None:
    content = body("A")
    async with (
        served(host(create_app(settings(database)))) as address,
        httpx.AsyncClient(base_url=address) as client,
    ):
        first = await client.post("/hooks/v1/webhooks/begini", content=content, headers=signed(content))
        again = await client.post("/hooks/v1/webhooks/begini", content=content, headers=signed(content))
        forged = await client.post(
            "/hooks/v1/webhooks/begini", content=content + b" ", headers=signed(content)
        )
        outside = await client.post("/v1/webhooks/begini", content=content, headers=signed(content))
        assert (await client.get("/hooks/readyz")).json() == {"status": "ready"}
        assert "own page" in (await client.get("/")).text
    assert [first.json()["status"], again.json()["status"]] == ["accepted", "duplicate"]
    assert (forged.status_code, outside.status_code) == (403, 404)
    assert await rows(foreign) == (1, 1)


async def test_the_url_that_is_signed_holds_the_mount(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_KEY", "key")
    shop = {
        "signatures": [{"algorithm": "hmac-sha256", "template": "{url}\n{body}"}],
        "event": {"dedup": ["body"], "type": ["text:order"]},
    }
    chosen = Settings(
        database_url=database,
        schemes={"shop": shop},
        sources={"shop": {"scheme": "shop", "secrets": ["env:SHOP_KEY"]}},
        edge={"public_url": "https://hooks.example.com"},
    )
    content = b'{"a":1}'
    right = hmac.digest(
        b"key", b"https://hooks.example.com/hooks/v1/webhooks/shop?a=%20b\n" + content, "sha256"
    ).hex()
    headers = {"Content-Type": "application/json", "X-Signature": right}
    app = starlette_around(create_app(chosen))
    async with served(app) as address, httpx.AsyncClient(base_url=address) as client:
        accepted = await client.post("/hooks/v1/webhooks/shop?a=%20b", content=content, headers=headers)
        other = await client.post("/hooks/v1/webhooks/shop?a=b", content=content, headers=headers)
    assert (accepted.status_code, other.status_code) == (200, 401)


async def test_an_app_that_was_not_started_says_how_to_start_it(database: str) -> None:
    content = body("A")
    around = Starlette(routes=[Mount("/hooks", create_app(settings(database)))])
    async with served(around) as address, httpx.AsyncClient(base_url=address) as client:
        answer = await client.post("/hooks/v1/webhooks/begini", content=content, headers=signed(content))
        ready = await client.get("/hooks/readyz")
    assert (answer.status_code, answer.json()["code"]) == (503, "not_running")
    assert "app.running()" in answer.json()["detail"]
    assert ready.status_code == 503


async def test_a_missing_secret_is_told_when_it_starts(database: str) -> None:
    app = create_app(settings(database, other={"scheme": "begini", "secrets": ["env:NOT_SET"]}))
    with pytest.raises(ConfigError, match=r"sources\.other\.secrets: env:NOT_SET: is empty or not set"):
        async with app.running():
            pytest.fail("it started")


async def test_a_database_that_is_away_is_told_when_it_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    app = create_app(settings(f"postgresql://postgres@127.0.0.1:{port}/x"))
    with pytest.raises(DatabaseUnavailable):
        async with app.running():
            pytest.fail("it started")


async def test_it_can_be_stopped_and_started_again(database: str, foreign: Any) -> None:
    app = create_app(settings(database))
    for uid in ("A", "B"):
        content = body(uid)
        async with served(starlette_around(app)) as address, httpx.AsyncClient(base_url=address) as client:
            answer = await client.post("/hooks/v1/webhooks/begini", content=content, headers=signed(content))
            assert answer.json()["status"] == "accepted"
    assert await rows(foreign) == (2, 2)


async def test_a_part_that_fails_ends_it_and_is_told(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An edge whose secrets aren't kept true any more would serve with some that are over."""
    started = asyncio.Event()

    async def fail(_: object) -> None:
        await started.wait()
        raise RuntimeError("broken")

    monkeypatch.setattr("hookline.edge.secrets.LiveSecrets.run", fail)
    app = create_app(settings(database))

    async def serve() -> None:
        async with app.running():
            started.set()
            await asyncio.Event().wait()

    with pytest.raises(BackgroundFailed):
        await serve()
    assert repr(app) == "<EdgeApp ['begini'] stopped>"
