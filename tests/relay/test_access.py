"""`[relay] access = "tokens"`: who may call what, and how soon a change counts."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from datetime import timedelta
from hashlib import sha256
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pool
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from structlog.testing import capture_logs

from hookline import config
from hookline.admin.server import AdminServices
from hookline.core.access_token import ROLES, AccessToken, Role
from hookline.relay.access.exposure import warn_if_exposed
from hookline.relay.access.live import LiveTokens
from hookline.relay.access.methods import METHODS, OPEN
from hookline.v1 import consumer_pb2, dead_letter_pb2, delivery_pb2, event_pb2, replay_pb2, subscription_pb2
from path.rig.access import COUNTS_WITHIN, Tokens, bearer, id_of
from path.rig.database import attempts, connect
from path.rig.events import append_many
from path.rig.relay import Relay
from path.rig.stream import RawStream, ids
from path.rig.unary import Unary, refused
from path.rig.wait import until
from relay.access_rig import GET, PULL, REFLECTION, SETTLE, SUBSCRIBE, Caller

CONTRACTS = (consumer_pb2, dead_letter_pb2, delivery_pb2, event_pb2, replay_pb2, subscription_pb2)
CONSUMERS_OWN = "hookline.v1.ConsumerService"
"""Served by consumers, and called by relays."""
DENIED = grpc.StatusCode.PERMISSION_DENIED
UNKNOWN = grpc.StatusCode.UNAUTHENTICATED
SUBSCRIPTIONS = {"all": {"start": "earliest"}, "other": {"start": "earliest"}}


@pytest.fixture
async def tokens(database: str) -> Tokens:
    return Tokens(database)


@pytest.fixture
async def guarded(database: str) -> AsyncIterator[Relay]:
    """Takes tokens only; serves everything that a relay serves."""
    async with Relay(database, SUBSCRIPTIONS, access="tokens", beside=AdminServices(database)) as relay:
        yield relay


@pytest.fixture
async def caller(guarded: Relay) -> AsyncIterator[Caller]:
    caller = Caller(guarded.target)
    yield caller
    await caller.close()


def may(role: Role, method: str) -> bool:
    """What the roles are for, said once more and in another way."""
    service, name = method.removeprefix("/").split("/")
    if role == "operator" or method == REFLECTION:
        return True
    if service == "hookline.v1.DeliveryService":
        return role == "consumer"
    return role == "reader" and name.startswith(("Get", "List"))


async def served(target: str, token: str) -> set[str]:
    """The services that a relay says it serves."""
    async with grpc.aio.insecure_channel(target) as channel:
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = reflection_pb2.ServerReflectionRequest(list_services="")
        [answer] = [one async for one in stub.ServerReflectionInfo(iter([asked]), metadata=bearer(token))]
        return {service.name for service in answer.list_services_response.service}


async def test_every_method_has_its_roles_and_each_role_may_call_those_and_no_others(
    guarded: Relay, caller: Caller, tokens: Tokens
) -> None:
    shown = {
        "consumer": await tokens.create("consumer", "all"),
        "reader": await tokens.create("reader"),
        "operator": await tokens.create("operator"),
    }
    for role, expected in {
        "consumer": grpc.StatusCode.OK,
        "reader": DENIED,
        "operator": grpc.StatusCode.OK,
    }.items():
        await caller.until(expected, shown[role])

    services = await served(guarded.target, shown["operator"])
    ours = {service.full_name for each in CONTRACTS for service in each.DESCRIPTOR.services_by_name.values()}
    assert ours - services == {CONSUMERS_OWN}
    pool = descriptor_pool.Default()
    methods = {
        f"/{name}/{method.name}"
        for name in services
        for method in pool.FindServiceByName(name).methods  # type: ignore[no-untyped-call]
    }
    assert methods == METHODS.keys() | OPEN
    assert not METHODS.keys() & OPEN

    for role in ROLES:
        for method in METHODS:
            answer = await caller.call(method, shown[role])
            if may(role, method):
                assert answer.code not in {DENIED, UNKNOWN}, (role, method, answer)
            else:
                assert (answer.code, answer.reason) == (DENIED, "ROLE_NOT_ALLOWED"), (role, method)
                assert id_of(shown[role]) in answer.message
    for method in (*METHODS, "/hookline.v1.DeliveryService/Nothing"):
        answer = await caller.call(method)
        assert (answer.code, answer.reason) == (UNKNOWN, "ACCESS_TOKEN_MISSING"), method
        assert "HOOKLINE_RELAY_TOKEN" in answer.message
    for method in ("/hookline.v1.DeliveryService/Nothing", "/acme.Service/Get", f"/{'x' * 3000}/y"):
        answer = await caller.call(method, shown["operator"])
        assert (answer.code, answer.reason) == (DENIED, "ROLE_NOT_ALLOWED"), method
        assert len(answer.message) < 400
    assert (await caller.call("/grpc.health.v1.Health/Check")).code is grpc.StatusCode.OK


async def test_what_is_no_live_token_is_refused_without_repeating_it(
    caller: Caller, tokens: Tokens, database: str
) -> None:
    good = await tokens.create("operator")
    other = await tokens.create("operator")
    revoked = await tokens.create("operator")
    expired = await tokens.create("operator", expires_in=timedelta(milliseconds=1))
    await tokens.revoke(revoked)
    await caller.until(grpc.StatusCode.OK, good)
    for over in (revoked, expired):
        await caller.until(UNKNOWN, over)
    secret = good.rpartition("_")[2]
    basic = b64encode(b"a:b").decode()
    with capture_logs() as logs:
        for shown in (
            revoked,
            expired,
            f"hkl_{id_of(other)}_{secret}",
            AccessToken.new().reveal(),
            f"hkl_{id_of(good)}_{'0' * 64}",
            good[:-1],
            f"{good}0",
            good.upper(),
            secret,
            "x" * 5000,
        ):
            for method in (GET, SUBSCRIBE, REFLECTION):
                answer = await caller.call(method, shown)
                assert (answer.code, answer.reason) == (UNKNOWN, "ACCESS_TOKEN_INVALID"), shown
                assert shown not in answer.message
        for metadata in (
            [("authorization", good)],
            [("authorization", f"Basic {basic}")],
            [("authorization", f"Bearer  {good}")],
            [("authorization", "")],
            [("authorization", f"Bearer {good}"), ("authorization", f"Bearer {good}")],
        ):
            answer = await caller.call(GET, metadata=metadata)
            assert (answer.code, answer.reason) == (UNKNOWN, "ACCESS_TOKEN_INVALID"), metadata
        answer = await caller.call(GET, metadata=[("x-token", good)])
        assert answer.reason == "ACCESS_TOKEN_MISSING"
        answer = await caller.call(SETTLE, metadata=[("authorization", f"bEARER {good}")])
        assert answer.code is grpc.StatusCode.OK

    # One line tells of many, and none of what was shown.
    lines = [line for line in logs if line["event"] == "calls refused"]
    assert len(lines) <= 1
    async with connect(database) as connection:
        rows = str(await connection.fetch("SELECT t::text FROM hookline.access_tokens AS t"))
    assert sha256(secret.encode()).hexdigest() in rows
    for text in (secret, secret.encode().hex()):
        assert text not in rows
        assert text not in str(logs)


async def test_a_consumer_has_its_own_subscriptions_and_cannot_learn_of_others(
    guarded: Relay, caller: Caller, tokens: Tokens, database: str
) -> None:
    token = await tokens.create("consumer", "all", "missing")
    await caller.until(grpc.StatusCode.OK, token)
    for method in (SUBSCRIBE, PULL, SETTLE):
        texts = set()
        for name in ("other", "nothing", "", "x" * 1000):
            answer = await caller.call(method, token, subscription=name)
            assert (answer.code, answer.reason) == (DENIED, "SUBSCRIPTION_NOT_ALLOWED"), (method, name)
            texts.add(answer.message.replace(repr(name[:64]), "…"))
        assert len(texts) == 1
        assert (await caller.call(method, token, subscription="missing")).code is grpc.StatusCode.NOT_FOUND

    # A settlement token of another subscription is none of this one's.
    await append_many(database, 1)
    operator = await tokens.create("operator")
    await caller.until(grpc.StatusCode.OK, operator)
    async with (
        RawStream(guarded.target, token=operator) as theirs,
        RawStream(guarded.target, token=token) as ours,
    ):
        await theirs.start("other")
        await ours.start("all")
        [held] = await theirs.deliveries(1)
        confirmation = await ours.ack(held)
        assert [failure.reason for failure in confirmation.failures] == [
            delivery_pb2.SettlementFailureReason.SETTLEMENT_FAILURE_REASON_INVALID_TOKEN
        ]
        assert list((await theirs.ack(held)).failures) == []


@pytest.mark.parametrize("hinted", [True, False])
async def test_a_revoked_token_ends_what_it_holds_within_five_seconds(
    guarded: Relay, caller: Caller, tokens: Tokens, database: str, *, hinted: bool
) -> None:
    token = await tokens.create("consumer", "all")
    operator = await tokens.create("operator")
    for each in (token, operator):
        await caller.until(grpc.StatusCode.OK, each)
    if not hinted:
        async with connect(database) as connection:
            await connection.execute("ALTER TABLE hookline.access_tokens DISABLE TRIGGER access_tokens_hint")
    sent = await append_many(database, 6)
    async with (
        RawStream(guarded.target, token=token) as stream,
        Unary(guarded.target, token=token) as unary,
        RawStream(guarded.target, token=operator) as heir,
    ):
        await stream.start(events=3)
        held = await stream.deliveries(3)
        pulled = await unary.pull(events=3, wait=5)
        while len(pulled) < 3:
            pulled += await unary.pull(events=3 - len(pulled), wait=5)
        waiting = unary.call(wait=60)
        await until(lambda: len(guarded.dispatcher().leases.holders) >= 3, "the last pull waits")
        await heir.start()
        assert list((await stream.ack(held[0])).failures) == []

        await tokens.revoke(token)
        async with asyncio.timeout(COUNTS_WITHIN):
            code, info = await stream.refusal()
            with pytest.raises(grpc.aio.AioRpcError) as ended:
                await waiting
            # All that was held, and was never an attempt.
            rest = await heir.deliveries(5)
        assert (code, info.reason) == (UNKNOWN, "ACCESS_TOKEN_INVALID")
        assert refused(ended.value) == (UNKNOWN, "ACCESS_TOKEN_INVALID")
        assert sorted(ids(rest)) == sorted({*sent} - {held[0].event_id})
        assert {delivery.attempt for delivery in rest} == {1}
        with pytest.raises(grpc.aio.AioRpcError) as settling:
            await unary.ack(held[1])
        assert refused(settling.value) == (UNKNOWN, "ACCESS_TOKEN_INVALID")
        assert list((await heir.ack(*rest)).failures) == []
    assert await attempts(database) == []
    assert guarded.lives


async def test_every_settlement_of_a_stream_is_checked_by_itself(
    guarded: Relay, caller: Caller, tokens: Tokens, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = await tokens.create("consumer", "all")
    await caller.until(grpc.StatusCode.OK, token)
    await append_many(database, 2)
    async with RawStream(guarded.target, token=token) as stream:
        await stream.start()
        first, second = await stream.deliveries(2)
        assert list((await stream.ack(first)).failures) == []
        # Revoked, and whoever watches over the stream hasn't noticed yet.
        with monkeypatch.context() as patch:
            patch.setattr(LiveTokens, "get", lambda *_: None)
            await stream.send_acks(second)
            code, info = await stream.refusal()
    assert (code, info.reason) == (UNKNOWN, "ACCESS_TOKEN_INVALID")
    async with RawStream(guarded.target, token=token) as stream:
        await stream.start()
        assert ids(await stream.deliveries(1)) == [second.event_id]


async def test_a_token_that_is_bound_anew_or_given_another_role_or_secret_is_judged_anew(
    guarded: Relay, caller: Caller, tokens: Tokens, database: str
) -> None:
    changes = {
        "subscriptions = '{other}'": (DENIED, "SUBSCRIPTION_NOT_ALLOWED"),
        "role = 'reader', subscriptions = '{}'": (DENIED, "SUBSCRIPTION_NOT_ALLOWED"),
        "secret_sha256 = sha256('x')": (UNKNOWN, "ACCESS_TOKEN_INVALID"),
        "expires_at = clock_timestamp()": (UNKNOWN, "ACCESS_TOKEN_INVALID"),
    }
    for change, expected in changes.items():
        token = await tokens.create("consumer", "all")
        await caller.until(grpc.StatusCode.OK, token)
        async with RawStream(guarded.target, token=token) as stream, connect(database) as connection:
            await stream.start()
            await connection.execute(
                f"UPDATE hookline.access_tokens SET {change} WHERE id = $1", id_of(token)
            )
            async with asyncio.timeout(COUNTS_WITHIN):
                code, info = await stream.refusal()
        assert (code, info.reason) == expected, change


async def test_without_a_look_at_the_database_tokens_go_on_and_expire_nonetheless(
    guarded: Relay, caller: Caller, tokens: Tokens, database: str
) -> None:
    steady = await tokens.create("consumer", "all")
    brief = await tokens.create("consumer", "all", expires_in=timedelta(seconds=3))
    for each in (steady, brief):
        await caller.until(grpc.StatusCode.OK, each)
    live = guarded._relay._access._tokens  # type: ignore[attr-defined]
    async with RawStream(guarded.target, token=brief) as stream, connect(database) as connection:
        await stream.start()
        with capture_logs() as logs:
            async with connection.transaction():
                await connection.execute("LOCK TABLE hookline.access_tokens")
                async with asyncio.timeout(COUNTS_WITHIN):
                    code, info = await stream.refusal()
                assert (code, info.reason) == (UNKNOWN, "ACCESS_TOKEN_INVALID")
                assert (await caller.call(SETTLE, brief)).code is UNKNOWN
                await until(lambda: bool(live._in_trouble), "the tokens can't be read")
                assert (await caller.call(SETTLE, steady)).code is grpc.StatusCode.OK
            await until(lambda: not live._in_trouble, "they can be read again")
    assert [line["event"] for line in logs if "access tokens" in line["event"]] == [
        "access tokens not read; those last read go on",
        "access tokens read again",
    ]
    await tokens.revoke(steady)
    await caller.until(UNKNOWN, steady)


@pytest.mark.parametrize(
    ("grpc_", "access", "warns"),
    [
        ("0.0.0.0:50051", "open", True),
        ("[::]:50051", "open", True),
        (":50051", "open", True),
        ("relay.internal:50051", "open", True),
        ("127.0.0.1:50051", "open", False),
        ("[::1]:50051", "open", False),
        ("localhost:50051", "open", False),
        ("0.0.0.0:50051", "tokens", False),
    ],
)
def test_a_relay_that_anybody_can_reach_and_call_says_how_to_close_it(
    grpc_: str, access: Any, *, warns: bool
) -> None:
    with capture_logs() as logs:
        warn_if_exposed(config.Relay(grpc=grpc_, access=access))
    assert [line["log_level"] for line in logs] == ["warning"] * warns
    assert all('access = "tokens"' in line["fix"] for line in logs)
