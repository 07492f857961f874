"""What an attacker with a captured webhook, or none at all, may not get out of a scheme."""

import gzip
import hmac
import re
import zlib
from base64 import b64encode
from collections.abc import Callable
from time import thread_time
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError

from hookline.config import Scheme as Declared
from hookline.config import Settings
from hookline.config.presets import preset
from hookline.config.secret_text import clean
from hookline.edge.judgement import Genuine, Refused, judge
from hookline.edge.rejections.mask import mask_of
from hookline.edge.schemes.incoming import Incoming
from hookline.edge.schemes.keys import WrongKey
from hookline.edge.schemes.scheme import Scheme
from hookline.edge.schemes.verdict import Refusal, Verified
from hookline.edge.source import build
from hookline.errors import ConfigError

NOW = 1_790_000_000
MEBIBYTE = 1024 * 1024
SIGNED = {"algorithm": "hmac-sha256", "at": "header:X-Sig"}
ORACLE = '{"r":"{challenge:hmac-sha256-hex}"}'
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(32))
PUBLIC = PRIVATE.public_key().public_bytes_raw()
LONGEST_STALL = 0.05
"""Seconds for which others may wait for one request."""


def declared(**settings: Any) -> Declared:
    return Declared.model_validate({"signatures": [SIGNED], **settings})


def mistake(**settings: Any) -> str:
    with pytest.raises(ValidationError) as error:
        declared(**settings)
    return str(error.value)


def shipped(name: str, *secrets: bytes) -> Scheme:
    return Scheme(Declared.model_validate(preset(name)), secrets)


def post(body: bytes, **headers: bytes) -> Incoming:
    lines = [(name.replace("_", "-").encode(), value) for name, value in headers.items()]
    return Incoming("POST", "https://hooks.example.com/v1/webhooks/x", lines, body, NOW)


def sign(message: bytes, key: bytes = b"key") -> bytes:
    return hmac.digest(key, message, "sha256").hex().encode()


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
@pytest.mark.parametrize(
    "answer", [{"body": ORACLE}, {"headers": {"X-Proof": "{challenge:hmac-sha256-hex}"}}]
)
def test_nobody_may_have_signed_what_he_likes(method: str, answer: dict[str, Any]) -> None:
    shake = {"method": method, "signed": False, "challenge": "query:c", "answer": answer}
    assert "would sign with the secret whatever anybody asks for" in mistake(handshakes=[shake])


def test_a_handshake_that_would_never_be_answered_is_a_mistake() -> None:
    shake = {"method": "GET", "challenge": "query:c", "answer": {"body": "{challenge}"}}
    assert "a GET isn't verified, so it would never be answered" in mistake(handshakes=[shake])


@pytest.mark.parametrize(
    "content_type", ["text/html", "Text/HTML; charset=utf-8", "image/svg+xml", "text/xml"]
)
def test_no_browser_is_shown_a_page_that_somebody_else_wrote(content_type: str) -> None:
    answer = {"content_type": content_type, "body": "{challenge}"}
    shake = {"method": "GET", "signed": False, "challenge": "query:c", "answer": answer}
    assert "would show a browser what somebody else wrote" in mistake(handshakes=[shake])


@pytest.mark.parametrize("dedup", [["header:X-Id"], ["json:/id", "query:id"], [["json:/a", "header:X-Id"]]])
def test_a_key_that_isn_t_signed_can_t_make_a_duplicate(dedup: list[Any]) -> None:
    event = {"dedup": dedup, "type": ["text:x"]}
    assert 'set event.repeat = "revision"' in mistake(event=event)
    assert declared(event={**event, "repeat": "revision"}).event.repeat == "revision"


@pytest.mark.parametrize(
    ("signature", "dedup"),
    [
        ({"template": "{header:X-Id}.{body}"}, "header:x-id"),
        ({"template": "{id}.{body}", "id": "header:X-Id"}, "header:X-Id"),
        ({"template": "{url}{body}"}, "query:id"),
        ({"template": "{query:id}{body}"}, "query:id"),
        ({"algorithm": "token"}, "header:X-Id"),
    ],
)
def test_a_key_that_is_signed_or_as_good_as_the_token_can(signature: dict[str, str], dedup: str) -> None:
    assert declared(signatures=[{**SIGNED, **signature}], event={"dedup": [dedup], "type": ["text:x"]})


