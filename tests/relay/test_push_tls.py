"""Who the relay and a called consumer prove to each other that they are."""

from pathlib import Path

import grpc
import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from hookline.core.subscription import PushTls
from path.rig.wait import until
from relay.certificates import Authority, Certificate
from relay.push_consumer import PushedTo
from relay.push_engine import Engine
from relay.test_push import is_open, pushing

HOST = "scoring.internal"


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def foreign(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "foreign")


def serves_as(server: Certificate, *, clients_of: Authority | None = None) -> grpc.ServerCredentials:
    return grpc.ssl_server_credentials(
        [(server.key.read_bytes(), server.certificate.read_bytes())],
        root_certificates=clients_of.certificate.read_bytes() if clients_of else None,
        require_client_auth=clients_of is not None,
    )


def tls(authority: Authority, client: Certificate | None = None, *, name: str = HOST) -> PushTls:
    return PushTls(
        ca_file=str(authority.certificate),
        certificate_file=str(client.certificate) if client else "",
        key_file=str(client.key) if client else "",
        server_name=name,
    )


async def delivers(credentials: grpc.ServerCredentials, settings: PushTls) -> None:
    engine = Engine()
    async with (
        PushedTo(credentials=credentials) as consumer,
        pushing(engine, consumer.target, tls=settings),
    ):
        engine.add(b"1")
        await until(lambda: len(engine.settled) == 1, "it is delivered")


async def refuses(credentials: grpc.ServerCredentials, settings: PushTls) -> str:
    """Why, from the log."""
    engine = Engine()
    with capture_logs() as logs:
        async with (
            PushedTo(credentials=credentials) as consumer,
            pushing(engine, consumer.target, tls=settings, max_events=1, concurrency=3) as pushed,
        ):
            engine.add(b"1", b"2", b"3")
            await until(lambda: is_open(pushed), "the circuit opens")
            assert consumer.calls == []
    assert (engine.failed, engine.suspected) == ([], [])
    return next(line["reason"] for line in logs if "sent nothing" in line["event"])


async def test_a_consumer_of_the_right_authority_is_called(ours: Authority) -> None:
    await delivers(serves_as(ours.sign("server", HOST)), tls(ours))


async def test_a_consumer_that_asks_for_a_certificate_gets_ours(ours: Authority) -> None:
    await delivers(serves_as(ours.sign("server", HOST), clients_of=ours), tls(ours, ours.sign("relay")))


async def test_a_consumer_of_another_authority_gets_nothing(ours: Authority, foreign: Authority) -> None:
    reason = await refuses(serves_as(foreign.sign("server", HOST)), tls(ours))
    assert "CERTIFICATE_VERIFY_FAILED" in reason


async def test_a_consumer_of_another_name_gets_nothing(ours: Authority) -> None:
    reason = await refuses(serves_as(ours.sign("server", "other.internal")), tls(ours))
    assert "Hostname Verification" in reason


async def test_a_relay_that_the_consumer_does_not_know_costs_no_attempt(
    ours: Authority, foreign: Authority
) -> None:
    server = serves_as(ours.sign("server", HOST), clients_of=ours)
    assert "can't be reached" in await refuses(server, tls(ours, foreign.sign("relay")))


async def test_a_file_that_is_missing_is_named_in_the_log(ours: Authority, tmp_path: Path) -> None:
    missing = tmp_path / "gone.pem"
    settings = PushTls(ca_file=str(missing), server_name=HOST)
    reason = await refuses(serves_as(ours.sign("server", HOST)), settings)
    assert reason == f"push.tls.ca_file = '{missing}' can't be read: No such file or directory"


async def test_a_certificate_without_its_key_is_named_in_the_log(ours: Authority) -> None:
    settings = replace(tls(ours, ours.sign("relay")), key_file="")
    assert "set both" in await refuses(serves_as(ours.sign("server", HOST)), settings)


@pytest.mark.parametrize("broken", ["ca_file", "certificate_file"])
async def test_a_file_that_holds_something_else_is_named_in_the_log(
    ours: Authority, tmp_path: Path, broken: str
) -> None:
    text = tmp_path / "text.pem"
    text.write_text("not a certificate\n", encoding="utf-8")
    settings = replace(tls(ours, ours.sign("relay")), **{broken: str(text)})
    reason = await refuses(serves_as(ours.sign("server", HOST)), settings)
    assert f"push.tls.{broken} = '{text}' can't be used" in reason


async def test_a_key_of_another_certificate_is_refused(ours: Authority) -> None:
    settings = replace(tls(ours, ours.sign("relay")), key_file=str(ours.sign("other").key))
    assert "KEY_VALUES_MISMATCH" in await refuses(serves_as(ours.sign("server", HOST)), settings)


async def test_certificates_that_were_mended_are_read_without_a_restart(
    ours: Authority, foreign: Authority
) -> None:
    wrong, right = foreign.sign("relay"), ours.sign("relay")
    engine = Engine()
    async with (
        PushedTo(credentials=serves_as(ours.sign("server", HOST), clients_of=ours)) as consumer,
        pushing(engine, consumer.target, tls=tls(ours, wrong), max_events=1, concurrency=3) as pushed,
    ):
        engine.add(b"1", b"2", b"3")
        await until(lambda: is_open(pushed), "the circuit opens")
        wrong.certificate.write_bytes(right.certificate.read_bytes())
        wrong.key.write_bytes(right.key.read_bytes())
        await until(lambda: len(engine.settled) == 3, "they are delivered")
