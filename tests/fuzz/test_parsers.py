"""Each parser takes any input and answers with a value, None, or the one error that it names."""

import hmac
from contextlib import suppress
from hashlib import sha256
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from fuzz.effort import FUZZ
from fuzz.hostile import RAW, TEXT
from hookline.config.secret_text import clean
from hookline.config.selector import Selector, parse_selector
from hookline.config.signature import Algorithm, Key
from hookline.edge.schemes.clock import READERS
from hookline.edge.schemes.encodings import DECODERS
from hookline.edge.schemes.incoming import Incoming
from hookline.edge.schemes.json_places import JsonPlaces, is_key
from hookline.edge.schemes.keys import WrongKey, matcher
from hookline.edge.schemes.places import query_value
from hookline.edge.schemes.plugins.plain_json import member, read_plain_json

PLACES = JsonPlaces(
    Selector("json", pointer)
    for pointer in ("/a", "/a/b", "/a/0", "/0/a", "/type", "/data/object/id", "/~0/~1")
)
FORMS = st.builds(
    Key,
    encoding=st.sampled_from(["utf8", "base64", "hex", "pem", "der"]),
    prefix=st.sampled_from(["", "whsec_", "whpk_"]),
    prefix_required=st.booleans(),
)
KEYS = st.tuples(st.sampled_from(get_args(Algorithm)), FORMS, RAW)


@FUZZ
@given(text=RAW)
def test_timestamps(text: bytes) -> None:
    for read in READERS.values():
        assert isinstance(read(text), float | None)


@FUZZ
@given(text=RAW)
def test_encodings(text: bytes) -> None:
    for decode in DECODERS.values():
        assert isinstance(decode(text), bytes | None)


@FUZZ
@given(body=RAW)
def test_places_in_json(body: bytes) -> None:
    assert all(map(is_key, PLACES.read(body).values()))


@FUZZ
@given(body=RAW)
def test_plain_json(body: bytes) -> None:
    member(read_plain_json(body), "a", "b")


@FUZZ
@given(query=TEXT)
def test_queries(query: str) -> None:
    incoming = Incoming("GET", f"https://h/?{query}", [], b"", 0.0)
    for name in ("a", "hub.challenge", "", "access_token"):
        assert isinstance(query_value(incoming, name), str | None)


@FUZZ
@given(text=TEXT)
def test_selectors(text: str) -> None:
    with suppress(ValueError):
        assert isinstance(parse_selector(text), Selector)


@FUZZ
@given(text=RAW)
def test_texts_of_secrets(text: bytes) -> None:
    try:
        assert clean(text)
    except ValueError as error:
        assert text[:200].decode("latin-1") not in str(error) or len(text) < 5  # noqa: PT017


@FUZZ
@given(key=KEYS, message=RAW, signatures=st.lists(RAW, max_size=4))
def test_keys(key: tuple[Algorithm, Key, bytes], message: bytes, signatures: list[bytes]) -> None:
    algorithm, form, secret = key
    try:
        matches = matcher(algorithm, form, secret).matches
    except WrongKey as error:
        assert len(secret) < 5 or secret.decode("latin-1") not in str(error)  # noqa: PT017
        return
    found = matches(message, signatures)
    assert found is (algorithm == "none") or _is_right(algorithm, form, secret, message, signatures)


def _is_right(
    algorithm: Algorithm, form: Key, secret: bytes, message: bytes, signatures: list[bytes]
) -> bool:
    """Only what is drawn by chance: a token that is its own signature."""
    text = secret.removeprefix(form.prefix.encode())
    del message
    return algorithm in ("token", "basic") and any(
        hmac.compare_digest(sha256(text).digest(), sha256(signature).digest()) or form.encoding != "utf8"
        for signature in signatures
    )
