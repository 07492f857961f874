"""hookline.toml and the environment: what they may say, and what a mistake is answered with."""

import os
import re
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hookline.config import PushCall, PushTls, Retry, Settings, Source, Subscription, load
from hookline.config.watch import Watch
from hookline.core.retry import ExponentialWait, FixedWait, ListedWait, RetryPolicy, Wait
from hookline.core.subscription import Push
from hookline.core.subscription import PushTls as DeclaredTls
from hookline.core.subscription import Subscription as Declared
from hookline.errors import ConfigError
from hookline.model import SubscriptionName

COMMENTED = Path(__file__).parents[2] / "deploy" / "hookline.toml"
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
expression = 'body.event.type == "final"'
ordering = "key"
after_dead_letter = "block"
push = "dns:///scoring:50051"
dead_letter_retention = "90d"

[subscriptions.scores.retry]
min = "2s"
max_age = "unlimited"

[subscriptions.scores.push_call]
max_events = 7
tls = { ca_file = "ca.pem" }

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
    assert [str(secret) for secret in settings.sources["begini"].secrets] == ["env:BEGINI_API_KEY"]
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
            ["sources.x.secret:", "'secrets'"],
        ),
        (
            '[sources.x]\nscheme = "bigini"\nsecrets = ["env:K"]\n',
            ["sources.x.scheme = 'bigini'", "'begini'"],
        ),
        ("[sources.x]\n", ["sources.x.scheme: is missing"]),
        ('[sources.x]\nscheme = "begini"\nsecrets = []\n', ["sources.x.secrets: is missing"]),
        ('[sources.X]\nscheme = "begini"\nsecrets = ["env:K"]\n', ["sources.X", "lower-case"]),
        ('[subscriptions."-a"]\n', ["subscriptions.-a", "lower-case"]),
        ('[subscriptions.a]\nordering = "total"\n', ["ordering = 'total'", "'none'"]),
        ("[subscriptions.a]\ntypes = []\n", ["subscriptions.a.types", "at least one glob"]),
        ('[subscriptions.a]\nack_deadline = "soon"\n', ["ack_deadline = 'soon'", '"30s"']),
        ('[subscriptions.a]\nack_deadline = "0s"\n', ["ack_deadline", "longer than zero"]),
        ('[subscriptions.a]\nack_deadline = "-5s"\n', ["ack_deadline = '-5s'"]),
        ('[subscriptions.a]\nack_deadline = "999999999999d"\n', ["ack_deadline = '999999999999d'"]),
        ("[subscriptions.a]\nexpression = '1 +'\n", ["a.expression = '1 +'", "line 1, column 4"]),
        ("[subscriptions.a]\nexpression = 'event == 1'\n", ["a.expression", "no variable 'event'", "body"]),
        ('[subscriptions.a]\nafter_dead_letter = "block"\n', ["a.after_dead_letter", 'ordering = "key"']),
        ('[subscriptions.a]\nafter_dead_letter = "stop"\n', ["after_dead_letter = 'stop'", "'block'"]),
        ('[subscriptions.a]\ndead_letter_retention = "0s"\n', ["dead_letter_retention", "longer than zero"]),
        ('[subscriptions.a]\ndead_letter_retention = "101y"\n', ["dead_letter_retention = '101y'", '"2h"']),
        ('[subscriptions.a]\ndead_letter_retention = "36501d"\n', ["'36501d'", "hundred years"]),
        ("[subscriptions.a]\nstart = 2026-01-31T12:00:00\n", ["a.start = ", "no zone", "+02:00"]),
        (
            '[subscriptions.a]\nstart = "2026-01-31T12:00:00"\n',
            ["a.start = '2026-01-31T12:00:00'", "no zone"],
        ),
        ("[subscriptions.a]\nstart = 2026-01-31\n", ["a.start = ", '"earliest"', "2026-01-31T12:00:00Z"]),
        ('[subscriptions.a]\nstart = "first"\n', ["a.start = 'first'", '"earliest"']),
        ("[subscriptions.a]\nstart = 1769860800\n", ["a.start = 1769860800", '"earliest"']),
        ('[subscriptions.a]\nstart = "0001-01-01T00:00:00+14:00"\n', ["a.start", '"earliest"']),
        ('[subscriptions.a.retry]\nwait = "random"\n', ["a.retry.wait = 'random'", "'listed'"]),
        ('[subscriptions.a.retry]\nmin = "5m"\nmax = "1m"\n', ["a.retry: min, 0:05:00, is longer than max"]),
        ('[subscriptions.a.retry]\nmin = "1h"\n', ["a.retry: min, 1:00:00, is longer than max, 0:10:00"]),
        ('[subscriptions.a.retry]\nwait = "fixed"\n', ["a.retry: ", "needs a delay"]),
        ('[subscriptions.a.retry]\nwait = "listed"\n', ["a.retry: ", "needs delays"]),
        ('[subscriptions.a.retry]\nwait = "listed"\ndelays = []\n', ["a.retry.delays", "at least 1"]),
        ('[subscriptions.a.retry]\nwait = "listed"\ndelays = ["1s", "0s"]\n', ["a.retry: ", "the last"]),
        (
            '[subscriptions.a.retry]\nwait = "listed"\ndelays = ["1s", "x"]\n',
            ["a.retry.delays.1 = 'x'", '"5m"'],
        ),
        (
            '[subscriptions.a.retry]\nwait = "fixed"\ndelay = "1s"\ndelays = ["1s"]\n',
            ["a.retry.delays", 'wait = "listed"', 'is "fixed"'],
        ),
        ('[subscriptions.a.retry]\ndelay = "1s"\n', ["a.retry.delay = '1s'", 'is "exponential"']),
        (
            '[subscriptions.a.retry]\nwait = "listed"\ndelays = ["1s"]\nmax = "1m"\n',
            ["a.retry.max = '1m'", 'is "listed"'],
        ),
        ('[subscriptions.a.retry]\nmax = "31d"\n', ["a.retry.max = '31d'", "30 days"]),
        ("[subscriptions.a.retry]\nmax_attempts = 0\n", ["a.retry.max_attempts = 0"]),
        ('[subscriptions.a.retry]\nmax_age = "never"\n', ["a.retry.max_age = 'never'", '"2h"']),
        ("[subscriptions.a.retry]\nattempts = 3\n", ["a.retry.attempts: ", "did you mean 'max_attempts'?"]),
        ("[subscriptions.a]\nretry = 5\n", ["a.retry = 5", "[subscriptions.a.retry]"]),
        ("[subscriptions.retry.retry]\nzzz = 3\n", ["known here: delay, delays, max, "]),
        ("[subscriptions.retry]\nzzz = 3\n", ["known here: ack_deadline, "]),
        ('[subscriptions.a]\npush = ""\n', ["a.push = ''", "dns:///scoring:50051"]),
        ('[subscriptions.a]\npush = "https://scoring:50051"\n', ["a.push = ", "dns:///scoring:50051", "tls"]),
        ("[subscriptions.a.push_call]\nmax_events = 5\n", ["a.push_call: ", "not whom", "set push = "]),
        ('[subscriptions.a]\npush = "x:1"\npush_call = { max_events = 0 }\n', ["push_call.max_events = 0"]),
        (
            '[subscriptions.a]\npush = "x:1"\npush_call = { tls = { key_file = "x" } }\n',
            ["push_call.tls: ", "certificate_file"],
        ),
        (
            '[subscriptions.a]\npush = "x:1"\npush_call = { tls = { cafile = "x" } }\n',
            ["did you mean 'ca_file'?"],
        ),
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
            '[sources.x]\nscheme = "begini"\nsecrets = ["env:K"]\nverify_token = "text"\n',
            ["sources.x.verify_token", "env:NAME"],
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


