"""Begini's signature and keys: the right bytes verify, and nothing else does."""

import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.config import Source
from hookline.edge.schemes.begini import Begini
from hookline.edge.schemes.hmac_header import HmacHeader
from vectors.vectors import Vector, begini

KEY = b"current-key"
SOURCE = Source(scheme="begini", secrets=("env:X",))
SCHEME = Begini(SOURCE, [KEY])


def sign(body: bytes, key: bytes = KEY, algorithm: Any = hashlib.sha512) -> bytes:
    return hmac.new(key, body, algorithm).hexdigest().encode()


@pytest.mark.parametrize("vector", begini(), ids=lambda vector: vector.name)
def test_a_shared_vector_is_judged_as_by_its_oracle(vector: Vector) -> None:
    scheme = Begini(SOURCE, [vector.secret.encode()])
    headers = [(name.lower(), value) for name, value in vector.headers]
    assert scheme.verifies(headers, vector.body) is vector.is_valid


def test_the_vectors_hold_both_verdicts_and_a_large_body() -> None:
    verdicts = [vector.is_valid for vector in begini()]
    assert (verdicts.count(True), verdicts.count(False)) == (23, 51)
    assert max(len(vector.body) for vector in begini()) > 100_000


@given(body=st.binary(), key=st.binary(min_size=1, max_size=300))
def test_what_is_signed_verifies(body: bytes, key: bytes) -> None:
    assert Begini(SOURCE, [key]).verifies([(b"x-signature", sign(body, key))], body)


@given(body=st.binary(min_size=1), data=st.data())
def test_any_flipped_bit_of_the_body_is_refused(body: bytes, data: st.DataObject) -> None:
    bit = data.draw(st.integers(0, len(body) * 8 - 1))
    flipped = bytearray(body)
    flipped[bit // 8] ^= 1 << bit % 8
    assert not SCHEME.verifies([(b"x-signature", sign(body))], bytes(flipped))


@given(body=st.binary(), bit=st.integers(0, 128 * 8 - 1))
def test_any_flipped_bit_of_the_signature_is_refused(body: bytes, bit: int) -> None:
    flipped = bytearray(sign(body))
    flipped[bit // 8] ^= 1 << bit % 8
    assert not SCHEME.verifies([(b"x-signature", bytes(flipped))], body)


@given(body=st.binary(), value=st.binary(max_size=300))
def test_whatever_the_header_holds_is_judged_and_never_an_error(body: bytes, value: bytes) -> None:
    assert SCHEME.verifies([(b"x-signature", value)], body) is (value == sign(body))


def test_any_of_the_live_keys_verifies_wherever_it_stands() -> None:
    scheme = Begini(SOURCE, [b"one", b"two", b"three"])
    for key in (b"one", b"two", b"three"):
        assert scheme.verifies([(b"x-signature", sign(b"{}", key))], b"{}")
    assert not scheme.verifies([(b"x-signature", sign(b"{}", b"four"))], b"{}")


def test_a_header_twice_is_refused_even_if_both_are_right() -> None:
    line = (b"x-signature", sign(b"{}"))
    assert SCHEME.verifies([line], b"{}")
    assert not SCHEME.verifies([line, line], b"{}")
    assert not SCHEME.verifies([], b"{}")


def test_header_and_algorithm_follow_the_settings() -> None:
    older = Begini(
        Source(scheme="begini", secrets=("env:X",), header="X-Begini-Signature", algorithm="sha256"), [KEY]
    )
    right = (b"x-begini-signature", sign(b"{}", algorithm=hashlib.sha256))
    assert older.verifies([right], b"{}")
    assert not older.verifies([(b"x-begini-signature", sign(b"{}"))], b"{}")
    assert not older.verifies([(b"x-signature", right[1])], b"{}")


def test_its_repr_tells_no_secret() -> None:
    verifier = HmacHeader(header="X-Signature", algorithm="sha512", secrets=[b"canary"])
    assert repr(verifier) == "<HmacHeader x-signature sha512 secrets=1>"


@given(body=st.binary())
def test_any_body_is_read_or_not_and_never_an_error(body: bytes) -> None:
    envelope = SCHEME.read(body)
    assert envelope is None or envelope.ordering_key


FIELD = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=60)


@given(uid=FIELD, integration=FIELD, type_=FIELD)
def test_keys_are_the_envelope_s_three_fields_and_order_is_by_applicant(
    uid: str, integration: str, type_: str
) -> None:
    body = json.dumps({"uid": uid, "integration_id": integration, "event": {"type": type_}}).encode()
    envelope = SCHEME.read(body)
    assert envelope is not None
    assert envelope.type == type_
    assert envelope.dedup_key == (integration, uid, type_)
    other = SCHEME.read(body.replace(b'"type"', b'"x":1,"type"'))
    assert other is not None
    assert other.ordering_key == envelope.ordering_key
