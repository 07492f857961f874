"""What a proxy says of the client counts only if it is a trusted one."""

import json
from base64 import b64encode
from collections.abc import Awaitable, Callable
from contextlib import suppress
from hashlib import sha256
from hmac import digest
from typing import Any

import pytest
from pydantic import ValidationError

from edge.ledger import rows
from edge.provider import Wire, body
from edge.raw_requests import genuine
from edge.running import EdgeProcess
from hookline import config
from hookline.edge.proxies import Proxies
from path.rig.wait import until

Start = Callable[..., Awaitable[EdgeProcess]]

TOKEN = "a-token-of-32-characters-in-all!"
TRUSTED = ["10.0.0.0/8", "127.0.0.1", "fd00::/8"]


def proxies(*networks: str) -> Proxies:
    return Proxies(config.Edge.model_validate({"trusted_proxies": networks or TRUSTED}).trusted_proxies)


def scope(peer: str | None, *headers: tuple[str, str]) -> dict[str, Any]:
    lines = [(name.encode(), value.encode()) for name, value in headers]
    return {"client": (peer, 4711) if peer else None, "headers": lines}


@pytest.mark.parametrize(
    ("peer", "told", "client"),
    [
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
        ("11.0.0.1", ["198.51.100.1"], "11.0.0.1"),
        ("10.1.2.3", ["198.51.100.1"], "198.51.100.1"),
        ("10.1.2.3", ["6.6.6.6, 198.51.100.1"], "198.51.100.1"),
        ("10.1.2.3", ["6.6.6.6", "198.51.100.1 , 10.9.9.9"], "198.51.100.1"),
        ("10.1.2.3", ["6.6.6.6, 198.51.100.1", "10.9.9.9, 127.0.0.1"], "198.51.100.1"),
        ("10.1.2.3", ["10.8.8.8, 10.9.9.9"], "10.8.8.8"),
        ("10.1.2.3", [], "10.1.2.3"),
        ("10.1.2.3", ["6.6.6.6, unknown"], "10.1.2.3"),
        ("10.1.2.3", ["6.6.6.6, , 10.9.9.9"], "10.9.9.9"),
        ("10.1.2.3", ["6.6.6.6, ' OR 1=1"], "10.1.2.3"),
        ("10.1.2.3", ["198.51.100.1:4711"], "198.51.100.1"),
        ("10.1.2.3", ["[2001:db8::1]:4711"], "2001:db8::1"),
        ("10.1.2.3", ["2001:DB8::1"], "2001:db8::1"),
        ("fd00::1", ["6.6.6.6, 2001:db8::1, fd00::2"], "2001:db8::1"),
        ("::ffff:10.1.2.3", ["198.51.100.1"], "198.51.100.1"),
        ("10.1.2.3", ["::ffff:198.51.100.1"], "198.51.100.1"),
        ("10.1.2.3", ["6.6.6.6, " + ", ".join(["10.0.0.1"] * 32)], "10.0.0.1"),
        (None, ["198.51.100.1"], ""),
    ],
)
def test_the_client_is_the_last_that_no_trusted_proxy_vouches_for(
    peer: str | None, told: list[str], client: str
) -> None:
    assert proxies().client(scope(peer, *(("x-forwarded-for", value) for value in told))) == client


def test_without_trusted_proxies_nobody_is_believed() -> None:
    told = (("x-forwarded-for", "198.51.100.1"), ("x-forwarded-proto", "https"), ("host", "edge"))
    nobody = Proxies(config.Edge().trusted_proxies)
    for peer in ("127.0.0.1", "10.0.0.1", "::1"):
        assert nobody.client(scope(peer, *told)) == peer
        assert nobody.origin(scope(peer, *told)) == b""


HTTPS = ("x-forwarded-proto", "https")


@pytest.mark.parametrize(
    ("headers", "origin"),
    [
        ([HTTPS, ("x-forwarded-host", "hooks.example.com")], b"https://hooks.example.com"),
        (
            [HTTPS, ("x-forwarded-host", "hooks.example.com:8443"), ("host", "edge")],
            b"https://hooks.example.com:8443",
        ),
        ([HTTPS, ("host", "hooks.example.com")], b"https://hooks.example.com"),
        ([("x-forwarded-proto", "HTTP"), ("host", "[2001:db8::1]:80")], b"http://[2001:db8::1]:80"),
        ([("host", "hooks.example.com")], b""),
        ([HTTPS], b""),
        ([HTTPS, HTTPS, ("host", "a")], b""),
        ([("x-forwarded-proto", "https, http"), ("host", "a")], b""),
        ([("x-forwarded-proto", "ftp"), ("host", "a")], b""),
        ([HTTPS, ("x-forwarded-host", "a/../b")], b""),
        ([HTTPS, ("x-forwarded-host", "user@a")], b""),
        ([HTTPS, ("x-forwarded-host", "a, b")], b""),
    ],
)
def test_scheme_and_host_are_what_one_trusted_proxy_says_once(
    headers: list[tuple[str, str]], origin: bytes
) -> None:
    trusted = proxies()
    assert trusted.origin(scope("10.1.2.3", *headers)) == origin
    assert trusted.origin(scope("203.0.113.9", *headers)) == b""