def test_a_subscription_is_declared_as_it_is_written() -> None:
    written(GOOD)
    assert load().subscriptions["scores"].declared("scores") == Declared(
        name=SubscriptionName("scores"),
        sources=("begini",),
        types=("*_score.complete",),
        expression='body.event.type == "final"',
        ordering="key",
        after_dead_letter="block",
        ack_deadline=timedelta(minutes=5),
        retry=RetryPolicy(wait=ExponentialWait(min=timedelta(seconds=2)), max_age=None),
        push=Push(target="dns:///scoring:50051", max_events=7, tls=DeclaredTls(ca_file="ca.pem")),
        dead_letter_retention=timedelta(days=90),
    )


def test_a_subscription_of_which_nothing_is_said_is_declared_as_usual() -> None:
    declared = load(written("[subscriptions.a]\n")).subscriptions["a"].declared("a")
    assert declared == Declared(name=SubscriptionName("a"))


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ('wait = "exponential"\nmin = "2m"\nmax = "2m"', ExponentialWait(*[timedelta(minutes=2)] * 2)),
        ('max = "30d"', ExponentialWait(max=timedelta(days=30))),
        ('delay = "250ms"\nwait = "fixed"', FixedWait(timedelta(milliseconds=250))),
        ('wait = "listed"\ndelays = ["0s", "1h"]', ListedWait((timedelta(0), timedelta(hours=1)))),
    ],
)
def test_each_way_to_wait_is_what_it_says(text: str, wait: Wait) -> None:
    subscription = load(written(f"[subscriptions.a.retry]\n{text}\n")).subscriptions["a"]
    assert subscription.declared("a").retry == RetryPolicy(wait=wait)