def test_an_id_that_is_signed_nowhere_tells_no_events_apart() -> None:
    event = {"dedup": ["id"], "type": ["text:x"]}
    assert "event.dedup names the signed id" in mistake(event=event)
    assert declared(event={**event, "dedup": ["id", "body"]})


def test_who_knows_a_public_key_signs_nothing_with_it() -> None:
    public = {"algorithm": "ed25519", "at": "header:X-Public", "key": {"encoding": "hex"}}
    both = declared(signatures=[SIGNED, public])
    with pytest.raises(WrongKey, match="may be a public key or a shared one") as error:
        Scheme(both, [PUBLIC.hex().encode()])
    assert PUBLIC.hex() not in str(error.value)
    told_apart = declared(signatures=[SIGNED, {**public, "key": {"encoding": "hex", "prefix": "pk_"}}])
    with pytest.raises(WrongKey):
        Scheme(told_apart, [b"pk_" + PUBLIC.hex().encode()])
    for name in ("standard-webhooks", "svix"):
        assert shipped(name, b"whpk_" + b64encode(PUBLIC), b"whsec_" + b64encode(bytes(32)))


@pytest.mark.parametrize("secrets", [[], [b"key"]])
def test_whoever_is_let_in_needs_neither_header_nor_secret(secrets: list[bytes]) -> None:
    anybody = declared(unsafe=True, signatures=[{"algorithm": "none"}])
    assert Scheme(anybody, secrets).verify(post(b"{}")) == Verified()


@pytest.mark.parametrize("blank", [b" ", b"\t\n", b"\n \r\n", b"\xef\xbb\xbf  "])
def test_a_blank_secret_is_none(blank: bytes) -> None:
    with pytest.raises(ValueError, match="is empty"):
        clean(blank)


def test_a_body_s_beginning_can_t_become_the_id_s_end() -> None:
    scheme = shipped("standard-webhooks", b"whsec_" + b64encode(b"key"))
    body = b'{"note":"x.%d.[1]"}' % NOW
    message = b"msg_1.%d.%b" % (NOW, body)
    right = b"v1," + b64encode(hmac.digest(b"key", message, "sha256"))
    genuine = post(body, webhook_id=b"msg_1", webhook_timestamp=b"%d" % NOW, webhook_signature=right)
    assert isinstance(scheme.verify(genuine), Verified)
    start, _, rest = message.rpartition(b".%d." % NOW)
    shifted = post(rest, webhook_id=start, webhook_timestamp=b"%d" % NOW, webhook_signature=right)
    assert b"%b.%d.%b" % (start, NOW, rest) == message
    assert scheme.verify(shifted) == Refusal.BAD_SIGNATURE


