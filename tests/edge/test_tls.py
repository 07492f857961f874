"""The edge's own TLS: real handshakes, new certificates while it serves, and senders that never finish one."""

import asyncio
import shutil
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any, Self

import pytest

from edge.ledger import rows
from edge.provider import Wire, body
from edge.raw_requests import genuine
from edge.running import EdgeProcess
from path.rig.process import free_port
from path.rig.wait import until
from relay.certificates import Authority, Certificate
from unit.scraped import Scraped

Start = Callable[..., Awaitable[EdgeProcess]]

HOST = "hooks.example.com"
CROWD = 500
MEBIBYTE = 1024 * 1024


class TlsWire(Wire):
    """A connection that is spoken to over TLS."""

    def __init__(self, address: str, authority: Authority, **choices: Any) -> None:
        super().__init__(address)
        self.context = ssl.create_default_context(cafile=str(authority.certificate))
        self.context.set_alpn_protocols(["h2", "http/1.1"])
        for name, value in choices.items():
            setattr(self.context, name, value)

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(
            self._host, self._port, ssl=self.context, server_hostname=HOST
        )
        return self

    @property
    def tls(self) -> ssl.SSLObject:
        found: ssl.SSLObject = self._writer.get_extra_info("ssl_object")
        return found

    @property
    def serial(self) -> str:
        shown: Any = self.tls.getpeercert()
        return str(shown["serialNumber"])


class Shown:
    """The files of an edge's certificate."""

    def __init__(self, directory: Path) -> None:
        self.certificate, self.key = directory / "shown.pem", directory / "shown.key"

    def put(self, certificate: Certificate) -> None:
        for source, place in ((certificate.certificate, self.certificate), (certificate.key, self.key)):
            new = place.with_suffix(".new")
            shutil.copyfile(source, new)
            new.replace(place)

    @property
    def settings(self) -> dict[str, str]:
        return {
            "HOOKLINE_EDGE__TLS__CERTIFICATE": str(self.certificate),
            "HOOKLINE_EDGE__TLS__KEY": str(self.key),
        }


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def shown(tmp_path: Path, ours: Authority) -> Shown:
    files = Shown(tmp_path)
    files.put(ours.sign("first", HOST))
    return files


def said(edge: EdgeProcess, event: str) -> list[dict[str, Any]]:
    return [line for line in edge.lines if line.get("event", "").startswith(event)]


async def scraped(port: int) -> Scraped:
    async with Wire(f"http://127.0.0.1:{port}") as wire:
        await wire.write(b"GET /metrics HTTP/1.1\r\nHost: edge\r\n\r\n")
        text = (await wire._reader.read()).partition(b"\r\n\r\n")[2]
    return Scraped(text.decode())


async def test_webhooks_come_in_over_tls_and_a_new_certificate_counts_from_the_next_connection_on(
    start_process: Start, foreign: Any, ours: Authority, shown: Shown
) -> None:
    port = free_port()
    edge = await start_process(**shown.settings, HOOKLINE_EDGE__STATUS=f"127.0.0.1:{port}")
    async with TlsWire(edge.address, ours) as old:
        first = old.serial
        assert (old.tls.version(), old.tls.selected_alpn_protocol()) == ("TLSv1.3", "http/1.1")
        assert (await old.send(body("A"))).json["status"] == "accepted"
        large = body("B", filling="x" * 900_000)
        assert (await old.send(large)).json["status"] == "accepted"

        # Two requests in one go, and each byte of one in a record of its own.
        await old.write(genuine("C") + genuine("D"))
        assert [(await old.read()).status, (await old.read()).status] == [200, 200]
        for byte in genuine("E"):
            await old.write(bytes([byte]))
        assert (await old.read()).status == 200

        # Files that don't belong together are refused, and said once; what is shown stays.
        other = ours.sign("second", HOST)
        shutil.copyfile(other.certificate, shown.certificate)
        await until(lambda: bool(said(edge, "certificate can't be renewed")), "the mistake is said")
        async with TlsWire(edge.address, ours) as wire:
            assert wire.serial == first
        metrics = await scraped(port)
        assert metrics.value("hookline_certificate_refused", "http") == 1
        shown.certificate.write_bytes(other.certificate.read_bytes()[:300])
        await until(lambda: len(said(edge, "certificate can't be renewed")) == 2, "the next mistake is said")
        [wrong, half] = said(edge, "certificate can't be renewed")
        assert (wrong["level"], wrong["listener"]) == ("error", "http")
        assert wrong["reason"] == (
            f"edge.tls.key = '{shown.key}' can't be used: it is not the key of edge.tls.certificate = "
            f"'{shown.certificate}'; write both anew, from one order"
        )
        assert "no PEM certificate" in half["reason"]

        began = monotonic()
        shown.put(other)
        await until(lambda: bool(said(edge, "certificate renewed")), "the new one is read")
        assert monotonic() - began < 5
        async with TlsWire(edge.address, ours) as wire:
            assert wire.serial != first
            assert (await wire.send(body("F"))).json["status"] == "accepted"
        metrics = await scraped(port)
        assert metrics.value("hookline_certificate_refused", "http") == 0
        assert 80_000 < metrics.value("hookline_certificate_expiry_seconds", "http") <= 86_400
        assert (await old.send(body("G"))).json["status"] == "accepted"
    assert await rows(foreign) == (7, 7)
    assert len(said(edge, "certificate can't be renewed")) == 2


