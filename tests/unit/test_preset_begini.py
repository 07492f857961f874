"""Begini's keys: what tells its events apart, names and orders them."""

import hashlib
import hmac
import json

from hypothesis import given
from hypothesis import strategies as st

from hookline.config import Scheme as Declared
from hookline.config.presets import preset
from hookline.core.identity import join
from hookline.edge.schemes.event_keys import Envelope
from hookline.edge.schemes.incoming import Incoming
from hookline.edge.schemes.scheme import Scheme
from hookline.edge.schemes.verdict import Refusal, Verified

KEY = b"current-key"
SCHEME = Scheme(Declared(**preset("begini")), [KEY])


def read(body: bytes) -> Envelope | None:
    incoming = Incoming("POST", "", [], body, 0)
    return SCHEME.read(SCHEME.context(incoming, Verified()))


@given(body=st.binary())
def test_any_body_is_read_or_not_and_never_an_error(body: bytes) -> None:
    envelope = read(body)
    assert envelope is None or envelope.ordering_key


FIELD = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=60)


@given(uid=FIELD, integration=FIELD, type_=FIELD)
def test_keys_are_the_envelope_s_three_fields_and_order_is_by_applicant(
    uid: str, integration: str, type_: str
) -> None:
    envelope = read(
        json.dumps({"uid": uid, "integration_id": integration, "event": {"type": type_}}).encode()
    )
    assert envelope == Envelope(type_, (integration, uid, type_), join((integration, uid)))


def test_the_same_key_with_another_body_is_a_revision() -> None:
    assert SCHEME.revisions


def test_a_refusal_is_answered_as_in_begini_s_own_example() -> None:
    answer = SCHEME.refusal(Refusal.BAD_SIGNATURE)
    assert (answer.status, json.loads(answer.body)) == (403, {"detail": "Validation Failure"})


def test_older_pages_name_another_header_and_hash() -> None:
    signatures = [{"algorithm": "hmac-sha256", "at": "header:X-Begini-Signature"}]
    older = Scheme(Declared.model_validate({"extends": "begini", "signatures": signatures}), [KEY])
    right = hmac.new(KEY, b"{}", hashlib.sha256).hexdigest().encode()
    assert older.verify(Incoming("POST", "", [(b"x-begini-signature", right)], b"{}", 0)) == Verified()
    verdict = older.verify(Incoming("POST", "", [(b"x-signature", right)], b"{}", 0))
    assert verdict is Refusal.MISSING_SIGNATURE
