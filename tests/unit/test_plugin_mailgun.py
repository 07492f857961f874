"""Mailgun's signature of a token: what it protects, and what it doesn't."""

import hmac
import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookline import config
from hookline.config.presets import preset
from hookline.core.identity import join
from hookline.edge.schemes.event_keys import Envelope
from hookline.edge.schemes.incoming import Incoming
from hookline.edge.schemes.keys import WrongKey
from hookline.edge.schemes.plugins.mailgun import Mailgun
from hookline.edge.schemes.scheme import Scheme
from hookline.edge.schemes.verdict import Refusal, Verified
from hookline.errors import ConfigError
from unit.plugin_requests import NOW, flipped

KEY = b"key-3ax6xnjp29jd6fds4gc373sgvjxteol0"
PLUGIN = Mailgun([KEY], {})
TOKEN = "e0b5477167110d68991efc6b9f89f0a11066af27834600e123"
TIME = "1790000000"
EVENT = {"event": "delivered", "id": "x", "message": {"headers": {"message-id": "a@example.com"}}}


def sign(time: str = TIME, token: str = TOKEN, key: bytes = KEY) -> str:
    return hmac.digest(key, (time + token).encode("utf-8", "surrogatepass"), "sha256").hex()


def request(**signature: Any) -> Incoming:
    body = json.dumps({"signature": signature, "event-data": EVENT}).encode()
    return Incoming("POST", "https://hooks.example.com/", [(b"content-type", b"application/json")], body, NOW)


def signed(time: str = TIME, token: str = TOKEN) -> Incoming:
    return request(timestamp=time, token=token, signature=sign(time, token))


def test_a_signature_that_the_sdk_accepts_verifies_and_the_token_is_the_id() -> None:
    # SecurityGuard.verify_webhook of mailgun 1.10.0 (PyPI).
    right = "3d51c90ca3297ba8c6ad39069856257b8cd200626271f9959b3ecf608e9d947b"
    assert PLUGIN.verify(request(timestamp=TIME, token=TOKEN, signature=right)) == Verified(TOKEN)
    assert PLUGIN.verify(request(timestamp=1790000000, token=TOKEN, signature=right)) == Verified(TOKEN)


@settings(deadline=None)
@given(token=st.from_regex(r"[0-9A-Za-z]{50}", fullmatch=True), seconds=st.integers(-9 * 3600, 300))
def test_what_is_signed_verifies_for_nine_hours(token: str, seconds: int) -> None:
    assert PLUGIN.verify(signed(str(int(NOW) + seconds), token)) == Verified(token)


@settings(max_examples=5, deadline=None)
@given(token=st.from_regex(r"[0-9A-Za-z]{50}", fullmatch=True))
def test_any_flipped_bit_of_signature_token_or_timestamp_is_refused(token: str) -> None:
    genuine = signed(token=token)
    for part in (token, TIME, sign(token=token)):
        for altered in flipped(part.encode()):
            body = genuine.body.replace(part.encode(), altered)
            assert isinstance(PLUGIN.verify(genuine._replace(body=body)), Refusal), altered


@settings(deadline=None)
@given(moved=st.integers(1, 9))
def test_digits_that_move_between_timestamp_and_token_are_refused(moved: int) -> None:
    right = sign()
    shorter, longer = TIME[:-moved], TIME[-moved:] + TOKEN
    assert PLUGIN.verify(request(timestamp=shorter, token=longer, signature=right)) is Refusal.MISSING_ID
    longer, shorter = TIME + TOKEN[:moved], TOKEN[moved:]
    assert PLUGIN.verify(request(timestamp=longer, token=shorter, signature=right)) is Refusal.MISSING_ID


def test_the_body_is_not_protected_but_a_token_counts_once() -> None:
    scheme = Scheme(config.Scheme(**preset("mailgun")), [KEY])

    def read(incoming: Incoming) -> Envelope | None:
        verdict = scheme.verify(incoming)
        assert isinstance(verdict, Verified)
        return scheme.read(scheme.context(incoming, verdict))

    genuine = signed()
    assert read(genuine) == Envelope("delivered", (TOKEN,), join(("a@example.com",)))
    for event in (b'"failed"', b"1", b"null", b'""', b'"\\ud800"'):
        forged = read(genuine._replace(body=genuine.body.replace(b'"delivered"', event)))
        assert forged is not None
        assert forged.dedup_key == (TOKEN,)
    assert not scheme.revisions


