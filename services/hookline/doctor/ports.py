"""Are our addresses free, or held by Hookline itself?"""

import asyncio
import errno
import socket
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import timedelta

import grpc
import httpx
from grpc_health.v1 import health_pb2, health_pb2_grpc

from hookline import address
from hookline.address import Address
from hookline.config import Settings
from hookline.doctor.finding import Finding, ok, problem

_WITHIN = timedelta(seconds=2)
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  (where to call what listens everywhere)
_SERVICE = "hookline.v1.DeliveryService"


async def look(settings: Settings) -> list[Finding]:
    """Look at all of them at once."""
    addresses = {
        "edge.http": settings.edge.http,
        "relay.grpc": settings.relay.grpc,
        "edge.status": settings.edge.status,
        "relay.status": settings.relay.status,
    }
    wanted = {name: address.parse(where) for name, where in addresses.items() if where is not None}
    over_tls = {
        name
        for name, tls in (("edge.http", settings.edge.tls), ("relay.grpc", settings.relay.tls))
        if tls is not None
    }
    found = await asyncio.gather(
        *(_look_at(name, where, is_tls=name in over_tls) for name, where in wanted.items())
    )
    return [*_twice(wanted), *found]


def _twice(wanted: Mapping[str, Address]) -> Iterator[Finding]:
    counts = Counter(where for where in wanted.values() if where.port)
    for where, count in counts.items():
        if count > 1:
            names = " and ".join(name for name, other in wanted.items() if other == where)
            yield problem("ports", f"{names} are the same address, {where}", "choose another port for one")


async def _look_at(name: str, where: Address, *, is_tls: bool) -> Finding:
    check = f"ports.{name}"
    if where.port == 0:
        return ok(check, f"{where}: the system chooses a port")
    try:
        _open(where).close()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            return problem(
                check,
                f"{where}: nothing can listen there: {error.strerror}",
                f"set {name} to an address of this machine",
            )
    else:
        return ok(check, f"{where} is free")
    return await _look_at_holder(name, where, is_tls=is_tls)


async def _look_at_holder(name: str, where: Address, *, is_tls: bool) -> Finding:
    check = f"ports.{name}"
    if is_tls:
        return ok(check, f"{where} is in use; who has it isn't asked over TLS")
    target = Address(_EVERYWHERE.get(where.host, where.host), where.port)
    held = await (_ask_relay(target) if name == "relay.grpc" else _ask_http(name, target))
    if held is None:
        return problem(
            check,
            f"{where} is in use, and not by Hookline",
            f"stop who has it (`ss -ltnp`), or set {name} to another",
        )
    is_serving, what = held
    if is_serving:
        return ok(check, f"{where}: {what}")
    return problem(check, f"{where}: {what}", "see what its log says, and the findings about the database")


def _open(where: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in where.host else socket.AF_INET
    return socket.create_server((where.host, where.port), family=family)


async def _ask_relay(target: Address) -> tuple[bool, str] | None:
    """Whether a relay serves there; None if none answers."""
    async with grpc.aio.insecure_channel(str(target)) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest(service=_SERVICE)
        try:
            answer = await health.Check(request, timeout=_WITHIN.total_seconds())  # type: ignore[attr-defined] # no stubs
        except grpc.aio.AioRpcError:
            return None
    if answer.status == health_pb2.HealthCheckResponse.SERVING:
        return True, "a relay that serves"
    return False, "a relay that can't serve now"


async def _ask_http(name: str, target: Address) -> tuple[bool, str] | None:
    """Whether an edge, or a process of ours, is ready there; None if none answers."""
    async with httpx.AsyncClient(
        base_url=f"http://{target}", timeout=_WITHIN.total_seconds(), trust_env=False
    ) as client:
        try:
            # Whoever it is: our own answers to what isn't there are problem details with a code.
            unknown, ready = await client.get("/"), await client.get("/readyz")
            is_ours = unknown.json().get("code") == "not_found"
            state = ready.json().get("status")
        except (httpx.HTTPError, ValueError, AttributeError):
            return None
    if not is_ours:
        return None
    part = "an edge" if name.startswith("edge") else "a relay"
    if ready.status_code == httpx.codes.OK:
        return True, f"{part} that is ready"
    return False, f"{part} that isn't ready: {state if state in ('unavailable', 'draining') else 'unknown'}"