@pytest.mark.parametrize(
    ("network", "advice"),
    [
        ("10.0.0.1/8", 'write "10.0.0.0/8", or the one address'),
        ("proxy.internal", 'such as "10.0.0.0/8"'),
        ("10.0.0.0/33", 'such as "10.0.0.0/8"'),
        ("", 'such as "10.0.0.0/8"'),
    ],
)
def test_a_network_that_is_none_is_a_mistake(network: str, advice: str) -> None:
    with pytest.raises(ValidationError, match=advice):
        proxies(network)


def twilio(url: str, *headers: tuple[str, str], uid: str) -> bytes:
    """A genuine JSON webhook that was signed for this URL."""
    content = json.dumps({"MessageSid": uid, "AccountSid": "AC1", "MessageStatus": "sent"}).encode()
    query = f"bodySHA256={sha256(content).hexdigest()}"
    signature = b64encode(digest(TOKEN.encode(), f"{url}?{query}".encode(), "sha1")).decode()
    lines = [
        f"POST /v1/webhooks/twilio?{query} HTTP/1.1", "Content-Type: application/json",
        f"Content-Length: {len(content)}", f"X-Twilio-Signature: {signature}",
        *(f"{name}: {value}" for name, value in headers),
    ]  # fmt: skip
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


async def answers(edge: EdgeProcess, request: bytes) -> int:
    async with Wire(edge.address) as wire:
        await wire.write(request)
        return (await wire.read()).status


async def test_signed_urls_and_log_lines_follow_trusted_proxies_and_nobody_else(
    start_process: Start, foreign: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWILIO_TOKEN", TOKEN)
    sources = {
        "twilio": {"scheme": "twilio", "secrets": ["env:TWILIO_TOKEN"]},
        "begini": {"scheme": "begini", "secrets": ["env:BEGINI_API_KEY"]},
    }
    given = {
        "HOOKLINE_SOURCES": json.dumps(sources),
        "HOOKLINE_EDGE__MAX_CONNECTIONS_PER_ADDRESS": "2",
    }
    url = "https://hooks.example.com/v1/webhooks/twilio"
    told = (("Host", "edge"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "hooks.example.com"))

    believing = await start_process(**given, HOOKLINE_EDGE__TRUSTED_PROXIES='["127.0.0.0/8"]')
    assert await answers(believing, twilio(url, *told, uid="A")) == 200
    assert await answers(believing, twilio(url, *told[:2], uid="B")) == 403
    spoofed = genuine("C").replace(b"Host: edge", b"Host: edge\r\nX-Forwarded-For: 6.6.6.6, 198.51.100.7")
    # All of its clients share a proxy's address.
    wires = [Wire(believing.address) for _ in range(4)]
    for number, wire in enumerate(wires):
        await wire.__aenter__()
        assert (await wire.send(body(f"u{number}"))).status == 200
    await wires[0].write(spoofed)
    assert (await wires[0].read()).status == 200
    for wire in wires:
        await wire.__aexit__(None, None, None)
    await until(lambda: len(clients(believing)) == 7, "each has its line")
    assert clients(believing) == ["127.0.0.1"] * 6 + ["198.51.100.7"]

    # The same without trust: our own address is what is seen, and public_url what counts.
    strict = await start_process(
        **given,
        HOOKLINE_EDGE__TRUSTED_PROXIES='["10.0.0.0/8"]',
        HOOKLINE_EDGE__PUBLIC_URL="https://public.example.com",
    )
    assert await answers(strict, twilio(url, *told, uid="D")) == 403
    assert await answers(strict, twilio(url.replace("//hooks", "//public"), *told, uid="E")) == 200
    assert await answers(strict, spoofed.replace(b'"C"', b'"C"')) == 200  # a duplicate
    await until(lambda: len(clients(strict)) == 3, "each has its line")
    assert clients(strict) == ["127.0.0.1"] * 3
    held = [Wire(strict.address) for _ in range(3)]
    for wire in held:
        await wire.__aenter__()
    with suppress(ConnectionError):
        assert (await held[-1].read()).json["code"] == "too_many_connections"
    for wire in held:
        await wire.__aexit__(None, None, None)
    distrusting = await start_process(**given, HOOKLINE_EDGE__TRUSTED_PROXIES='["10.0.0.0/8"]')
    assert await answers(distrusting, twilio(url, *told, uid="F")) == 403
    assert (await rows(foreign))[0] == 7


def clients(edge: EdgeProcess) -> list[str]:
    return [line["client"] for line in edge.lines if line.get("event") == "webhook"]
