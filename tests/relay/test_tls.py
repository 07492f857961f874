"""The relay's own TLS: who gets in, and new certificates while streams go on."""

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import grpc
import pytest
from structlog.testing import capture_logs

from hookline import config
from hookline.client import Consumer, Tls, UnusableFile
from hookline.errors import ConfigError
from hookline.relay import server as relay_server
from hookline.telemetry.metrics import Metrics
from hookline.telemetry.tracing import Tracing
from path.rig.events import append, event
from path.rig.process import free_port
from path.rig.wait import until
from relay.certificates import Authority, Certificate
from unit.scraped import Scraped

HOST = "relay.example.com"


class Shown:
    """The files of a relay's certificate."""

    def __init__(self, directory: Path) -> None:
        self.certificate, self.key, self.ca = (
            directory / name for name in ("shown.pem", "shown.key", "clients.pem")
        )

    def put(self, certificate: Certificate) -> None:
        for source, place in ((certificate.certificate, self.certificate), (certificate.key, self.key)):
            new = place.with_suffix(".new")
            shutil.copyfile(source, new)
            new.replace(place)

    def trust(self, *authorities: Authority) -> None:
        self.ca.write_bytes(b"".join(one.certificate.read_bytes() for one in authorities))

    def settings(self, *, clients: bool = False) -> config.RelayTls:
        return config.RelayTls(
            certificate=str(self.certificate),
            key=str(self.key),
            client_ca=str(self.ca) if clients else None,
        )


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def foreign(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "foreign")


@pytest.fixture
def shown(tmp_path: Path, ours: Authority) -> Shown:
    files = Shown(tmp_path)
    files.put(ours.sign("first", HOST))
    files.trust(ours)
    return files


@asynccontextmanager
async def relay(
    database: str, tls: config.RelayTls, *, at: str = "127.0.0.1:0"
) -> AsyncIterator[tuple[str, Metrics]]:
    """Answers its address, and what it counts."""
    settings = config.Settings(
        subscriptions={"all": config.Subscription(start="earliest")},
        relay=config.Relay(grpc=at, tls=tls),
    )
    await relay_server.declare_subscriptions(database, settings)
    metrics = Metrics(config.Telemetry(), service="hookline-relay")
    tracing = Tracing(config.Telemetry(), service="hookline-relay")
    running = relay_server.Relay(database, settings.relay, tracing, metrics)
    try:
        await running.start()
        yield f"127.0.0.1:{running.port}", metrics
    finally:
        await running.stop(grace=0)


def tls(authority: Authority, client: Certificate | None = None, *, name: str = HOST) -> Tls:
    return Tls(
        ca=authority.certificate,
        certificate=client.certificate if client else None,
        key=client.key if client else None,
        server_name=name,
    )


async def why_not(target: str, given: Tls | None) -> str:
    """What gRPC says of a connection that must not come to be."""
    options = [("grpc.ssl_target_name_override", given.server_name)] if given else []
    channel = (
        grpc.aio.secure_channel(target, given.credentials(), options=options)
        if given
        else grpc.aio.insecure_channel(target)
    )
    async with channel:
        call: Any = channel.unary_unary("/grpc.health.v1.Health/Check")
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await call(b"", timeout=10)
    assert error.value.code() is grpc.StatusCode.UNAVAILABLE
    return error.value.details() or ""