async def test_who_speaks_no_tls_or_too_old_a_one_is_refused_and_answers_come_whole(
    start_process: Start, foreign: Any, ours: Authority, shown: Shown, tmp_path: Path
) -> None:
    edge = await start_process(**shown.settings, HOOKLINE_EDGE__HEADER_DEADLINE="1s")
    async with Wire(edge.address) as plain:
        await plain.write(genuine("A"))
        assert b"HTTP/" not in await plain._reader.read()
    foreigners = Authority(tmp_path, "foreign")
    with pytest.raises(ssl.SSLCertVerificationError):
        await TlsWire(edge.address, foreigners).__aenter__()
    hello = bytearray(client_hello(ours, maximum_version=ssl.TLSVersion.TLSv1_2))
    hello[9:11] = b"\x03\x02"  # TLS 1.1, which no client of today would offer
    async with Wire(edge.address) as old:
        await old.write(bytes(hello))
        alert = await old._reader.read()
        assert (alert[0], alert[-2:]) == (0x15, bytes([2, 70])), "fatal, protocol_version"
    async with TlsWire(edge.address, ours, maximum_version=ssl.TLSVersion.TLSv1_2) as wire:
        assert wire.tls.version() == "TLSv1.2"
        assert (await wire.send(body("B"))).status == 200

    # An early answer reaches a client that goes on sending, and then the connection ends.
    for _ in range(5):
        async with TlsWire(edge.address, ours) as wire:
            await wire.write(
                b"POST /v1/webhooks/nobody HTTP/1.1\r\nHost: edge\r\nContent-Length: 1000000\r\n\r\n"
            )
            with suppress(ConnectionError):
                for _ in range(10):
                    await wire.write(b"x" * 100_000)
            assert (await wire.read()).status == 404
            assert await wire.ended()

    # What isn't TLS in the middle of it ends the connection and nothing else.
    async with TlsWire(edge.address, ours) as wire:
        raw = wire._writer.transport._ssl_protocol._transport  # type: ignore[attr-defined]
        raw.write(b"\x17\x03\x03\x00\x20" + b"x" * 32)
        with suppress(ConnectionError, ssl.SSLError):
            await wire._reader.read()
    async with TlsWire(edge.address, ours) as wire:
        assert (await wire.send(body("C"))).status == 200
        # Half a head has its deadline, and its sender is told.
        await wire.write(b"POST / HTTP/1.1\r\n")
        answer = await wire.read()
        assert (answer.status, answer.json["code"]) == (408, "header_timeout")
        assert await wire.ended()
    assert await rows(foreign) == (2, 2)


async def test_a_pair_that_cannot_be_used_keeps_the_edge_from_starting(
    start_process: Start, ours: Authority, shown: Shown
) -> None:
    shutil.copyfile(ours.sign("other", HOST).key, shown.key)
    with pytest.raises(AssertionError, match=r"is not the key of edge\.tls\.certificate"):
        await start_process(**shown.settings)


@asynccontextmanager
async def crowd(address: str, beginning: bytes) -> AsyncIterator[list[Wire]]:
    """Senders that never finish their handshakes."""
    wires = [Wire(address) for _ in range(CROWD)]
    await asyncio.gather(*(wire.__aenter__() for wire in wires))
    await asyncio.gather(*(wire.write(beginning) for wire in wires))
    yield wires
    for wire in wires:
        await wire.__aexit__(None, None, None)


def client_hello(ours: Authority, **choices: Any) -> bytes:
    outgoing = ssl.MemoryBIO()
    context = ssl.create_default_context(cafile=str(ours.certificate))
    for name, value in choices.items():
        setattr(context, name, value)
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=HOST)
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


async def test_500_handshakes_that_nobody_finishes_end_at_the_header_deadline_and_hold_nobody_up(
    start_process: Start, ours: Authority, shown: Shown
) -> None:
    edge = await start_process(
        **shown.settings,
        HOOKLINE_EDGE__HEADER_DEADLINE="1500ms",
        HOOKLINE_EDGE__MAX_CONNECTIONS=str(CROWD + 20),
    )
    hello = client_hello(ours)
    async with TlsWire(edge.address, ours) as good:
        assert (await good.send(body("A"))).status == 200
        before = edge.resident
        for number, beginning in enumerate((b"", hello)):
            began = monotonic()
            async with crowd(edge.address, beginning) as wires:
                took = []
                for each in range(50):
                    asked = monotonic()
                    assert (await good.send(body(f"{number}-{each}"))).status == 200
                    took.append(monotonic() - asked)
                async with TlsWire(edge.address, ours) as new:
                    assert (await new.send(body(f"{number}-new"))).status == 200
                held = edge.resident - before
                worst = sorted(took)[-5]  # the first wait for 500 handshakes that begin at once
                print(f"{len(beginning)} bytes: {worst * 1e3:.0f} ms, {held / MEBIBYTE:.1f} MiB")
                assert worst < 0.5
                assert held <= 48 * MEBIBYTE
                async with asyncio.timeout(6):
                    await asyncio.gather(*(ended(wire) for wire in wires))
                assert monotonic() - began >= 1.3
        # At the limit those go that never finished: nobody new is kept out.
        crowded = [Wire(edge.address) for _ in range(CROWD + 40)]
        await asyncio.gather(*(wire.__aenter__() for wire in crowded))
        async with TlsWire(edge.address, ours) as new:
            assert (await new.send(body("last"))).status == 200
        for wire in crowded:
            await wire.__aexit__(None, None, None)


async def ended(wire: Wire) -> None:
    with suppress(ConnectionError):
        await wire._reader.read()