HOSTILE = b'{"a":"\\ud800","z":[' + b"[]," * (MEBIBYTE // 3) + b"1]}"


def forged(name: str) -> tuple[Scheme, Incoming]:
    """What takes longest to refuse, of the largest size."""
    if name == "linear":
        return shipped(name, b"key"), post(HOSTILE, linear_signature=b"ab" * 32)
    signatures = b" ".join([b"v1a," + b64encode(PRIVATE.sign(b"%d" % number)) for number in range(64)])
    headers = {"webhook_id": b"m", "webhook_timestamp": b"%d" % NOW, "webhook_signature": signatures}
    return shipped(name, b"whpk_" + b64encode(PUBLIC)), post(b"x" * MEBIBYTE, **headers)


@pytest.mark.parametrize("name", ["linear", "standard-webhooks"])
def test_a_forged_request_keeps_nobody_waiting(name: str) -> None:
    scheme, incoming = forged(name)
    fastest = 1.0
    for _ in range(5):
        began = thread_time()
        assert scheme.verify(incoming) == Refusal.BAD_SIGNATURE
        fastest = min(fastest, thread_time() - began)
    assert fastest < LONGEST_STALL


@pytest.mark.parametrize(("name", "field"), [("twilio", b"a"), ("slack", b"payload")])
def test_a_long_form_is_not_decoded_to_find_one_field(name: str, field: bytes) -> None:
    scheme = shipped(name, b"key")
    body = field + b"=" + b"%22" * (MEBIBYTE // 3)
    incoming = post(body, content_type=b"application/x-www-form-urlencoded")
    fastest = 1.0
    for _ in range(5):
        began = thread_time()
        assert scheme.read(scheme.context(incoming, Verified("id"))) is not None
        fastest = min(fastest, thread_time() - began)
    assert fastest < LONGEST_STALL


def test_a_very_long_ordering_key_is_shortened_and_still_its_own() -> None:
    scheme = Scheme(
        declared(event={"dedup": ["body"], "type": ["text:x"], "ordering_key": [["json:/a", "json:/b"]]})
    )
    keys = []
    for a, b in (("吉" * 512, "祥" * 512), ("吉" * 512, "祥" * 511), ("a", "b")):
        incoming = post(f'{{"a":"{a}","b":"{b}"}}'.encode())
        envelope = scheme.read(scheme.context(incoming, Verified()))
        assert envelope is not None
        keys.append(envelope.ordering_key)
    assert keys[2] == "1:a,1:b,"
    assert all(re.fullmatch("sha256:[0-9a-f]{64}", key) for key in keys[:2])
    assert keys[0] != keys[1]


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (
            {"tolerance": "5m"},
            "x.tolerance: its scheme has no signed timestamp, so it changes nothing; leave it out",
        ),
        ({"options": {"a": "b"}}, "x.options: its scheme has no plugin, so it changes nothing; leave it out"),
        (
            {"verify_token": "env:A"},
            "x.verify_token: no handshake of its scheme repeats one, so it changes nothing",
        ),
        ({"scheme": "open"}, "x.secrets: its scheme lets everybody in, so it changes nothing; leave it out"),
    ],
)
def test_a_setting_that_changes_nothing_is_a_mistake(source: dict[str, Any], says: str) -> None:
    whole = {"scheme": "github", "secrets": ["env:A"], **source}
    schemes = {"open": {"unsafe": True, "signatures": [{"algorithm": "none"}]}}
    settings = Settings.model_validate({"sources": {"x": whole}, "schemes": schemes})
    with pytest.raises(ConfigError) as error:
        build(settings, {"x": [b"key"]})
    assert str(error.value).startswith(f"sources.{says}")


def test_a_media_type_is_written_in_any_case_and_without_parameters() -> None:
    assert declared(content_types=["Application/JSON"]).content_types == ("application/json",)
    assert "String should match pattern" in mistake(content_types=["application/json; charset=utf-8"])


def test_a_body_s_beginning_can_t_become_the_end_of_hubspot_s_url() -> None:
    scheme = shipped("hubspot", b"key")
    url, body, stamp = "https://hooks.example.com/x?a=b", b'[{"note":"x"}]', b"%d000" % NOW
    message = b"POST" + url.encode() + body + stamp
    right = b64encode(hmac.digest(b"key", message, "sha256"))
    genuine = post(body, x_hubspot_signature_v3=right, x_hubspot_request_timestamp=stamp)._replace(url=url)
    assert isinstance(scheme.verify(genuine), Verified)
    for moved in range(2, len(body)):
        shifted = genuine._replace(url=url + body[:moved].decode(), body=body[moved:])
        assert scheme.verify(shifted) == Refusal.BAD_SIGNATURE


def test_a_verify_token_s_header_is_masked_whatever_it_is_called() -> None:
    shake = {"method": "GET", "signed": False, "verify_token": "header:X-Word", "answer": {}}
    assert "canary" not in mask_of(declared(handshakes=[shake])).headers([(b"x-word", b"canary")])


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_a_packed_webhook_is_no_other_event_without_its_header(pack: Callable[[bytes], bytes]) -> None:
    source = {"scheme": "typeform", "secrets": ["env:A"], "content_encodings": ["gzip", "deflate"]}
    x = build(Settings.model_validate({"sources": {"x": source}}), {"x": [b"key"]})["x"]
    wire = pack(b'{"event_id":"1","event_type":"t"}')
    right = b"sha256=" + b64encode(hmac.digest(b"key", wire, "sha256"))
    name = b"gzip" if pack is gzip.compress else b"deflate"
    genuine = post(wire, typeform_signature=right, content_encoding=name)
    assert isinstance(judge(x, genuine, shards=1, traceparent="", judge_schema=lambda *_: None), Genuine)
    bare = post(wire, typeform_signature=right)
    judged = judge(x, bare, shards=1, traceparent="", judge_schema=lambda *_: None)
    assert isinstance(judged, Refused)
    assert judged.answer.outcome == "undecodable_body"