def test_attempts_and_age_can_be_unlimited() -> None:
    text = '[subscriptions.a.retry]\nmax_attempts = "unlimited"\nmax_age = "unlimited"\n'
    retry = load(written(text)).subscriptions["a"].declared("a").retry
    assert (retry.max_attempts, retry.max_age) == (None, None)


def test_an_empty_tls_table_asks_for_tls_with_the_system_s_authorities() -> None:
    text = '[subscriptions.a]\npush = "x:1"\n[subscriptions.a.push_call.tls]\n'
    push = load(written(text)).subscriptions["a"].declared("a").push
    assert push == Push(target="x:1", tls=DeclaredTls())
    assert load(written('[subscriptions.a]\npush = "x:1"\n')).subscriptions["a"].declared("a").push == Push(
        "x:1"
    )


@pytest.mark.parametrize(
    "text",
    ["2026-01-31T13:00:00+01:00", '"2026-01-31T12:00:00Z"', '"2026-01-31 14:30+02:30"', '"20260131T120000Z"'],
)
def test_a_subscription_can_start_at_a_time(text: str) -> None:
    start = load(written(f"[subscriptions.a]\nstart = {text}\n")).subscriptions["a"].start
    assert start == datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_a_subscription_in_the_environment_is_read_like_one_in_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(
        "HOOKLINE_SUBSCRIPTIONS",
        '{"a": {"start": "2026-01-31T12:00:00Z", "retry": {"max_age": "unlimited"}}}',
    )
    subscription = load().subscriptions["a"]
    assert (subscription.start, subscription.retry.max_age) == (datetime(2026, 1, 31, 12, tzinfo=UTC), None)


def test_the_commented_file_has_every_setting_with_its_default() -> None:
    commented = COMMENTED.read_text(encoding="utf-8")
    # The alternatives of `retry`, which would contradict what is set, and a push target.
    alternatives = re.compile(r"^# (wait|delay|delays) = .*\n", re.MULTILINE)
    assert {match[1] for match in alternatives.finditer(commented)} == {"wait", "delay", "delays"}
    everything = re.sub(r"^# (\w+ = |\[)", r"\1", alternatives.sub("", commented), flags=re.MULTILINE)

    as_it_is = load(written(commented))
    assert as_it_is.model_dump(exclude={"sources", "subscriptions"}) == Settings().model_dump(
        exclude={"sources", "subscriptions"}
    )
    subscription = as_it_is.subscriptions["all"]
    assert subscription.declared("all") == Declared(name=SubscriptionName("all"))
    assert (subscription.start, subscription.push_call) == ("latest", None)
    assert load(written(everything)).subscriptions["all"].push_call == PushCall(tls=PushTls())
    usual = {"scheme": "begini", "secrets": ["env:BEGINI_API_KEY"]}
    assert as_it_is.sources == {"begini": Source.model_validate(usual)}

    tables = tomllib.loads(everything)
    all_ = tables["subscriptions"]["all"]
    assert set(all_) == set(Subscription.model_fields)
    assert set(all_["retry"]) == set(Retry.model_fields) - {"delay", "delays"}
    assert set(all_["push_call"]) == set(PushCall.model_fields)
    assert set(all_["push_call"]["tls"]) == set(PushTls.model_fields)
    assert set(tables["sources"]["begini"]) == set(Source.model_fields)
    assert set(tables["sources"]["begini"]["watch"]) == set(Watch.model_fields)
    for name in ("database", "edge", "rejections", "relay", "secrets", "telemetry"):
        assert set(tables[name]) == set(type(getattr(as_it_is, name)).model_fields)
    assert set(tables) == set(Settings.model_fields) - {"database_url", "trace_url"}
