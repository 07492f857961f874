"""Commands and TLS: what they show to a relay, and what `hookline doctor` says of certificates."""

from pathlib import Path
from typing import Any

import pytest

from cli.doctored import LONG, looked, settings
from hookline import config
from hookline.cli.relay_call import RelayUnreachable, connected
from hookline.errors import ConfigError
from hookline.v1 import subscription_pb2 as pb
from hookline.v1.subscription_pb2_grpc import SubscriptionServiceStub
from path.rig.process import RelayProcess, write_config
from path.rig.run import hookline
from path.rig.wait import until
from relay.certificates import Authority, Certificate

HOST = "relay.example.com"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCTORS_KEY", LONG)


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def listed(target: str) -> list[str]:
    with connected(target, None) as channel:
        answer = SubscriptionServiceStub(channel).ListSubscriptions(pb.ListSubscriptionsRequest(), timeout=10)
    return [one.name for one in answer.subscriptions]


async def test_commands_call_a_relay_over_tls(
    database: str, ours: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown, client = ours.sign("relay", HOST), ours.sign("client")
    tls = {
        "certificate": str(shown.certificate),
        "key": str(shown.key),
        "client_ca": str(ours.certificate),
    }
    tables = {"subscriptions.all": {"start": "earliest"}, "relay.tls": tls}
    relay = RelayProcess(database, write_config(tmp_path / "hookline.toml", tables))
    relay.start()
    try:
        await until(lambda: "relay listening" in relay.output(), "it listens")
        monkeypatch.setenv("HOOKLINE_RELAY_CA", str(ours.certificate))
        monkeypatch.setenv("HOOKLINE_RELAY_CERTIFICATE", str(client.certificate))
        with pytest.raises(ConfigError, match=r"HOOKLINE_RELAY_KEY is not; a certificate comes with its key"):
            listed(relay.target)
        monkeypatch.setenv("HOOKLINE_RELAY_KEY", str(client.key))
        with pytest.raises(RelayUnreachable, match=r"don't agree on TLS: .*HOOKLINE_RELAY_SERVER_NAME"):
            listed(relay.target)
        monkeypatch.setenv("HOOKLINE_RELAY_SERVER_NAME", HOST)
        assert listed(relay.target) == ["all"]
        monkeypatch.setenv("HOOKLINE_RELAY_CA", str(tmp_path / "gone"))
        with pytest.raises(
            ConfigError, match=r"gone' can't be read: No such file or directory; let HOOKLINE"
        ):
            listed(relay.target)
    finally:
        await relay.kill()


async def test_doctor_reads_certificates_as_edge_and_relay_do(ours: Authority) -> None:
    async def said(edge: Certificate, relay: Certificate, **more: str) -> tuple[str, ...]:
        tables: dict[str, Any] = {
            "edge": {
                "http": "127.0.0.1:0",
                "tls": {"certificate": str(edge.certificate), "key": str(edge.key)},
            },
            "relay": {
                "grpc": "127.0.0.1:0",
                "tls": {"certificate": str(relay.certificate), "key": str(relay.key), **more},
            },
        }
        found = await looked(settings(**tables))
        return tuple(
            f"{one.level}: {one.found}; {one.fix}" for one in (found["edge.tls"], found["relay.tls"])
        )

    fine, soon, over = ours.sign("fine", days=30), ours.sign("soon", days=13), ours.sign("over", days=-1)
    good, warned = await said(fine, soon)
    assert good.startswith(f"ok: {fine.certificate}: belongs to its key, and expires on 2")
    assert warned.startswith("warning: ")
    assert warned.endswith(", in 12 days; renew it; new files count within seconds, without a restart")
    expired, mixed = await said(over, Certificate(fine.certificate, soon.key))
    assert expired.startswith(f"problem: edge.tls.certificate = '{over.certificate}' expired at 2")
    assert mixed == (
        f"problem: relay.tls.key = '{soon.key}' can't be used: it is not the key of relay.tls.certificate = "
        f"'{fine.certificate}'; write both anew, from one order"
    )
    _, unread = await said(fine, fine, client_ca="/nowhere/ca.pem")
    assert unread.startswith("problem: relay.tls.client_ca = '/nowhere/ca.pem' can't be read: No such file")


def test_a_key_that_was_pasted_is_not_repeated() -> None:
    pasted = "-----BEGIN PRIVATE KEY-----\ncanary\n"
    with pytest.raises(ValueError, match="must be the path of a PEM file, not what is in it") as error:
        config.EdgeTls(certificate="tls.crt", key=pasted)
    assert error.value.errors()[0]["ctx"]["place"] == "key"  # type: ignore[attr-defined]


async def test_a_mistake_in_the_file_names_the_missing_half_and_repeats_no_key(tmp_path: Path) -> None:
    (tmp_path / "hookline.toml").write_text(
        '[relay.tls]\ncertificate = "tls.crt"\n[edge.tls]\ncertificate = "tls.crt"\n'
        'key = """-----BEGIN PRIVATE KEY-----\ncanary"""\n',
        encoding="utf-8",
    )
    ended = await hookline("doctor", cwd=tmp_path)
    assert ended.returncode == 2
    assert "edge.tls.key: must be the path of a PEM file, not what is in it" in ended.stdout
    assert "relay.tls.key: is missing; add it" in ended.stdout
    assert "canary" not in ended.stdout + ended.stderr