def test_names_that_are_there_twice_are_refused() -> None:
    body = signed().body.replace(b'"token"', b'"token": "x", "token"')
    assert PLUGIN.verify(signed()._replace(body=body)) is Refusal.MISSING_SIGNATURE


def test_the_primary_account_s_signature_verifies_a_subaccount_s_webhook_and_neither_hides_the_other() -> (
    None
):
    wrong = sign(key=b"of the subaccount")
    for parts in (
        {"signature": wrong, "parent-signature": sign()},
        {"signature": sign(), "parent-signature": wrong},
        {"signature": "junk", "parent-signature": sign()},
        {"signature": sign(), "parent-signature": None},
        {"parent-signature": sign()},
    ):
        assert PLUGIN.verify(request(timestamp=TIME, token=TOKEN, **parts)) == Verified(TOKEN)
    both_wrong = request(timestamp=TIME, token=TOKEN, signature=wrong, **{"parent-signature": wrong})
    assert PLUGIN.verify(both_wrong) is Refusal.BAD_SIGNATURE


def test_old_and_future_timestamps_are_stale_and_the_source_may_say_when() -> None:
    past, future = str(int(NOW) - 9 * 3600 - 1), str(int(NOW) + 301)
    assert PLUGIN.verify(signed(past)) is Refusal.STALE_TIMESTAMP
    assert PLUGIN.verify(signed(future)) is Refusal.STALE_TIMESTAMP
    assert Mailgun([KEY], {}, tolerance=timedelta(hours=10)).verify(signed(past)) == Verified(TOKEN)
    assert (
        Mailgun([KEY], {}, tolerance=timedelta(minutes=1)).verify(signed("1789999939"))
        is Refusal.STALE_TIMESTAMP
    )


@pytest.mark.parametrize(
    "time", ["1790000000.5", "+1790000000", "01790000000", "²", " ", "NaN", "9" * 5000, "\ud800"]
)
def test_a_signed_timestamp_of_another_form_is_malformed(time: str) -> None:
    assert PLUGIN.verify(signed(time)) is Refusal.MALFORMED_TIMESTAMP


def test_causes_are_told_apart() -> None:
    right = sign()
    for parts, cause in (
        ({}, Refusal.MISSING_SIGNATURE),
        ({"signature": ""}, Refusal.MISSING_SIGNATURE),
        ({"signature": ["x"]}, Refusal.MISSING_SIGNATURE),
        ({"signature": right.upper()}, Refusal.MALFORMED_SIGNATURE),
        ({"signature": right[:-1]}, Refusal.MALFORMED_SIGNATURE),
        ({"signature": "\ud800"}, Refusal.MALFORMED_SIGNATURE),
        ({"signature": right}, Refusal.MISSING_ID),
        ({"signature": right, "token": TOKEN[:-1] + "\n"}, Refusal.MISSING_ID),
        ({"signature": right, "token": TOKEN + "\n"}, Refusal.MISSING_ID),
        ({"signature": right, "token": TOKEN}, Refusal.MISSING_TIMESTAMP),
        ({"signature": right, "token": TOKEN, "timestamp": 1.79e9}, Refusal.MISSING_TIMESTAMP),
        ({"signature": right[:-2], "token": TOKEN, "timestamp": TIME}, Refusal.BAD_SIGNATURE),
    ):
        assert PLUGIN.verify(request(**parts)) is cause, parts


def test_any_of_several_keys_verifies_and_mistakes_are_told() -> None:
    assert Mailgun([b"old", KEY], {}).verify(signed()) == Verified(TOKEN)
    assert Mailgun([], {}).verify(signed()) is Refusal.BAD_SIGNATURE
    with pytest.raises(WrongKey, match="must not be empty"):
        Mailgun([b""], {})
    with pytest.raises(ConfigError, match="has no option 'tolerance'"):
        Mailgun([KEY], {"tolerance": "1h"})
