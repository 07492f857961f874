"""Nothing that is secret, a payload or a subject comes out in logs, spans, metrics, errors or the process list."""

import asyncio
import hmac
import json
import os
import signal
import subprocess
import sys
import tomllib
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from time import time
from typing import Self

import httpx
import psutil
import pytest

from edge.fault_proxy import FaultProxy
from hookline.simulator.signature import Signer
from hookline.v1 import delivery_pb2 as pb
from path.rig import careless_consumer
from path.rig.canaries import Canaries
from path.rig.collector import Collector
from path.rig.database import connect
from path.rig.process import EdgeProcess, RelayProcess, free_port, write_config
from path.rig.stream import RawStream
from path.rig.wait import until

_LARGEST = 20_000
_COMMANDS: Mapping[str, tuple[str, ...]] = {
    "sources": ("sources", "list"),
    "secrets": ("sources", "secrets", "list"),
    "subscriptions": ("subscriptions", "list"),
    "rejections": ("rejections", "list"),
    "events": ("events", "list"),
    "doctor": ("doctor",),
}


class Deployment:
    """Edge, relay and a consumer as processes, in which everything that can be filled is filled with a canary."""

    def __init__(self, canary: Canaries, network: FaultProxy, directory: Path) -> None:
        self.canary = canary
        self.network = network
        self.told: dict[str, str] = {}
        """What was said to the outside, by who said it."""
        self._directory = directory
        self.env_key, self.file_key, self.stored_key = (
            canary(f"{kind} key") for kind in ("env", "file", "stored")
        )
        sealing = canary("sealing key")
        assert len(sealing) == 32
        self.environment = {
            "HOOKLINE_DATABASE_URL": network.dsn.replace("@", f":{canary('database password')}@", 1),
            "BEGINI_API_KEY": self.env_key,
            "SEALING_KEY": b64encode(sealing.encode()).decode(),
        }
        (directory / "key").write_text(self.file_key)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as parts:
            self.collector = await parts.enter_async_context(Collector())
            self.config = write_config(
                self._directory / "hookline.toml",
                {
                    "sources.begini": {"scheme": "begini", "secrets": ["env:BEGINI_API_KEY", "file:key"]},
                    "sources.stripe": {"scheme": "stripe", "secrets": ["stored"]},
                    "secrets": {"keys": ["env:SEALING_KEY"]},
                    "subscriptions.all": {"start": "earliest"},
                    "subscriptions.all.retry": {"wait": "fixed", "delay": "10ms", "max_attempts": 2},
                    "relay": {"lease": "1s", "heartbeat": "200ms", "status": f"127.0.0.1:{free_port()}"},
                    "edge": {"max_body_bytes": _LARGEST, "status": f"127.0.0.1:{free_port()}"},
                    "telemetry": self.collector.settings("grpc"),
                },
            )
            await self.run("add a secret", "sources", "secrets", "add", "stripe", given=self.stored_key)
            dsn = self.environment["HOOKLINE_DATABASE_URL"]
            self.relay, self.edge = RelayProcess(dsn, self.config), EdgeProcess(dsn, self.config)
            for process in (self.relay, self.edge):
                process._environment = self.environment
                process.start()
                parts.push_async_callback(process.__aexit__, None, None, None)
            await self.edge.ready()
            await self.relay.ready()
            self._parts = parts.pop_all()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._parts.aclose()

    async def run(self, who: str, *arguments: str, given: str = "", **environment: str) -> None:
        """Run a command, and keep what it says."""
        result = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "hookline", *arguments, "--config", str(self.config)],
            env={**_inherited(), **self.environment, **environment, "COLUMNS": "250"},
            cwd=self._directory, input=given, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert "Traceback" not in result.stderr, result.stderr
        self.told[who] = result.stdout + result.stderr

    async def send(
        self, client: httpx.AsyncClient, what: str, content: bytes, *, source: str = "begini", **headers: str
    ) -> int:
        """Send something as a webhook, with a canary wherever there is room for one."""
        answer = await client.post(
            f"{self.edge.url.removesuffix('begini')}{source}?token={self.canary('query')}",
            content=content,
            headers={
                "content-type": "application/json",
                "authorization": f"Bearer {self.canary('authorization')}",
                "cookie": f"session={self.canary('cookie')}",
                "baggage": f"user={self.canary('baggage')}",
                "traceparent": f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-01",
                "user-agent": self.canary("user agent"),
                f"x-{self.canary('header name')}": self.canary("header value"),
                **{name.replace("_", "-"): value for name, value in headers.items()},
            },
        )
        self.told[f"answer to {what}"] = str(answer.headers) + answer.text
        return answer.status_code

    def body(self, uid: str = "") -> bytes:
        """A genuine webhook of Begini's, whose subject is `uid`."""
        return json.dumps(
            {
                "uid": uid or self.canary("subject"),
                "integration_id": self.canary("integration"),
                "event": {
                    "type": "score.complete",
                    "details": {self.canary("body key"): self.canary("body value")},
                },
            }
        ).encode()

    def signed(self, content: bytes, key: str = "") -> dict[str, str]:
        return {"x_signature": Signer(key or self.env_key).sign(content)}

    def signed_at(self, seconds: float, content: bytes) -> dict[str, str]:
        """Stripe's signature, of that time."""
        when = str(int(seconds))
        mac = hmac.new(self.stored_key.encode(), f"{when}.".encode() + content, "sha256").hexdigest()
        return {"stripe_signature": f"t={when},v1={mac}"}


