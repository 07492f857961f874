"""Handshakes: answered as the provider documents, and whatever else asks for one gets nothing it could use."""

import hmac
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.config import Scheme as Declared
from hookline.config.presets import preset, preset_names
from hookline.edge.answers import Answer
from hookline.edge.schemes.incoming import Incoming
from hookline.edge.schemes.json_places import LONGEST
from hookline.edge.schemes.scheme import Scheme
from hookline.edge.schemes.verdict import Refusal, Verified
from vectors.judge import incoming, judge
from vectors.vectors import vectors

NOW = 1_790_000_000
SECRET = b"made-up-secret"
TOKEN = b"made-up-verify-token"
HOSTILE = [
    '"',
    '\\"},"admin":true,"x":"',
    "a\r\nSet-Cookie: a=b",
    "\x1b[2J\x07\t\x7f",
    "<script>alert(1)</script>",
    "\u202eevil\u2028\u2029",
    "{challenge}{challenge:hmac-sha256-hex}",
    "%00%0d%0a",
    "é😀",
    "x" * LONGEST,
]
UNUSABLE = ["", "x" * (LONGEST + 1), "x" * 100_000, "a\0b"]


def scheme(name: str, *secrets: bytes, verify_token: bytes | None = None) -> Scheme:
    return Scheme(Declared.model_validate(preset(name)), secrets or [SECRET], verify_token=verify_token)


META = scheme("meta", verify_token=TOKEN)
SLACK = scheme("slack")
ZOOM = scheme("zoom")


def get(query: str, method: str = "GET") -> Incoming:
    return Incoming(method, f"https://hooks.example.com/v1/webhooks/acme?{query}", [], b"", NOW)


def subscribe(**changed: str | None) -> Incoming:
    parameters: Mapping[str, str | None] = {
        "hub.mode": "subscribe",
        "hub.challenge": "1158201444",
        "hub.verify_token": TOKEN.decode(),
        **{name.replace("_", ".", 1): value for name, value in changed.items()},
    }
    return get(urlencode({name: value for name, value in parameters.items() if value is not None}))


