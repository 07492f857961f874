"""HubSpot's signature v3, against its SDKs and its documentation."""

import hmac
import json
from base64 import b64encode
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookline import config
from hookline.config.presets import preset
from hookline.edge.schemes.event_keys import Envelope
from hookline.edge.schemes.incoming import Incoming
from hookline.edge.schemes.keys import WrongKey
from hookline.edge.schemes.plugins.hubspot import HubSpot
from hookline.edge.schemes.scheme import Scheme
from hookline.edge.schemes.verdict import Refusal, Verified
from hookline.errors import ConfigError
from unit.plugin_requests import NOW, with_header, without_one_bit

SECRET = b"yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"
URL = "https://hooks.example.com/v1/webhooks/hubspot"
PLUGIN = HubSpot([SECRET], {})
BODY = (
    '[{"eventId":1,"subscriptionId":12345,"portalId":62515,"occurredAt":1790000000000,"subscriptionType":'
    '"contact.creation","attemptNumber":0,"objectId":123,"note":"blåbær"}]'
).encode()


def signed(
    body: bytes = BODY, *, url: str = URL, signed_url: str | None = None, time: bytes = b"1790000000000"
) -> Incoming:
    text = b"POST" + (url if signed_url is None else signed_url).encode() + body + time
    headers = [
        (b"content-type", b"application/json"),
        (b"x-hubspot-signature-v3", b64encode(hmac.digest(SECRET, text, "sha256"))),
        (b"x-hubspot-request-timestamp", time),
    ]
    return Incoming("POST", url, headers, body, NOW)


def test_a_signature_of_the_sdks_verifies() -> None:
    # hubspot-api-client 12.0.0 and @hubspot/api-client both, with "...?to=a@b/c%20d" as the URL, which is decoded
    # before they are called.
    headers = [
        (b"x-hubspot-signature-v3", b"yfRczfFjhwaBewf/Mq12Lb2jb5KIXJuRxYIBd5UFIXM="),
        (b"x-hubspot-request-timestamp", b"1790000000000"),
    ]
    request = Incoming("POST", f"{URL}?to=a%40b%2Fc%20d", headers, BODY, NOW)
    assert PLUGIN.verify(request) == Verified()
    assert PLUGIN.verify(request._replace(url=f"{URL}?to=a@b/c%20d")) == Verified()


def test_exactly_the_documented_escapes_are_decoded() -> None:
    table = "%3A:%2F/%3F?%40@%21!%24$%27'%28(%29)%2A*%2C,%3B;"
    for place in range(0, len(table), 4):
        escape, decoded = table[place : place + 3], table[place + 3]
        assert PLUGIN.verify(signed(url=f"{URL}?a={escape}", signed_url=f"{URL}?a={decoded}")) == Verified()
        assert PLUGIN.verify(signed(url=f"{URL}?a={escape}")) is Refusal.BAD_SIGNATURE
    for kept in ("%20", "%25", "%26", "%2B", "%3D", "%C3%A5", "%3a", "%253A", "%23"):
        assert PLUGIN.verify(signed(url=f"{URL}?a={kept}")) == Verified()


@settings(deadline=None)
@given(body=st.binary(), milliseconds=st.integers(-300_000, 300_000))
def test_what_is_signed_verifies_within_five_minutes(body: bytes, milliseconds: int) -> None:
    assert PLUGIN.verify(signed(body, time=b"%d" % (NOW * 1000 + milliseconds))) == Verified()


@settings(max_examples=5, deadline=None)
@given(body=st.binary(min_size=1, max_size=40))
def test_any_flipped_bit_is_refused(body: bytes) -> None:
    headers = (b"x-hubspot-signature-v3", b"x-hubspot-request-timestamp")
    for altered in without_one_bit(signed(body), headers=headers, url=True):
        assert isinstance(PLUGIN.verify(altered), Refusal), altered
    assert PLUGIN.verify(signed(body)._replace(method="PUT")) is Refusal.BAD_SIGNATURE


