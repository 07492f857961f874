from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest

from hookline.v1 import delivery_pb2 as pb
from path.rig.database import cursors, locked_cursors, until_waiting_for_lock
from path.rig.events import append, append_many, event
from path.rig.relay import Relay
from path.rig.stream import RawStream, ids, reasons
from path.rig.tokens import forged, known

Reason = pb.SettlementFailureReason
INVALID = Reason.SETTLEMENT_FAILURE_REASON_INVALID_TOKEN
STALE = Reason.SETTLEMENT_FAILURE_REASON_STALE_TOKEN
SETTLED = Reason.SETTLEMENT_FAILURE_REASON_ALREADY_SETTLED
NO_VERDICT = Reason.SETTLEMENT_FAILURE_REASON_NO_VERDICT


async def test_an_ack_is_confirmed_only_after_its_commit(relay: Relay, database: str) -> None:
    await append_many(database, 3)
    async with RawStream(relay.target) as stream:
        await stream.start()
        held = await stream.deliveries(3)
        async with locked_cursors(database):
            sequence = await stream.send_acks(*held)
            await until_waiting_for_lock(database, "hookline relay all settlements")
            assert await stream.rest() == []
            assert not stream.has_confirmation(sequence)
        assert not (await stream.confirmation(sequence)).failures
    positions = {shard: row["position"] for shard, row in (await cursors(database)).items()}
    assert sum(position > 0 for position in positions.values()) == 3


async def test_a_confirmation_echoes_the_sequence_and_comes_once_per_batch(
    relay: Relay, database: str
) -> None:
    await append_many(database, 50)
    async with RawStream(relay.target) as stream:
        await stream.start()
        held = await stream.deliveries(50)
        sequences = [await stream.send_acks(delivery) for delivery in held]
        for sequence in sequences:
            assert not (await stream.confirmation(sequence)).failures
        await stream.rest()
        assert not any(stream.has_confirmation(sequence) for sequence in sequences)


