"""hookline.toml and the environment: what they may say, and what a mistake is answered with."""

import os
from datetime import timedelta
from pathlib import Path

import pytest

from hookline.config import load
from hookline.errors import ConfigError

CANARY = "canary-secret-4711"
GOOD = """
[sources.begini]
scheme = "begini"
secrets = ["env:KEY_NOW", "file:KEYFILE"]

[subscriptions.scores]
sources = ["begini"]
types = ["*_score.complete"]
ack_deadline = "5m"
start = "earliest"

[edge]
request_deadline = "250ms"
"""


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("HOOKLINE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def written(text: str, name: str = "hookline.toml") -> Path:
    path = Path(name)
    path.write_text(text, encoding="utf-8")
    return path


def mistake(text: str) -> str:
    with pytest.raises(ConfigError) as error:
        load(written(text))
    assert str(error.value).startswith("hookline.toml")
    return str(error.value)


def test_without_a_file_begini_is_received_and_all_of_it_delivered() -> None:
    settings = load()
    assert settings.sources["begini"].secrets == ("env:BEGINI_API_KEY",)
    assert settings.subscriptions["all"].types == ("*",)
    assert settings.dsn() is None
    assert (settings.edge.http, settings.relay.grpc) == ("127.0.0.1:8080", "127.0.0.1:50051")
    assert settings.edge.max_body_bytes == 1024 * 1024


def test_the_file_in_this_directory_is_read_and_the_rest_are_defaults() -> None:
    written(GOOD)
    settings = load()
    subscription = settings.subscriptions["scores"]
    assert (subscription.ack_deadline, subscription.start) == (timedelta(minutes=5), "earliest")
    assert settings.edge.request_deadline == timedelta(milliseconds=250)
    assert settings.edge.commit_deadline == timedelta(seconds=5)
    assert settings.database.shards == 32


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    written(GOOD + 'http = "127.0.0.1:1"\n')
    monkeypatch.setenv("HOOKLINE_EDGE__HTTP", "0.0.0.0:9")
    monkeypatch.setenv("HOOKLINE_DATABASE_URL", "postgresql://db/x")
    monkeypatch.setenv("HOOKLINE_DATABASE__SHARDS", "64")
    settings = load()
    assert settings.edge.http == "0.0.0.0:9"
    assert settings.edge.request_deadline == timedelta(milliseconds=250), "only what is named is replaced"
    assert (settings.dsn(), settings.database.shards) == ("postgresql://db/x", 64)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[egde]\n", ["egde", "no such setting", "'edge'"]),
        ('[edge]\nhtpp = "x:1"\n', ["edge.htpp", "'http'"]),
        ("[edge]\nzzz = 1\n", ["edge.zzz", "known here: ", "max_body_bytes"]),
        (
            '[sources.x]\nscheme = "begini"\nsecret = "env:K"\n',
            ["sources.x.secret:", "'secrets'", "is missing"],
        ),
        (
            '[sources.x]\nscheme = "bigini"\nsecrets = ["env:K"]\n',
            ["sources.x.scheme = 'bigini'", "'begini'"],
        ),
        ("[sources.x]\n", ["sources.x.scheme: is missing"]),
        ('[sources.x]\nscheme = "begini"\nsecrets = []\n', ["sources.x.secrets", "at least 1"]),
        ('[sources.X]\nscheme = "begini"\nsecrets = ["env:K"]\n', ["sources.X", "lower-case"]),
        ('[subscriptions."-a"]\n', ["subscriptions.-a", "lower-case"]),
        ('[subscriptions.a]\nordering = "total"\n', ["ordering = 'total'", "'none'"]),
        ("[subscriptions.a]\ntypes = []\n", ["subscriptions.a.types", "at least one glob"]),
        ('[subscriptions.a]\nack_deadline = "soon"\n', ["ack_deadline = 'soon'", '"30s"']),
        ('[subscriptions.a]\nack_deadline = "0s"\n', ["ack_deadline", "longer than zero"]),
        ('[subscriptions.a]\nack_deadline = "-5s"\n', ["ack_deadline = '-5s'"]),
        ('[subscriptions.a]\nack_deadline = "999999999999d"\n', ["ack_deadline = '999999999999d'"]),
        ('[edge]\nhttp = "8080"\n', ["edge.http = '8080'", "127.0.0.1:8080"]),
        ('[edge]\nhttp = "localhost:99999"\n', ["edge.http = 'localhost:99999'"]),
        ('[edge]\nhttp = "http://localhost:80"\n', ["edge.http"]),
        ('[edge]\nhttp = "localhost:80?x"\n', ["edge.http"]),
        ('[relay]\ngrpc = "[::1:5"\n', ["relay.grpc"]),
        ("[edge]\nmax_body_bytes = 0\n", ["edge.max_body_bytes = 0"]),
        ("[database]\nshards = 257\n", ["database.shards = 257", "256"]),
        ('[database]\nshards = "many"\n', ["database.shards = 'many'", "integer"]),
        ("[telemetry]\nsample_ratio = 2\n", ["telemetry.sample_ratio = 2"]),
        ("[edge\n", ["not valid TOML", "line 1"]),
        ("edge = 5\n", ["edge = 5"]),
        (
            '[sources.x]\nscheme = "begini"\nsecrets = ["env:K"]\nheader = "X-Signatür"\n',
            ["sources.x.header"],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_mistake_names_the_file_the_key_the_value_and_the_fix(text: str, says: list[str]) -> None:
    message = mistake(text)
    for part in says:
        assert part in message


def test_all_mistakes_are_told_at_once() -> None:
    assert len(mistake('[edge]\nhttp = "x"\nzzz = 1\n[relay]\nlease = "no"\n').splitlines()) == 3


@pytest.mark.parametrize(
    "text",
    [
        f'[sources.x]\nscheme = "begini"\nsecrets = ["{CANARY}"]\n',
        f'[sources.x]\nscheme = "begini"\nsecrets = ["env:", "{CANARY}"]\n',
        f'[sources.x]\nscheme = "begini"\nsecrets = "{CANARY}"\n',
        f'[sources.x]\nscheme = "begini"\nsecret = "{CANARY}"\n',
        f'[sources.x]\nscheme = "begini"\nsecrets = [["{CANARY}"]]\n',
        f'[sources]\nx = "{CANARY}"\n',
        f'sources = "{CANARY}"\n',
        f'[sources.x]\nscheme = "begini"\nsecrets = ["{CANARY}\n',
        f'[database]\nurl = ["postgresql://u:{CANARY}@h/d"]\n',
        f'database = "postgresql://u:{CANARY}@h/d"\n',
    ],
)
def test_a_secret_written_where_a_reference_or_a_table_belongs_is_not_repeated(text: str) -> None:
    message = mistake(text)
    assert CANARY not in message


def test_a_password_is_not_shown_by_the_settings() -> None:
    written(f'[database]\nurl = "postgresql://u:{CANARY}@h/d"\n')
    settings = load()
    assert CANARY not in repr(settings)
    assert settings.dsn() == f"postgresql://u:{CANARY}@h/d"


def test_a_file_that_isn_t_there_says_how_to_name_another() -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: no such file; .*--config"):
        load(Path("nowhere.toml"))


def test_a_file_that_can_t_be_read_or_isn_t_text_is_a_mistake() -> None:
    Path("directory").mkdir()
    with pytest.raises(ConfigError, match="can't be read"):
        load(Path("directory"))
    Path("binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load(Path("binary.toml"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HOOKLINE_EDGE__HTTP", "nonsense"),
        ("HOOKLINE_EDGE__REQUEST_DEADLINE", "soon"),
        ("HOOKLINE_EDGE__HTPP", "127.0.0.1:1"),
        ("HOOKLINE_EDGE", "127.0.0.1:8080"),
        ("HOOKLINE_SOURCES", "begini"),
    ],
)
def test_a_mistake_in_the_environment_is_a_message_and_not_a_traceback(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as error:
        load()
    key = name.removeprefix("HOOKLINE_").replace("__", ".").lower()
    assert key.split(".", maxsplit=1)[0] in str(error.value).lower()


def test_secrets_come_from_the_environment_and_from_files(monkeypatch: pytest.MonkeyPatch) -> None:
    written(GOOD)
    written("from-a-file\n", "KEYFILE")
    monkeypatch.setenv("KEY_NOW", "schlüssel")
    assert load().sources["begini"].resolve_secrets("begini") == ("schlüssel".encode(), b"from-a-file")


def test_a_missing_or_empty_secret_says_where_to_put_it(monkeypatch: pytest.MonkeyPatch) -> None:
    written(GOOD)
    source = load().sources["begini"]
    with pytest.raises(
        ConfigError, match=r"sources\.begini\.secrets: env:KEY_NOW.*set the environment variable"
    ):
        source.resolve_secrets("begini")
    monkeypatch.setenv("KEY_NOW", "")
    with pytest.raises(ConfigError, match="is empty or not set"):
        source.resolve_secrets("begini")
    monkeypatch.setenv("KEY_NOW", "x")
    with pytest.raises(ConfigError, match="file:KEYFILE: can't be read: FileNotFoundError"):
        source.resolve_secrets("begini")
    written("\n", "KEYFILE")
    with pytest.raises(ConfigError, match="write the key into KEYFILE"):
        source.resolve_secrets("begini")