def post(provider: str, body: Any, secret: bytes = SECRET, *, now: int = NOW) -> Incoming:
    """A signed request of Slack or Zoom."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    names = {"slack": ("x-slack-request-timestamp", "x-slack-signature")}
    timestamp, signature = names.get(provider, ("x-zm-request-timestamp", "x-zm-signature"))
    signed = hmac.new(secret, b"v0:%d:%b" % (now, content), "sha256").hexdigest()
    headers = [(timestamp.encode(), b"%d" % now), (signature.encode(), b"v0=" + signed.encode())]
    return Incoming("POST", "https://hooks.example.com/v1/webhooks/acme", headers, content, NOW)


def shake(where: Scheme, request: Incoming) -> Answer | Refusal | None:
    """What the edge does with a POST."""
    verdict = where.verify(request)
    if isinstance(verdict, Refusal):
        return verdict
    return where.handshake(where.context(request, verdict))


def verification(challenge: Any) -> dict[str, Any]:
    return {"token": "deprecated", "challenge": challenge, "type": "url_verification"}


def validation(token: Any) -> dict[str, Any]:
    return {"payload": {"plainToken": token}, "event_ts": 1, "event": "endpoint.url_validation"}


def test_meta_gets_its_challenge_back_for_the_right_token() -> None:
    answer = META.open_handshake(subscribe())
    assert isinstance(answer, Answer)
    assert (answer.status, answer.body, answer.content_type) == (200, b"1158201444", b"text/plain")


@pytest.mark.parametrize(
    "token", ["", "wrong", TOKEN.decode() + " ", TOKEN.decode()[:-1], TOKEN.decode().upper(), None]
)
def test_meta_s_challenge_is_kept_from_whoever_has_another_token(token: str | None) -> None:
    assert META.open_handshake(subscribe(hub_verify_token=token)) is Refusal.BAD_VERIFY_TOKEN


def test_a_token_that_is_there_twice_is_none() -> None:
    twice = get(f"{subscribe().query}&hub.verify_token={TOKEN.decode()}")
    assert META.open_handshake(twice) is Refusal.BAD_VERIFY_TOKEN


@pytest.mark.parametrize("token", ["", None, "anything"])
def test_without_a_configured_token_nobody_has_the_right_one(token: str | None) -> None:
    assert scheme("meta").open_handshake(subscribe(hub_verify_token=token)) is Refusal.BAD_VERIFY_TOKEN
    empty = scheme("meta", verify_token=b"")
    assert empty.open_handshake(subscribe(hub_verify_token=token)) is Refusal.BAD_VERIFY_TOKEN


@pytest.mark.parametrize(
    "changed", [{"hub_mode": "unsubscribe"}, {"hub_mode": None}, {"hub_challenge": None}]
)
def test_a_get_that_is_no_subscription_is_no_handshake(changed: dict[str, str | None]) -> None:
    assert META.open_handshake(subscribe(**changed)) is None


def test_a_challenge_that_is_there_twice_is_none() -> None:
    assert META.open_handshake(get(f"{subscribe().query}&hub.challenge=2")) is None


@pytest.mark.parametrize("challenge", HOSTILE)
def test_what_meta_sends_comes_back_as_plain_text_that_no_browser_runs(challenge: str) -> None:
    answer = META.open_handshake(subscribe(hub_challenge=challenge))
    assert isinstance(answer, Answer)
    assert answer.body == challenge.encode()
    assert answer.content_type == b"text/plain"
    assert (b"x-content-type-options", b"nosniff") in answer.headers
    assert (b"content-security-policy", b"default-src 'none'") in answer.headers
    assert all(b"\r" not in value and b"\n" not in value for _, value in answer.headers)


@pytest.mark.parametrize("challenge", UNUSABLE)
def test_what_is_no_challenge_is_not_sent_back(challenge: str) -> None:
    assert META.open_handshake(subscribe(hub_challenge=challenge)) is None
    assert shake(SLACK, post("slack", verification(challenge))) is None
    assert shake(ZOOM, post("zoom", validation(challenge))) is None


def test_a_verified_post_to_meta_is_a_webhook_whatever_its_query() -> None:
    [vector] = [vector for vector in vectors("meta") if vector.name == "valid-compact"]
    verdict = judge("meta", vector)
    assert isinstance(verdict, Verified)
    where = scheme("meta", vector.secret.encode(), verify_token=TOKEN)
    asked = incoming(vector)._replace(url=subscribe().url)
    assert where.handshake(where.context(asked, verdict)) is None


def test_slack_gets_its_challenge_back_in_json() -> None:
    answer = shake(SLACK, post("slack", verification("3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P")))
    assert isinstance(answer, Answer)
    assert (answer.status, answer.content_type) == (200, b"application/json")
    assert answer.body == b'{"challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"}'


def test_slack_s_old_token_is_not_needed() -> None:
    answer = shake(SLACK, post("slack", {"challenge": "abc", "type": "url_verification"}))
    assert isinstance(answer, Answer)
    assert json.loads(answer.body) == {"challenge": "abc"}


@pytest.mark.parametrize("challenge", HOSTILE)
def test_what_slack_sends_comes_back_as_one_text_in_json(challenge: str) -> None:
    answer = shake(SLACK, post("slack", verification(challenge)))
    assert isinstance(answer, Answer)
    assert json.loads(answer.body) == {"challenge": challenge}


@given(
    challenge=st.text(
        st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=LONGEST
    )
)
def test_any_token_of_zoom_s_comes_back_with_its_hash(challenge: str) -> None:
    answer = shake(ZOOM, post("zoom", validation(challenge)))
    assert isinstance(answer, Answer)
    digest = hmac.new(SECRET, challenge.encode(), "sha256").hexdigest()
    assert json.loads(answer.body) == {"plainToken": challenge, "encryptedToken": digest}


def test_zoom_s_token_is_hashed_with_the_secret_that_zoom_uses_now() -> None:
    rotating = scheme("zoom", b"new", b"old")
    for secret in (b"new", b"old"):
        answer = shake(rotating, post("zoom", validation("abc"), secret))
        assert isinstance(answer, Answer)
        assert json.loads(answer.body)["encryptedToken"] == hmac.new(secret, b"abc", "sha256").hexdigest()


@pytest.mark.parametrize("body", [verification("abc"), validation("abc")])
def test_a_post_that_is_not_signed_is_refused_whatever_it_asks(body: dict[str, Any]) -> None:
    provider, where = ("slack", SLACK) if "challenge" in body else ("zoom", ZOOM)
    assert shake(where, post(provider, body)._replace(headers=[])) is Refusal.MISSING_SIGNATURE
    assert shake(where, post(provider, body, b"another secret")) is Refusal.BAD_SIGNATURE
    assert shake(where, post(provider, body, now=NOW - 301)) is Refusal.STALE_TIMESTAMP


@pytest.mark.parametrize(
    "body",
    [
        {"type": "event_callback", "challenge": "abc"},
        {"type": "url_verification"},
        {"type": ["url_verification"], "challenge": "abc"},
        {"type": "url_verification", "challenge": ["abc"]},
        {"event": {"type": "url_verification", "challenge": "abc"}},
        [verification("abc")],
        b"",
        b"\xff",
    ],
)
def test_a_signed_webhook_that_only_looks_alike_is_no_handshake(body: Any) -> None:
    assert shake(SLACK, post("slack", body)) is None


def discord(body: dict[str, Any]) -> Answer | Refusal | None:
    """What Discord gets to a request that verified."""
    where = scheme("discord", b"5f" * 32)
    request = Incoming("POST", "", [], json.dumps(body).encode(), NOW)
    return where.handshake(where.context(request, Verified()))


def test_discord_s_pings_are_answered() -> None:
    interaction = discord({"id": "1", "application_id": "2", "token": "t", "type": 1, "version": 1})
    assert isinstance(interaction, Answer)
    assert (interaction.status, interaction.body) == (200, b'{"type":1}')
    event = discord({"version": 1, "application_id": "2", "type": 0})
    assert isinstance(event, Answer)
    assert (event.status, event.body) == (204, b"")


@pytest.mark.parametrize(
    "body",
    [
        {"id": "1", "type": 2, "data": {"name": "x"}},
        {"version": 1, "application_id": "2", "type": 1, "event": {"type": "ENTITLEMENT_CREATE"}},
        {"id": "1", "type": True},
        {"id": "1", "type": 1.0},
    ],
)
def test_discord_s_events_are_no_pings(body: dict[str, Any]) -> None:
    assert discord(body) is None


@pytest.mark.parametrize("name", ["discord", "zoom"])
def test_the_shared_vectors_of_handshakes_are_answered(name: str) -> None:
    [vector] = [vector for vector in vectors(name) if vector.name in ("valid-ping", "valid-url-validation")]
    answer = shake(scheme(name, vector.secret.encode()), incoming(vector))
    assert isinstance(answer, Answer)
    assert (answer.status, answer.outcome) == (200, "handshake")


@pytest.mark.parametrize("name", preset_names())
def test_a_get_to_whoever_has_no_handshake_for_it_gets_none(name: str) -> None:
    declared = Declared.model_validate(preset(name))
    methods = {one.method for one in declared.handshakes} - {"POST"}
    if declared.plugin is None:
        where = Scheme(
            declared.model_copy(update={"signatures": declared.signatures[:1]}), [], verify_token=TOKEN
        )
        assert where.other_methods == methods
        for method in {"GET", "OPTIONS", "HEAD", "PUT", "DELETE"} - methods:
            assert where.open_handshake(subscribe()._replace(method=method)) is None
