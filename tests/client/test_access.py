"""A consumer with an access token: shown to the relay, replaced while it runs, and never shown to anybody else."""

import asyncio
import traceback
from collections.abc import AsyncIterator

import pytest

from hookline.client import Consumer, ConsumerError, SubscriptionRefused
from hookline.core.access_token import AccessToken
from path.rig.access import COUNTS_WITHIN, Tokens
from path.rig.events import append_many
from path.rig.relay import Relay


@pytest.fixture
async def guarded(database: str) -> AsyncIterator[Relay]:
    async with Relay(database, access="tokens") as relay:
        yield relay


async def receive(consumer: Consumer) -> str:
    """Take and ack one."""
    async with asyncio.timeout(2 * COUNTS_WITHIN):
        delivery = await anext(consumer)
        await delivery.ack()
    return delivery.event_id


async def test_a_token_can_be_replaced_while_its_consumer_runs(guarded: Relay, database: str) -> None:
    tokens = Tokens(database)
    first, second = [await tokens.create("consumer", "all") for _ in range(2)]
    asked: list[str] = []
    current = f"{first}\n"

    def token() -> str:
        asked.append(current.strip())
        return current

    sent = await append_many(database, 1)
    async with Consumer(guarded.target, "all", token=token) as consumer:
        received = [await receive(consumer)]
        assert asked == [first], "a stream shows it once"
        current = second
        await tokens.revoke(first)
        async with asyncio.timeout(COUNTS_WITHIN):
            while second not in asked:  # noqa: ASYNC110  (nobody signals a new stream)
                await asyncio.sleep(0.02)
        sent += await append_many(database, 1)
        received.append(await receive(consumer))
        assert sorted(received) == sorted(sent)
        assert consumer.failed == 0

        # Without another one there is nothing to hope for.
        await tokens.revoke(second)
        with pytest.raises(SubscriptionRefused, match="UNAUTHENTICATED") as refused:
            await receive(consumer)
        for shown in (
            repr(consumer),
            str(vars(consumer)),
            "".join(traceback.format_exception(refused.value)),
        ):
            assert first not in shown
            assert second not in shown
    with pytest.raises(SubscriptionRefused, match="UNAUTHENTICATED"):
        async with Consumer(guarded.target, "all", token=second) as consumer:
            await receive(consumer)
    with pytest.raises(SubscriptionRefused, match="HOOKLINE_RELAY_TOKEN"):
        async with Consumer(guarded.target, "all") as consumer:
            await receive(consumer)


async def test_what_can_t_be_a_token_is_refused_without_repeating_it(guarded: Relay) -> None:
    token = AccessToken.new().reveal()
    for given in (f"{token}\nx", f"{token} x", f"{token}é", f"{token}\0", lambda: f"{token}\nx"):
        with pytest.raises(ConsumerError) as refused:
            async with Consumer(guarded.target, "all", token=given) as consumer:
                await receive(consumer)
        assert token[:20] not in "".join(traceback.format_exception(refused.value))
    for empty in ("", " \n"):
        with pytest.raises(ConsumerError, match="is empty"):
            async with Consumer(guarded.target, "all", token=empty) as consumer:
                await receive(consumer)


async def test_a_token_that_can_t_be_had_ends_the_consumer_with_the_reason(guarded: Relay) -> None:
    def token() -> str:
        raise FileNotFoundError("token file")

    with pytest.raises(FileNotFoundError, match="token file"):
        async with Consumer(guarded.target, "all", token=token) as consumer:
            await receive(consumer)