async def test_acks_count_though_their_journal_can_not_be_written(
    relay: Relay, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = await asyncpg.connect(database)
    parts = await connection.fetch(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'hookline.acks'::regclass"
    )
    await connection.execute(f"DROP TABLE {', '.join(part['name'] for part in parts)}")
    await append_many(database, 6)
    async with RawStream(relay.target) as stream:
        await stream.start()
        held = await stream.deliveries(6)
        assert reasons(await stream.ack(*held[:3])) == {}
        assert reasons(await stream.reject(held[3])) == {}
        # There is a place again, which it finds by itself.
        await connection.execute("CREATE TABLE hookline.acks_default PARTITION OF hookline.acks DEFAULT")
        assert reasons(await stream.ack(held[4])) == {}
        assert await connection.fetchval("SELECT count(*) FROM hookline.acks") == 0
        monkeypatch.setattr(relay.dispatcher()._settler, "_journal_from", 0.0)
        assert reasons(await stream.ack(held[5])) == {}
        assert await connection.fetchval("SELECT count(*) FROM hookline.acks") == 1
    await connection.close()


async def test_what_was_acked_is_not_sent_to_the_next_consumer(relay: Relay, database: str) -> None:
    await append_many(database, 10)
    async with RawStream(relay.target) as stream:
        await stream.start()
        held = await stream.deliveries(10)
        await stream.ack(*held[::2])
    async with RawStream(relay.target) as stream:
        await stream.start()
        assert sorted(ids(await stream.deliveries(5))) == sorted(ids(held[1::2]))
        assert await stream.rest() == []


async def test_a_second_ack_of_the_same_delivery_fails_alone(relay: Relay, database: str) -> None:
    await append_many(database, 2)
    async with RawStream(relay.target) as stream:
        await stream.start()
        first, second = await stream.deliveries(2)
        await stream.ack(first)
        assert reasons(await stream.ack(first, second)) == {first.token: SETTLED}


async def test_the_same_token_twice_in_one_batch_is_one_settlement(relay: Relay, database: str) -> None:
    await append_many(database, 1)
    async with RawStream(relay.target) as stream:
        await stream.start()
        [delivery] = await stream.deliveries(1)
        await stream.ack(delivery, delivery)
        assert await stream.rest() == []
        assert relay.dispatcher().leases.holders[0].window.events == 0


@pytest.mark.parametrize("token", [b"", b"x", bytes(39), b"\xff" * 39, b"y" * 4096])
async def test_a_token_that_is_none_fails_alone_and_the_stream_lives_on(
    relay: Relay, database: str, token: bytes
) -> None:
    await append_many(database, 2)
    async with RawStream(relay.target) as stream:
        await stream.start(events=1)
        [delivery] = await stream.deliveries(1)
        settlements = [pb.Settlement(token=t, ack=pb.Ack()) for t in (token, delivery.token)]
        assert reasons(await stream.confirmation(await stream.settle(settlements))) == {token: INVALID}
        assert len(await stream.deliveries(1)) == 1


async def test_another_subscriptions_token_is_refused(database: str) -> None:
    await append_many(database, 1)
    subscriptions = {"one": {"start": "earliest"}, "two": {"start": "earliest"}}
    async with (
        Relay(database, subscriptions) as relay,
        RawStream(relay.target) as one,
        RawStream(relay.target) as two,
    ):
        await one.start("one")
        await two.start("two")
        [ours], [theirs] = await one.deliveries(1), await two.deliveries(1)
        assert reasons(await one.ack(theirs)) == {theirs.token: INVALID}
        assert not (await two.ack(theirs)).failures
        assert not (await one.ack(ours)).failures


async def test_a_settlement_without_a_verdict_fails_and_leaves_the_delivery_out(
    relay: Relay, database: str
) -> None:
    await append_many(database, 2)
    async with RawStream(relay.target) as stream:
        await stream.start(events=1)
        [delivery] = await stream.deliveries(1)
        sequence = await stream.settle([pb.Settlement(token=delivery.token)])
        assert reasons(await stream.confirmation(sequence)) == {delivery.token: NO_VERDICT}
        assert await stream.rest() == []
        assert not (await stream.ack(delivery)).failures


async def test_a_token_from_before_a_take_over_still_settles(database: str) -> None:
    """A token works on any stream and any relay: that the event was processed stays true."""
    await append_many(database, 1)
    async with Relay(database) as relay, RawStream(relay.target) as stream:
        await stream.start()
        [old] = await stream.deliveries(1)
    async with Relay(database) as relay, RawStream(relay.target) as stream:
        await stream.start()
        [new] = await stream.deliveries(1)
        assert new.event_id == old.event_id
        assert reasons(await stream.ack(old)) == {}
        assert reasons(await stream.ack(new)) == {new.token: SETTLED}


async def test_a_token_of_a_lease_that_this_relay_never_had_is_stale(relay: Relay, database: str) -> None:
    await append_many(database, 1)
    async with RawStream(relay.target) as stream:
        await stream.start()
        [delivery] = await stream.deliveries(1)
        ahead = forged(relay, delivery.event_id, epoch=1)
        seq = known(relay, delivery.event_id).event.seq
        unread = forged(relay, delivery.event_id, event={"seq": seq + 1})
        # As after the database was restored: another event has the place now.
        other = forged(relay, delivery.event_id, event={"event_id": uuid4()})
        settlements = [pb.Settlement(token=token, ack=pb.Ack()) for token in (ahead, unread, other)]
        confirmation = await stream.confirmation(await stream.settle(settlements))
        assert reasons(confirmation) == {ahead: STALE, unread: STALE, other: STALE}
        assert not (await stream.ack(delivery)).failures


async def test_the_next_relay_does_not_say_that_a_settled_event_will_come_again(database: str) -> None:
    """STALE promises another delivery (see the contract); a settled event gets none."""
    await append(database, [event(b"1"), event(b"2")])
    async with Relay(database) as relay, RawStream(relay.target) as stream:
        await stream.start()
        settled, _ = await stream.deliveries(2)
        await stream.ack(settled)
    async with Relay(database) as relay, RawStream(relay.target) as stream:
        await stream.start()
        await stream.deliveries(1)
        assert reasons(await stream.ack(settled)) == {settled.token: SETTLED}


async def test_already_settled_is_not_said_of_an_ack_that_another_relay_made_void(database: str) -> None:
    """Both are passed on to the new owner; as that one never answers, they are stale."""
    await append_many(database, 1)
    async with Relay(database, lease=timedelta(seconds=1)) as relay, RawStream(relay.target) as stream:
        await stream.start()
        [delivery] = await stream.deliveries(1)
        async with locked_cursors(database) as connection:
            first = await stream.send_acks(delivery)
            await until_waiting_for_lock(database, "hookline relay all settlements")
            # As a client sends again what a broken stream left unanswered.
            second = await stream.send_acks(delivery)
            await connection.execute(
                "UPDATE hookline.cursors SET owner = 'another', epoch = epoch + 1,"
                " lease_until = now() + interval '1 hour'"
            )
            await connection.execute("COMMIT")
        assert reasons(await stream.confirmation(first)) == {delivery.token: STALE}
        assert reasons(await stream.confirmation(second)) == {delivery.token: STALE}


async def test_closing_our_side_still_confirms_what_was_sent_before(relay: Relay, database: str) -> None:
    await append_many(database, 20)
    async with RawStream(relay.target) as stream:
        await stream.start()
        held = await stream.deliveries(20)
        sequences = [await stream.send_acks(delivery) for delivery in held]
        await stream.finish()
        assert all(stream.has_confirmation(sequence) for sequence in sequences)
    async with RawStream(relay.target) as stream:
        await stream.start()
        assert await stream.rest() == []
