"""Twilio's signature: the SDKs' verdicts, and what is stricter than theirs."""

import hmac
from base64 import b64encode
from collections.abc import Sequence
from datetime import timedelta
from hashlib import sha256
from urllib.parse import parse_qsl, quote, unquote_to_bytes, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookline import config
from hookline.config.presets import preset
from hookline.edge.schemes.event_keys import Envelope
from hookline.edge.schemes.incoming import Incoming
from hookline.edge.schemes.keys import WrongKey
from hookline.edge.schemes.plugins.twilio import Twilio, _unescape
from hookline.edge.schemes.scheme import Scheme
from hookline.edge.schemes.verdict import Refusal, Verified
from hookline.errors import ConfigError
from unit.plugin_requests import NOW, with_header, without_one_bit
from vectors.vectors import Vector, ambiguous, vectors

TOKEN = b"12345"
URL = "https://hooks.example.com/v1/webhooks/twilio"
PLUGIN = Twilio([TOKEN], {})
ACCEPTED = {
    "form-port-443-signed-not-sent",
    "form-port-443-sent-not-signed",
    "form-port-8443-sent-not-signed",
    "form-name-value-shift",
    "form-repeat-collapsed",
}
"""Of what is ambiguous: the preset says why."""


def sign(
    url: str, fields: Sequence[tuple[str, str]] = (), key: bytes = TOKEN, algorithm: str = "sha1"
) -> bytes:
    text = url + "".join(name + value for name, value in sorted(set(fields)))
    return b64encode(hmac.digest(key, text.encode(), algorithm))


def form(fields: Sequence[tuple[str, str]], url: str = URL, signature: bytes | None = None) -> Incoming:
    headers = [
        (b"content-type", b"application/x-www-form-urlencoded"),
        (b"x-twilio-signature", sign(url, fields) if signature is None else signature),
    ]
    return Incoming("POST", url, headers, urlencode(fields).encode(), NOW)


def json_request(body: bytes, url: str | None = None, content_type: bytes = b"application/json") -> Incoming:
    url = f"{URL}?bodySHA256={sha256(body).hexdigest()}" if url is None else url
    return Incoming(
        "POST", url, [(b"content-type", content_type), (b"x-twilio-signature", sign(url))], body, NOW
    )


def is_verified(incoming: Incoming, plugin: Twilio = PLUGIN) -> bool:
    verdict = plugin.verify(incoming)
    assert isinstance(verdict, Verified | Refusal)
    return isinstance(verdict, Verified)


def request_of(vector: Vector) -> Incoming:
    headers = [(name.lower(), value.strip()) for name, value in vector.headers]
    return Incoming(vector.method, vector.url, headers, vector.body, vector.now)


@pytest.mark.parametrize("vector", vectors("twilio"), ids=str)
def test_a_shared_vector_is_judged_as_by_the_sdks(vector: Vector) -> None:
    assert is_verified(request_of(vector), Twilio([vector.secret.encode()], {})) is vector.is_valid


@pytest.mark.parametrize("vector", ambiguous("twilio"), ids=str)
def test_what_is_ambiguous_is_decided(vector: Vector) -> None:
    assert is_verified(request_of(vector), Twilio([vector.secret.encode()], {})) is (vector.name in ACCEPTED)


def test_a_shared_key_verifies_only_where_the_source_says_that_it_is_one() -> None:
    (vector,) = (one for one in ambiguous("twilio") if one.name == "form-sha256-shared-key")
    secret = [vector.secret.encode()]
    assert is_verified(request_of(vector), Twilio(secret, {"algorithm": "hmac-sha256"}))
    assert not is_verified(request_of(vector), Twilio(secret, {"algorithm": "hmac-sha1"}))
    # An auth token isn't taken for a SharedKey by a header that nobody signed.
    fields = [("A", "1")]
    forged = form(fields, signature=sign(URL, fields, algorithm="sha256"))
    header = b"key=webhooks_sharedkey_x,algorithm=HMAC_SHA256"
    assert not is_verified(with_header(forged, b"x-twilio-webhooks-signature-settings", header))


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
FIELDS = st.lists(st.tuples(TEXT, TEXT), max_size=8)


