"""Decoding is strict: one text for each value, or an altered text would pass as the same signature."""

import base64
import binascii
import string
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hookline.edge.schemes.encodings import DECODERS, decode_base64, decode_base64url, decode_hex

ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "hex": binascii.hexlify,
    "base64": base64.b64encode,
    "base64url": lambda value: base64.urlsafe_b64encode(value).rstrip(b"="),
}
EVERY = pytest.mark.parametrize("name", sorted(DECODERS))
ALPHABET = (string.ascii_letters + string.digits + "+/-_= \t\r\n\0.*").encode()
NEARLY = st.lists(st.sampled_from(list(ALPHABET)), max_size=24).map(bytes)


def test_every_encoding_is_tried_here() -> None:
    assert set(DECODERS) == set(ENCODERS)


@EVERY
@given(value=st.binary(min_size=1, max_size=100))
def test_what_is_encoded_is_decoded(name: str, value: bytes) -> None:
    assert DECODERS[name](ENCODERS[name](value)) == value


@EVERY
@given(text=st.binary(max_size=40) | NEARLY)
@example(text=b"")
@example(text=b"=")
@example(text=b"====")
@example(text=b"A")
@example(text=b"AB==")
@example(text=b"AAA=")
@example(text=b"AAB=")
@example(text=b"AA==AA==")
@example(text=b"AA==\n")
@example(text=b"0G")
@example(text=b"AB")
@example(text=b"\xc3\xa9")
def test_no_two_texts_are_the_same_value(name: str, text: bytes) -> None:
    value = DECODERS[name](text)
    assert value is None or ENCODERS[name](value) == text


@given(text=NEARLY)
def test_whatever_strict_base64_takes_python_s_lenient_decoder_takes_as_the_same(text: bytes) -> None:
    value = decode_base64(text)
    if value is not None:
        assert base64.b64decode(text) == value
        assert base64.b64decode(text, validate=True) == value


@pytest.mark.parametrize(
    "text",
    [
        b"AAEC\n",
        b"AA EC",
        b"AA*EC",
        b"AAEC====",
        b"A",
        b"AAE",
        b"AAED=",
        b"AAF=",
        b"AB==",
        b"-_-_",
        b"AAEC\0",
        b"=AAEC",
    ],
)
def test_what_only_a_lenient_decoder_takes_is_refused(text: bytes) -> None:
    assert decode_base64(text) is None


@pytest.mark.parametrize("text", [b"AAE=", b"AAF", b"AB", b"+/+/", b"A", b"AAEC\n", b" AAEC", b"AAEC="])
def test_base64url_has_its_own_alphabet_and_no_padding(text: bytes) -> None:
    assert decode_base64url(text) is None


@pytest.mark.parametrize(
    "text", [b"", b"0", b"0A", b"0x00", b"00 ", b" 00", b"00\n", b"\xd9\xa0\xd9\xa0", b"0g", b"0 0"]
)
def test_hex_is_lower_case_in_pairs(text: bytes) -> None:
    assert decode_hex(text) is None