def _inherited() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("HOOKLINE_")}


@pytest.fixture
async def deployment(database: str, tmp_path: Path) -> AsyncIterator[Deployment]:
    sockets = tmp_path / "s"
    sockets.mkdir()
    async with (
        FaultProxy(database, sockets) as network,
        Deployment(Canaries(), network, tmp_path) as deployment,
    ):
        yield deployment


async def webhooks(on: Deployment) -> None:
    """All kinds of them: what is taken, what is refused, and what can't be stored."""
    canary = on.canary
    async with httpx.AsyncClient(timeout=30) as client:
        first = on.body()
        revised = json.loads(first)
        revised["event"]["details"] = {"score": canary("revised value")}
        revision = json.dumps(revised).encode()
        statuses = [
            await on.send(client, "a good one", first, **on.signed(first)),
            await on.send(client, "a duplicate", first, **on.signed(first, on.file_key)),
            await on.send(client, "a revision", revision, **on.signed(revision)),
            await on.send(client, "no JSON", first[:-9], **on.signed(first[:-9])),
            await on.send(
                client, "a bad signature", first, x_signature=canary("signature").encode().hex() * 2
            ),
            await on.send(client, "no signature of any kind", first, x_signature=canary("not hex")),
            await on.send(client, "unsigned", first),
            await on.send(client, "too much", first + b" " * _LARGEST, **on.signed(first)),
            await on.send(
                client, "the wrong type", first, **on.signed(first), content_type=canary("content type")
            ),
            await on.send(client, "packed", first, **on.signed(first), content_encoding=canary("encoding")),
            await on.send(client, "an unknown source", first, source=canary("source"), **on.signed(first)),
        ]
        assert statuses == [200, 200, 200, 200, 403, 403, 403, 413, 415, 415, 404]
        paid = json.dumps(
            {"id": canary("dedup key"), "type": "paid", "data": {"object": {"id": canary("ordering key")}}}
        ).encode()
        on_time = await on.send(client, "on time", paid, source="stripe", **on.signed_at(time(), paid))
        late = await on.send(client, "too late", paid, source="stripe", **on.signed_at(time() - 4000, paid))
        assert (on_time, late) == (200, 401)
        answer = await client.get(f"{on.edge.url}?challenge={canary('challenge')}")
        on.told["answer to GET"] = answer.text
        on.network.cut()
        lost = on.body()
        assert await on.send(client, "one that can't be stored", lost, **on.signed(lost)) == 503
        on.network.mend()
        await on.edge.ready()
    on.told["answer to no HTTP"] = await _garbage(
        on.edge.port, canary("request line"), canary("broken header")
    )


async def _garbage(port: int, line: str, header: str) -> str:
    said = ""
    for request in (f"{line} / HTTP/1.1\r\n\r\n", f"GET /{line} HTTP/1.1\r\n{header}\x00: {header}\r\n\r\n"):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request.encode())
        with suppress(ConnectionError):
            said += (await reader.read()).decode()
        writer.close()
    return said


