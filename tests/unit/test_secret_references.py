"""References to secrets: what may be written, what is read, and that nothing of a secret is ever repeated."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from hookline.config.secret_reference import KeyReference, Reference, SecretReference
from hookline.config.secret_text import LONGEST, clean
from hookline.config.secrets import Secrets
from hookline.core.validity import Validity
from hookline.edge.secrets.secret import Secret, live, values
from hookline.errors import ConfigError
from hookline.sealing import encode_key

CANARY = "canary-secret-4711"
NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)
DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)


def read(value: object) -> Reference:
    return TypeAdapter[Reference](SecretReference).validate_python(value)


def mistake(kind: Any, value: object) -> str:
    with pytest.raises(ValidationError) as error:
        TypeAdapter[Reference](kind).validate_python(value)
    [detail] = error.value.errors()
    assert CANARY not in detail["msg"]
    return detail["msg"]


@pytest.mark.parametrize(
    ("value", "reference"),
    [
        ("env:STRIPE_KEY", Reference("env", "STRIPE_KEY")),
        ("file:/run/secrets/stripe key", Reference("file", "/run/secrets/stripe key")),
        ("file:C:key", Reference("file", "C:key")),
        ("stored", Reference("stored")),
        ({"ref": "env:A"}, Reference("env", "A")),
        ({"ref": "stored"}, Reference("stored")),
        ({"ref": "env:A", "valid_from": NOVEMBER}, Reference("env", "A", Validity(NOVEMBER))),
        (
            {
                "ref": "file:a",
                "valid_from": "2026-11-01T01:00:00+01:00",
                "valid_until": "2026-12-01T00:00:00Z",
            },
            Reference("file", "a", Validity(NOVEMBER, DECEMBER)),
        ),
    ],
)
def test_a_reference_is_read_as_it_is_written(value: object, reference: Reference) -> None:
    assert read(value) == reference
    assert read(reference) is reference, "what was read once is taken as it is"
    written = value["ref"] if isinstance(value, dict) else value
    assert str(reference) == written


@pytest.mark.parametrize(
    "value",
    [
        "",
        "env:",
        "file:",
        "stored:a",
        "STORED",
        CANARY,
        f"whsec:{CANARY}",
        "env:A\nB",
        "file:a\0b",
        5,
        None,
        [CANARY],
    ],
)
def test_what_is_no_reference_is_not_repeated(value: object) -> None:
    said = mistake(SecretReference, value)
    assert all(part in said for part in ("env:NAME", "file:PATH", '"stored"', "valid_until"))
    assert said == mistake(SecretReference, {"ref": value})


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({}, "a table for a secret has ref"),
        ({"valid_from": NOVEMBER}, "a table for a secret has ref"),
        ({"ref": "env:A", CANARY: 1}, "nothing else"),
        ({"ref": "env:A", "valid_from": datetime(2026, 11, 1)}, "valid_from must be a time with its zone"),  # noqa: DTZ001
        ({"ref": "env:A", "valid_until": "2026-11-01"}, "valid_until must be a time with its zone"),
        ({"ref": "env:A", "valid_until": CANARY}, "valid_until must be a time"),
        ({"ref": "env:A", "valid_until": None}, "valid_until must be a time"),
        ({"ref": "env:A", "valid_from": 1793491200}, "valid_from must be a time"),
        ({"ref": "env:A", "valid_from": "0001-01-01T00:00:00+14:00"}, "valid_from must be a time"),
        ({"ref": "env:A", "valid_from": NOVEMBER, "valid_until": NOVEMBER}, "later than valid_from"),
        ({"ref": "env:A", "valid_from": DECEMBER, "valid_until": NOVEMBER}, "later than valid_from"),
        ({"ref": "stored", "valid_until": NOVEMBER}, 'write "stored" alone'),
    ],
)
def test_a_wrong_table_says_what_is_wrong(table: object, says: str) -> None:
    assert says in mistake(SecretReference, table)


def test_a_secret_counts_from_its_first_moment_and_no_longer_at_its_last() -> None:
    moment = timedelta(microseconds=1)
    validity = Validity(NOVEMBER, DECEMBER)
    times = NOVEMBER - moment, NOVEMBER, DECEMBER - moment, DECEMBER
    assert [validity.state(time) for time in times] == ["coming", "live", "live", "expired"]
    assert Validity().state(NOVEMBER) == "live"
    assert [Validity(valid_until=DECEMBER).state(time) for time in times] == ["live"] * 3 + ["expired"]
    assert [Validity(NOVEMBER).state(time) for time in times] == ["coming"] + ["live"] * 3


@pytest.mark.parametrize(
    ("given", "secret"),
    [
        (b"key", b"key"),
        (b"key\n", b"key"),
        (b"key\r\n", b"key"),
        (b"\xef\xbb\xbfkey\n", b"key"),
        (" schlüssel ".encode(), " schlüssel ".encode()),
        (b"-----BEGIN\nabc\n-----END\n", b"-----BEGIN\nabc\n-----END"),
        (b"x" * LONGEST, b"x" * LONGEST),
    ],
)
def test_only_what_an_editor_adds_is_taken_away(given: bytes, secret: bytes) -> None:
    assert clean(given) == secret


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xef\xbb\xbf\r\n", "is empty"),
        (b"x" * (LONGEST + 1), "is longer than 64 KiB"),
        (CANARY.encode("utf-16"), "isn't UTF-8"),
        (b"\xff" + CANARY.encode(), "isn't UTF-8"),
    ],
)
def test_what_can_t_be_a_secret_is_said_and_not_repeated(given: bytes, says: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=says) as error:
        clean(given)
    assert error.value.__cause__ is None
    path = tmp_path / "key"
    path.write_bytes(given)
    with pytest.raises(ConfigError) as resolved:
        Reference("file", str(path)).resolve("sources.x.secrets")
    says = "is empty or not set" if says == "is empty" else says
    assert str(resolved.value).startswith(f"sources.x.secrets: file:{path}: {says}")
    assert str(resolved.value).endswith(f"; write the key into {path}")
    assert CANARY not in str(resolved.value)


def test_a_variable_is_read_or_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY_NOW", "schlüssel\n")
    assert Reference("env", "KEY_NOW").resolve("k") == "schlüssel".encode()
    monkeypatch.delenv("KEY_NOW")
    says = r"^k: env:KEY_NOW: is empty or not set; set the environment variable KEY_NOW$"
    with pytest.raises(ConfigError, match=says):
        Reference("env", "KEY_NOW").resolve("k")
    monkeypatch.setitem(os.environ, "KEY_NOW", f"{CANARY}\udcff")
    with pytest.raises(ConfigError, match=r"^k: env:KEY_NOW: isn't UTF-8 text; set the env") as error:
        Reference("env", "KEY_NOW").resolve("k")
    assert CANARY not in str(error.value)


def test_a_pipe_or_a_device_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(ConfigError, match="isn't a regular file"):
            Reference("file", str(path)).resolve("k")
    for path, what in ((tmp_path, "IsADirectoryError"), (tmp_path / "none", "FileNotFoundError")):
        with pytest.raises(ConfigError, match=f"can't be read: {what}"):
            Reference("file", str(path)).resolve("k")


@pytest.mark.parametrize("value", ["stored", CANARY, {"ref": "env:A"}, "env:"])
def test_a_key_is_in_a_variable_or_a_file(value: object) -> None:
    assert mistake(KeyReference, value).endswith('must be a reference, "env:NAME" or "file:PATH"')


def test_keys_that_seal_are_fetched_in_their_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "old").write_text(encode_key(b"O" * 32) + "\n", encoding="ascii")
    monkeypatch.setenv("NEW", encode_key(b"N" * 32))
    settings = Secrets.model_validate({"keys": ["env:NEW", f"file:{tmp_path / 'old'}"]})
    both, alone = settings.sealer(), Secrets.model_validate({"keys": ["env:NEW"]}).sealer()
    assert both
    assert alone
    assert (both.key_id, repr(both)) == (alone.key_id, f"<Sealer seals with {alone.key_id}, opens 2 keys>")
    assert Secrets().sealer() is None


def test_a_wrong_key_is_named_by_its_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Secrets.model_validate({"keys": ["env:KEY_NOW"]})
    monkeypatch.delenv("KEY_NOW", raising=False)
    with pytest.raises(ConfigError, match=r"^secrets\.keys: env:KEY_NOW: is empty or not set; set the"):
        settings.sealer()
    monkeypatch.setenv("KEY_NOW", CANARY)
    with pytest.raises(ConfigError, match=r"^secrets\.keys: env:KEY_NOW: must be base64 of 32") as error:
        settings.sealer()
    assert CANARY not in f"{error.value}{error.value.__cause__}"


def test_the_newest_comes_first_and_the_rest_in_the_order_of_the_file() -> None:
    secrets = [
        Secret("env:A", b"a", Validity()),
        Secret("env:B", b"b", Validity()),
        Secret("stored:c", b"c", Validity(), NOVEMBER),
        Secret("stored:d", b"d", Validity(NOVEMBER), DECEMBER),
        Secret("env:E", b"e", Validity(valid_until=DECEMBER)),
        Secret("stored:f", b"f", Validity(DECEMBER), DECEMBER),
    ]
    assert values(live(secrets, DECEMBER - timedelta(seconds=1))) == (b"d", b"c", b"a", b"b", b"e")
    assert values(live(secrets, DECEMBER)) == (b"d", b"f", b"c", b"a", b"b")
    assert values(live([], DECEMBER)) == ()


def test_what_is_there_twice_counts_once_and_as_long_as_either() -> None:
    twice = [
        Secret("env:A", b"a", Validity()),
        Secret("stored:b", b"b", Validity(), NOVEMBER),
        Secret("stored:a", b"a", Validity(valid_until=DECEMBER), DECEMBER),
    ]
    assert [secret.name for secret in live(twice, NOVEMBER)] == ["stored:a", "stored:b"]
    assert [secret.name for secret in live(twice, DECEMBER)] == ["stored:b", "env:A"]


def test_a_secret_in_memory_is_not_shown() -> None:
    secret = Secret("env:A", CANARY.encode(), Validity())
    assert CANARY not in f"{secret!r}{[secret]}{ ({'a': secret}) }"