@settings(deadline=None)
@given(fields=FIELDS)
def test_what_is_signed_verifies_in_any_order_and_spelling(fields: list[tuple[str, str]]) -> None:
    genuine = form(fields)
    assert is_verified(genuine)
    assert is_verified(genuine._replace(body=urlencode(fields[::-1], quote_via=quote).encode()))
    all_escaped = "&".join(f"{escaped(name)}={escaped(value)}" for name, value in fields)
    assert is_verified(genuine._replace(body=all_escaped.encode()))


def escaped(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode())


@settings(deadline=None)
@given(body=st.binary(max_size=200))
def test_a_body_with_its_hash_in_the_signed_url_verifies(body: bytes) -> None:
    assert is_verified(json_request(body))


def fields_of(body: bytes) -> list[tuple[str, str]]:
    return parse_qsl(body.decode("latin-1"), keep_blank_values=True, encoding="latin-1")


@settings(max_examples=5, deadline=None)
@given(value=TEXT)
def test_any_flipped_bit_is_refused_unless_it_means_the_same(value: str) -> None:
    genuine = form([("From", "+15551234567"), ("Body", value)], f"{URL}?a=1")
    for altered in without_one_bit(genuine, headers=(b"x-twilio-signature",), url=True):
        if altered.body != genuine.body and fields_of(altered.body) == fields_of(genuine.body):
            continue  # the case of an escape's letters
        assert not is_verified(altered), altered


def test_any_flipped_bit_of_a_json_request_is_refused() -> None:
    for altered in without_one_bit(json_request(b'{"id":"EZ1"}'), headers=(b"x-twilio-signature",), url=True):
        assert not is_verified(altered), altered


def test_a_signed_request_whose_body_was_taken_away_is_refused_as_a_form_too() -> None:
    genuine = json_request(b'{"id":"EZ1"}')
    emptied = genuine._replace(body=b"")
    assert is_verified(genuine)
    assert not is_verified(emptied)
    # Twilio's SDKs accept this one.
    assert not is_verified(with_header(emptied, b"content-type", b"application/x-www-form-urlencoded"))
    assert not is_verified(emptied._replace(method="GET"))


@pytest.mark.parametrize(
    "content_type",
    [b"application/json", b"text/plain", b"multipart/form-data", b"", b"application/x-www-form"],
)
def test_a_body_that_is_no_form_and_has_no_hash_is_refused_though_the_url_is_signed(
    content_type: bytes,
) -> None:
    for body in (b"{}", b"", b"A=1"):
        assert not is_verified(json_request(body, URL, content_type))


def test_a_get_has_all_in_its_url_and_no_body() -> None:
    url = f"{URL}?CallSid=CA1"
    get = Incoming("GET", url, [(b"x-twilio-signature", sign(url))], b"", NOW)
    assert is_verified(get)
    assert not is_verified(get._replace(body=b"x"))
    assert not is_verified(get._replace(method="POST"))


def test_a_hash_that_is_there_twice_escaped_or_in_capitals_is_refused() -> None:
    hash_ = sha256(b"{}").hexdigest()
    for query in (
        f"bodySHA256={hash_}&bodySHA256={hash_}",
        f"bodySHA256={hash_.upper()}",
        f"bodySHA256={hash_}+",
        f"%62odySHA256={hash_}",
        f"bodysha256={hash_}",
        "bodySHA256",
        "bodySHA256=%ff",
        "bodySHA256=²",
    ):
        assert not is_verified(json_request(b"{}", f"{URL}?{query}")), query


@pytest.mark.parametrize(
    ("signed", "called"),
    [
        ("https://h.example.com:443/x?a=1", "https://h.example.com/x?a=1"),
        ("https://h.example.com/x", "https://h.example.com:443/x"),
        ("https://h.example.com/x", "https://h.example.com:8443/x"),
        ("http://h.example.com:80", "http://h.example.com"),
        ("https://[2001:db8::1]:443/x", "https://[2001:db8::1]/x"),
        ("https://[2001:db8::1]/x", "https://[2001:db8::1]:443/x"),
    ],
)
def test_the_url_is_tried_with_and_without_its_port(signed: str, called: str) -> None:
    fields = [("A", "1")]
    assert is_verified(form(fields, called, sign(signed, fields)))
    assert not is_verified(form(fields, called.replace("/x", "/y") + "#", sign(signed, fields)))


def test_another_port_than_the_one_called_is_not_tried() -> None:
    assert not is_verified(form([], "https://h.example.com:444/x", sign("https://h.example.com:443/x")))
    assert not is_verified(form([], "https://h.example.com/x", sign("https://h.example.com:80/x")))