async def deliveries(on: Deployment, dsn: str) -> None:
    """Everything is retried, rejected and dead; and a consumer sends what it never got."""
    with (on._directory / "consumer.log").open("wb") as log:
        consumer = subprocess.Popen(  # noqa: ASYNC220  (returns as soon as the process exists)
            [sys.executable, careless_consumer.__file__, on.relay.target], stdout=log, stderr=log
        )
    try:
        async with connect(dsn) as connection:

            async def dead() -> bool:
                sql = "SELECT count(*) FROM hookline.deliveries WHERE state = 'dead'"
                return int(await connection.fetchval(sql)) == 4

            await until(dead, "all are dead letters", patience=40)
            for state in await connection.fetch("SELECT query, application_name FROM pg_stat_activity"):
                on.told[f"session {state['application_name']}"] = str(state["query"])
    finally:
        _list_processes(on)
        consumer.send_signal(signal.SIGTERM)
        await asyncio.to_thread(consumer.wait, 30)
    on.told["consumer"] = (on._directory / "consumer.log").read_text()
    async with RawStream(on.relay.target) as stream:
        await stream.start(consumer="asks for what isn't there")
        token = on.canary("token").encode()
        said = await stream.confirmation(await stream.settle([pb.Settlement(token=token, ack=pb.Ack())]))
        on.told["refusals"] = "".join(failure.detail for failure in said.failures)


def _list_processes(on: Deployment) -> None:
    for process in psutil.process_iter(["cmdline", "name"]):
        on.told[f"ps {process.pid}"] = " ".join([process.info["name"], *(process.info["cmdline"] or ())])


async def test_no_canary_comes_out(deployment: Deployment, database: str) -> None:
    on = deployment
    await webhooks(on)
    await deliveries(on, database)
    await asyncio.gather(*(on.run(who, *command) for who, command in _COMMANDS.items()))
    wrong = f"postgresql://u:{on.canary('password that is not encoded')}/x@h/d"
    await on.run("wrong URL", "migrate", HOOKLINE_DATABASE_URL=wrong)
    settings = tomllib.loads(on.config.read_text())
    async with httpx.AsyncClient() as client:
        for part in ("edge", "relay"):
            for path in ("metrics", "readyz"):
                on.told[f"{path} of {part}"] = (
                    await client.get(f"http://{settings[part]['status']}/{path}")
                ).text
    for process in (on.edge, on.relay):
        process.signal(signal.SIGTERM)
        assert await process.ended() == 0
    on.told |= {"edge": on.edge.output(), "relay": on.relay.output()}
    on.told["spans"] = "\n".join(f"{span}{scope.scope}" for _, scope, span in on.collector.spans)

    assert on.canary.found(on.told) == set()

    # All of it was there to be told, and everybody had something to say.
    assert await _stored(on, database) >= {"subject", "body key", "body value", "dedup key", "ordering key"}
    _expect_said(on)


def _expect_said(on: Deployment) -> None:
    lines = [json.loads(line) for line in on.edge.output().splitlines()]
    assert {line["outcome"] for line in lines if line["event"] == "webhook"} >= {
        "accepted", "duplicate", "bad_signature", "missing_signature", "body_too_large", "wrong_content_type",
        "content_encoding", "unknown_source", "stale_timestamp", "not_stored",
    }  # fmt: skip
    attempts = [json.loads(line) for line in on.relay.output().splitlines()]
    ended = [(line["outcome"], line["dead"]) for line in attempts if line["event"] == "attempt"]
    assert sorted(ended) == [("rejected", True)] * 4 + [("retried", False)] * 4
    assert "is retried: ValueError" in on.told["consumer"]
    assert "score.complete" in on.told["spans"]
    assert "hookline_webhooks_total" in on.told["metrics of edge"]
    assert "hookline_delivery_attempts_total" in on.told["metrics of relay"]


async def _stored(on: Deployment, dsn: str) -> set[str]:
    """The fields whose canaries reached the database, where they belong."""
    async with connect(dsn) as connection:
        stored = await connection.fetchval(
            "SELECT string_agg(encode(body, 'escape') || headers || ordering_key, ' ') FROM hookline.outbox"
        )
    return {field for _, field in on.canary.found({"outbox": stored})}