def test_digits_that_move_between_body_and_timestamp_are_refused() -> None:
    genuine = signed(b"17")
    for body, time in ((b"171", b"790000000000"), (b"1", b"71790000000000"), (b"", b"171790000000000")):
        moved = with_header(genuine._replace(body=body), b"x-hubspot-request-timestamp", time)
        assert PLUGIN.verify(moved) in (Refusal.MALFORMED_TIMESTAMP, Refusal.STALE_TIMESTAMP)


@pytest.mark.parametrize(
    "time",
    [
        b"1790000000",
        b"1790000000000.5",
        b"+1790000000000",
        b"01790000000000",
        b" ",
        b"NaN",
        b"9" * 5000,
        b"\xb2",
    ],
)
def test_a_signed_timestamp_of_another_form_is_malformed(time: bytes) -> None:
    assert PLUGIN.verify(signed(time=time)) is Refusal.MALFORMED_TIMESTAMP


def test_old_and_future_timestamps_are_stale_and_the_source_may_say_when() -> None:
    for offset in (-300_001, 300_001):
        request = signed(time=b"%d" % (NOW * 1000 + offset))
        assert PLUGIN.verify(request) is Refusal.STALE_TIMESTAMP
        assert HubSpot([SECRET], {}, tolerance=timedelta(minutes=6)).verify(request) == Verified()
    strict = HubSpot([SECRET], {}, tolerance=timedelta(seconds=1))
    assert strict.verify(signed(time=b"1789999998000")) is Refusal.STALE_TIMESTAMP


def test_causes_are_told_apart() -> None:
    request = signed()
    signature, time = b"x-hubspot-signature-v3", b"x-hubspot-request-timestamp"
    right = request.header(signature) or b""
    assert PLUGIN.verify(with_header(request, signature)) is Refusal.MISSING_SIGNATURE
    assert PLUGIN.verify(with_header(request, signature, right, right)) is Refusal.MISSING_SIGNATURE
    assert PLUGIN.verify(with_header(request, signature, right[:-2])) is Refusal.MALFORMED_SIGNATURE
    assert PLUGIN.verify(with_header(request, time)) is Refusal.MISSING_TIMESTAMP
    assert (
        PLUGIN.verify(with_header(request, time, b"1790000000000", b"1790000000000"))
        is Refusal.MISSING_TIMESTAMP
    )


def test_the_older_signatures_do_not_verify() -> None:
    # The documentation's example of v2.
    headers = [
        (b"x-hubspot-signature-version", b"v2"),
        (b"x-hubspot-signature", b"eee2dddcc73c94d699f5e395f4b9d454a069a6855fbfa152e91e88823087200e"),
    ]
    request = Incoming("GET", "https://www.example.com/webhook_uri", headers, b"", NOW)
    assert PLUGIN.verify(request) is Refusal.MISSING_SIGNATURE


def test_any_of_several_secrets_verifies_and_mistakes_are_told() -> None:
    assert HubSpot([b"old", SECRET, b"new"], {}).verify(signed()) == Verified()
    assert HubSpot([], {}).verify(signed()) is Refusal.BAD_SIGNATURE
    with pytest.raises(WrongKey, match="must not be empty"):
        HubSpot([SECRET, b""], {})
    with pytest.raises(ConfigError, match=r"has no option 'version'; it has none\. Correct or remove it"):
        HubSpot([SECRET], {"version": "v2"})


def test_a_batch_is_known_by_its_first_event_and_a_retry_is_a_revision() -> None:
    scheme = Scheme(config.Scheme(**preset("hubspot")), [SECRET])

    def read(body: bytes) -> Envelope | None:
        return scheme.read(scheme.context(signed(body), Verified()))

    known = Envelope("contact.creation", ("62515", "12345", "1", "1790000000000"), "")
    assert read(BODY) == known
    first = json.loads(BODY)[0]
    assert read(json.dumps([{**first, "attemptNumber": 1}, {"eventId": 2}]).encode()) == known
    assert scheme.revisions
    assert read(b"[]") is None