def test_fields_that_twilio_does_not_write_are_refused() -> None:
    genuine = form([("A", "1"), ("B", "")])
    assert is_verified(genuine)
    for body in (b"A=1&B", b"A=1&B=&", b"&A=1&B=", b"A=1&&B=", b"A=1;B=", b"A=%31%&B=", b"A=1&B=%"):
        assert not is_verified(genuine._replace(body=body)), body


def test_very_many_fields_are_refused_before_they_are_read() -> None:
    assert is_verified(form([(str(number), "") for number in range(2_000)]))
    assert not is_verified(form([(str(number), "") for number in range(2_001)]))


@settings(deadline=None)
@given(
    pieces=st.lists(
        st.binary(max_size=3).filter(lambda text: b"%" not in text) | st.just(b"%3D") | st.just(b"%0a")
    )
)
def test_escapes_are_decoded_as_the_standard_library_does(pieces: list[bytes]) -> None:
    text = b"".join(pieces)
    assert _unescape(text) == unquote_to_bytes(text)


def test_any_of_several_tokens_verifies_and_none_verifies_nothing() -> None:
    request = form([("A", "1")])
    assert is_verified(request, Twilio([b"old", TOKEN, b"new"], {}))
    assert not is_verified(request, Twilio([b"old"], {}))
    assert not is_verified(request, Twilio([], {}))


def test_causes_are_told_apart() -> None:
    request = form([("A", "1")])
    causes = [
        PLUGIN.verify(with_header(request, b"x-twilio-signature", *values))
        for values in ([], [b""], [sign(URL)] * 2, [b"not base64"], [sign(URL)[:-1]], [sign(URL)])
    ]
    assert causes == [
        *[Refusal.MISSING_SIGNATURE] * 3,
        *[Refusal.MALFORMED_SIGNATURE] * 2,
        Refusal.BAD_SIGNATURE,
    ]


def test_mistakes_are_told_with_how_to_mend_them() -> None:
    with pytest.raises(WrongKey, match="must not be empty"):
        Twilio([b""], {})
    with pytest.raises(ConfigError, match="has no option 'algoritm'; it knows algorithm"):
        Twilio([TOKEN], {"algoritm": "hmac-sha256"})
    with pytest.raises(ConfigError, match="write hmac-sha1 or hmac-sha256, or leave it out"):
        Twilio([TOKEN], {"algorithm": "md5"})
    with pytest.raises(ConfigError, match="no signed timestamp to judge; remove the setting"):
        Twilio([TOKEN], {}, tolerance=timedelta(minutes=1))


SCHEME = Scheme(config.Scheme(**preset("twilio")), [TOKEN])


def read(incoming: Incoming) -> Envelope:
    verdict = SCHEME.verify(incoming)
    assert isinstance(verdict, Verified)
    envelope = SCHEME.read(SCHEME.context(incoming, verdict))
    assert envelope is not None
    return envelope


def test_a_form_is_known_by_what_is_signed_whatever_else_is_altered() -> None:
    fields = [("MessageSid", "SM1"), ("MessageStatus", "sent")]
    genuine = form(fields)
    key = read(genuine).dedup_key
    reordered = genuine._replace(body=urlencode(fields[::-1]).encode())
    assert read(with_header(reordered, b"i-twilio-idempotency-token", b"another")).dedup_key == key
    for port in (":443", ":8443"):
        assert read(form(fields, URL.replace(".com", f".com{port}"))).dedup_key == key
    assert read(form([("MessageSid", "SM1"), ("MessageStatus", "delivered")])).dedup_key != key
    assert read(genuine) == Envelope("message.sent", key, "3:SM1,")


def test_a_cloud_event_is_known_by_its_id_and_named_by_its_type() -> None:
    body = b'{"specversion":"1.0","type":"com.twilio.messaging.message.sent","id":"EZ1"}'
    assert read(json_request(body)) == Envelope("com.twilio.messaging.message.sent", ("EZ1",), "")
    batch = read(json_request(b"[" + body + b"]"))
    assert batch.type == "webhook"
    assert len(batch.dedup_key[0]) == 64


def test_the_answers_are_twilio_s() -> None:
    assert SCHEME.takes(b"application/x-www-form-urlencoded; charset=UTF-8")
    refusal = SCHEME.refusal(Refusal.BAD_SIGNATURE)
    assert (refusal.status, refusal.outcome) == (403, "bad_signature")
    assert not SCHEME.revisions
