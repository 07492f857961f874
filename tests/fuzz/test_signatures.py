"""Whatever a request is made of, every preset says verified or why not, and verifies nothing that isn't signed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz.effort import FUZZ
from fuzz.hostile import RAW, TEXT, spliced
from hookline.config import Scheme as Declaration
from hookline.config.presets import preset, preset_names
from hookline.edge.answers import Answer
from hookline.edge.schemes.event_keys import Envelope
from hookline.edge.schemes.incoming import Incoming
from hookline.edge.schemes.json_places import is_key
from hookline.edge.schemes.scheme import Scheme
from hookline.edge.schemes.verdict import Refusal, Verified
from unit.signer import NOW, Draft, Signer
from unit.signers import SIGNERS

QUERIES = ["", "?", "?a=%", "?a=1&a=2", "?bodySHA256=", "#x", "?\ud800", "?access_token=x"]
BODIES = RAW | st.recursive(st.none() | TEXT | st.integers(), st.lists).map(
    lambda value: json.dumps(value).encode()
)


def _signer(number: int) -> Signer:
    return SIGNERS[number]


EVERY = st.integers(0, len(SIGNERS) - 1).map(_signer)
SHAKING = [name for name in preset_names() if "handshakes" in preset(name)]


def signs_the_body(signer: Signer) -> bool:
    return "<body>" in signer.message or "<sha256>" in signer.message


@FUZZ
@given(signer=EVERY, data=st.data())
def test_a_request_out_of_splices_is_verified_only_if_it_is_the_genuine_one(
    signer: Signer, data: st.DataObject
) -> None:
    sample = signer.make(Draft(body=b'{"type":"a.b","id":"1"}'))
    headers = [(name, data.draw(spliced(value))) for name, value in sample.incoming.headers]
    body = data.draw(spliced(sample.incoming.body))
    url = sample.incoming.url + data.draw(st.sampled_from(QUERIES))
    altered = Incoming("POST", url, headers, body, NOW)
    verdict = signer.scheme().verify(altered)
    assert isinstance(verdict, Refusal | Verified)
    if isinstance(verdict, Verified) and signs_the_body(signer):
        assert body == sample.incoming.body


@FUZZ
@given(signer=EVERY, body=BODIES)
def test_whatever_is_in_a_verified_body_has_keys_or_none(signer: Signer, body: bytes) -> None:
    sample, scheme = signer.make(Draft(body=body)), signer.scheme()
    verified = scheme.verify(sample.incoming)
    assert isinstance(verified, Verified)
    context = scheme.context(sample.incoming, verified)
    envelope = scheme.read(context)
    assert envelope is None or isinstance(envelope, Envelope)
    if envelope is not None:
        assert all(map(is_key, envelope.dedup_key))
        assert "\0" not in envelope.type
    assert scheme.handshake(context) is None or isinstance(scheme.handshake(context), Answer | Refusal)


@pytest.mark.parametrize("name", SHAKING)
@FUZZ
@given(challenge=TEXT, token=TEXT, method=st.sampled_from(["GET", "OPTIONS"]))
def test_a_handshake_s_answer_holds_what_was_sent_and_nothing_that_breaks_out(
    name: str, challenge: str, token: str, method: str
) -> None:
    scheme = Scheme(
        Declaration(**preset(name)), [b"secret" * 8] if name != "discord" else (), verify_token=b"t"
    )
    value = challenge.encode("utf-8", "surrogateescape" if challenge.isascii() else "replace")
    headers = [(b"x-okta-verification-challenge", value), (b"webhook-request-origin", value)]
    url = f"https://h/v1/webhooks/x?hub.mode=subscribe&hub.challenge={challenge}&hub.verify_token={token}"
    answer = scheme.open_handshake(Incoming(method, url, headers, b"", NOW))
    assert answer is None or isinstance(answer, Answer | Refusal)
    if isinstance(answer, Answer):
        for line in answer.headers:
            assert not any(byte < 0x20 or byte > 0x7E for part in line for byte in part)
        if answer.content_type == b"application/json" and answer.body:
            assert isinstance(json.loads(answer.body), dict)