async def gets_in(target: str, given: Tls) -> None:
    options = [("grpc.ssl_target_name_override", given.server_name), ("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.secure_channel(target, given.credentials(), options=options) as channel:
        call: Any = channel.unary_unary("/grpc.health.v1.Health/Check")
        await call(b"", timeout=10)


async def one(consumer: Consumer) -> None:
    """Take and ack the next delivery, until the relay has confirmed it."""
    before = consumer.confirmed
    async with asyncio.timeout(10):
        await (await anext(aiter(consumer))).ack()
    assert consumer.confirmed == before + 1


async def test_a_new_certificate_counts_from_the_next_connection_on_and_no_stream_ends_for_it(
    database: str, ours: Authority, foreign: Authority, shown: Shown
) -> None:
    with capture_logs() as logs:
        async with relay(database, shown.settings()) as (target, metrics):

            def said(text: str) -> list[Any]:
                return [line for line in logs if line["event"].startswith(text)]

            assert "CERTIFICATE_VERIFY_FAILED" in await why_not(target, tls(foreign))
            assert "Hostname" in await why_not(target, tls(ours, name="other.example.com"))
            assert await why_not(target, None)
            await append(database, [event()])
            async with Consumer(target, "all", tls=tls(ours)) as consumer:
                await one(consumer)
                stream = consumer._connection.stream

                # A pair that doesn't belong together changes nothing, and is told.
                other = foreign.sign("second", HOST)
                shutil.copyfile(other.certificate, shown.certificate)
                await until(lambda: bool(said("certificate can't be renewed")), "the mistake is said")
                [mistake] = said("certificate can't be renewed")
                assert (mistake["log_level"], mistake["listener"]) == ("error", "grpc")
                assert "is not the key of relay.tls.certificate" in mistake["reason"]
                assert Scraped.of(metrics).value("hookline_certificate_refused", "grpc") == 1
                await gets_in(target, tls(ours))

                began = monotonic()
                shown.put(other)
                await until(lambda: bool(said("certificate renewed")), "the new one is read")
                assert monotonic() - began < 5
                await gets_in(target, tls(foreign))
                assert "CERTIFICATE_VERIFY_FAILED" in await why_not(target, tls(ours))
                scraped = Scraped.of(metrics)
                assert scraped.value("hookline_certificate_refused", "grpc") == 0
                assert 80_000 < scraped.value("hookline_certificate_expiry_seconds", "grpc") <= 86_400

                await append(database, [event(shard=1)])
                await one(consumer)
                assert consumer._connection.stream is stream, "the old stream goes on"
            assert len(said("certificate can't be renewed")) == 1


async def test_with_authorities_for_clients_who_shows_no_certificate_of_theirs_stays_out(
    database: str,
    ours: Authority,
    foreign: Authority,
    shown: Shown,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    client = ours.sign("client")
    target = f"127.0.0.1:{free_port()}"
    await append(database, [event(shard=number) for number in range(3)])
    async with Consumer(target, "all", window=1, tls=tls(ours, client)) as consumer:
        with capture_logs() as logs:
            async with relay(database, shown.settings(clients=True), at=target):
                assert await why_not(target, tls(ours))
                assert await why_not(target, tls(ours, foreign.sign("client")))
                await one(consumer)
                # Other authorities count for new connections.
                shown.trust(foreign)
                await until(
                    lambda: any(line["event"] == "certificate renewed" for line in logs), "they are read"
                )
                await gets_in(target, tls(ours, foreign.sign("client")))
                assert await why_not(target, tls(ours, client))
                await one(consumer)
        # The consumer, once it has to connect again, shows what is in its files by then.
        new = foreign.sign("renewed")
        shutil.copyfile(new.certificate, client.certificate)
        async with relay(database, shown.settings(clients=True), at=target):
            await until(lambda: "KEY_VALUES_MISMATCH" in caplog.text, "half a pair is said")
            shutil.copyfile(new.key, client.key)
            await one(consumer)
    with pytest.raises(UnusableFile, match=r"^ca = '.*gone' can't be read: No such file"):
        async with Consumer(target, "all", tls=Tls(ca=foreign.certificate.with_name("gone"))):
            pass


async def test_a_pair_that_cannot_be_used_keeps_a_relay_from_starting(
    database: str, ours: Authority, shown: Shown
) -> None:
    async def mistake() -> str:
        with pytest.raises(ConfigError) as error:
            async with relay(database, shown.settings(clients=True)):
                pass
        return str(error.value)

    shown.ca.write_text("nothing\n", encoding="utf-8")
    assert await mistake() == (
        f"relay.tls.client_ca = '{shown.ca}' can't be used: no PEM certificate; let it hold the authorities' "
        "certificates"
    )
    shown.key.write_bytes(b"-----BEGIN PRIVATE KEY-----\n")
    assert await mistake() == (
        f"relay.tls.key = '{shown.key}' can't be used: no PEM private key; write both anew, from one order"
    )
    shown.put(ours.sign("over", HOST, days=-1))
    assert (await mistake()).endswith("; renew it")
    shown.certificate.unlink()
    assert await mistake() == (
        f"relay.tls.certificate = '{shown.certificate}' can't be read: No such file or directory; let it name a PEM "
        "file that this process may read"
    )
