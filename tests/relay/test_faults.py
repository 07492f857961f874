"""Mistakes of the relay's own, and a database that refuses: whoever called hears of it, and nobody waits for ever."""

import grpc
import pytest
from structlog.testing import capture_logs

from hookline.relay.find import Undecided
from hookline.v1 import delivery_pb2 as pb
from path.rig.database import attempts, connect, rows
from path.rig.events import append_many
from path.rig.relay import Relay
from path.rig.stream import RawStream, ids
from path.rig.unary import Unary, refused

INTERNAL = grpc.StatusCode.INTERNAL


async def test_a_mistake_in_judging_ends_its_stream_with_a_reason_and_is_logged(
    relay: Relay, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = await append_many(database, 3)
    async with RawStream(relay.target) as good, RawStream(relay.target) as stream:
        await good.start(events=0)
        await stream.start(consumer="unlucky")
        held = await stream.deliveries(3)

        def find(token: bytes) -> None:
            raise KeyError(token)

        monkeypatch.setattr(relay.dispatcher(), "find", find)
        with capture_logs() as logs:
            await stream.send_acks(*held)
            code, info = await stream.refusal()
        assert (code, info.reason) == (INTERNAL, "SETTLING_FAILED")
        [log] = [log for log in logs if log["log_level"] == "error"]
        assert (log["consumer"], log["settlements"]) == ("unlucky", 3)
        assert log["failure"].startswith("KeyError (")
        assert log["failure"].endswith(" find)")
        monkeypatch.undo()
        assert not relay.dispatcher().failed
        # Nothing speaks against what it held: its consumer lives.
        assert await rows(database) == await attempts(database) == []
        await good.resize(events=100)
        again = await good.deliveries(3)
        assert sorted(ids(again)) == sorted(sent)
        assert {delivery.attempt for delivery in again} == {1}
        assert not (await good.ack(*again)).failures


async def test_a_mistake_in_judging_reaches_a_consumer_that_has_closed_its_side(
    relay: Relay, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is owed an answer still."""
    await append_many(database, 1)
    async with RawStream(relay.target) as stream:
        await stream.start()
        held = await stream.deliveries(1)
        monkeypatch.setattr(relay.dispatcher(), "find", None)
        await stream.send_acks(*held)
        await stream.call.done_writing()
        code, info = await stream.refusal()
        assert (code, info.reason) == (INTERNAL, "SETTLING_FAILED")


async def test_a_settlement_that_the_database_refuses_ends_its_stream_and_costs_no_attempt(
    relay: Relay, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of a shard that another relay owns: only those are written at once, and never tried again by us."""
    await append_many(database, 1)
    async with RawStream(relay.target) as good, RawStream(relay.target) as stream, connect(database) as other:
        await good.start(events=0)
        await stream.start()
        held = await stream.deliveries(1)
        await other.execute("ALTER TABLE hookline.forwarded_settlements RENAME TO elsewhere")
        dispatcher = relay.dispatcher()
        named = dispatcher.tokens.decode(held[0].token)
        monkeypatch.setattr(dispatcher, "find", lambda _: (named, Undecided.SHARD_NOT_OURS))
        await stream.send_acks(*held)
        code, info = await stream.refusal()
        assert (code, info.reason) == (INTERNAL, "STATEMENT_REFUSED")
        monkeypatch.undo()
        await other.execute("ALTER TABLE hookline.elsewhere RENAME TO forwarded_settlements")
        await good.resize(events=1)
        [again] = await good.deliveries(1)
        assert again.attempt == 1
        assert not (await good.ack(again)).failures
        assert await attempts(database) == []


async def test_a_database_that_refuses_a_statement_is_named_as_the_cause(relay: Relay, database: str) -> None:
    """Not as unavailable: connecting again at once doesn't help."""
    async with connect(database) as connection:
        await connection.execute("ALTER TABLE hookline.subscriptions RENAME TO elsewhere")
        async with RawStream(relay.target) as stream, Unary(relay.target) as unary:
            start = pb.Start(subscription="all", window=pb.Window(max_events=1))
            await stream.send(pb.SubscribeRequest(start=start))
            code, info = await stream.refusal()
            assert (code, info.reason) == (INTERNAL, "STATEMENT_REFUSED")
            for call in (unary.call(), unary.settle([])):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await call
                assert refused(caught.value) == (INTERNAL, "STATEMENT_REFUSED")
        await connection.execute("ALTER TABLE hookline.elsewhere RENAME TO subscriptions")
    async with RawStream(relay.target) as stream:
        await stream.start()
