"""What is sealed opens with its key at its place, and nowhere else."""

import os
from base64 import b64encode
from collections.abc import Sequence

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hookline.sealing import SealBroken, Sealer, decode_key, encode_key, key_id, random_key

KEYS = st.binary(min_size=32, max_size=32)
PLACES = st.lists(st.text(), max_size=4)
CANARY = b"canary-secret-4711"
KEY, OTHER = b"K" * 32, b"L" * 32
HERE = ("secret", "stripe", "a")


def broken(sealer: Sealer, sealed: bytes, place: Sequence[str] = HERE) -> str:
    """What is said when it can't be opened; nothing of it is secret."""
    with pytest.raises(SealBroken) as error:
        sealer.open(sealed, bound_to=place)
    said = f"{error.value!r} {error.value.__cause__!r} {sealer!r}"
    for part in (CANARY, KEY, OTHER, *map(b64encode, (KEY, OTHER, CANARY)), CANARY.hex().encode()):
        assert part.decode() not in said
    return str(error.value)


@given(key=KEYS, plaintext=st.binary(), place=PLACES)
def test_what_is_sealed_opens(key: bytes, plaintext: bytes, place: list[str]) -> None:
    sealed = Sealer([key]).seal(plaintext, bound_to=place)
    assert Sealer([key]).open(sealed, bound_to=place) == plaintext
    assert len(sealed) == 4 + 12 + len(plaintext) + 16


def test_any_flipped_bit_is_noticed() -> None:
    sealer = Sealer([KEY, OTHER])
    sealed = sealer.seal(CANARY, bound_to=HERE)
    for bit in range(len(sealed) * 8):
        altered = bytearray(sealed)
        altered[bit // 8] ^= 1 << bit % 8
        said = broken(sealer, bytes(altered))
        assert ("isn't configured" in said) is (bit < 32), bit


@given(cut=st.integers(0, 49), tail=st.binary(min_size=1, max_size=50))
def test_what_was_cut_off_or_made_longer_is_noticed(cut: int, tail: bytes) -> None:
    sealer = Sealer([KEY])
    sealed = sealer.seal(CANARY, bound_to=HERE)
    broken(sealer, sealed[:cut])
    broken(sealer, sealed + tail)


@given(garbage=st.binary(max_size=100))
def test_garbage_is_no_other_error(garbage: bytes) -> None:
    sealer = Sealer([KEY])
    broken(sealer, garbage)
    broken(sealer, bytes.fromhex(sealer.key_id) + garbage)


@given(place=PLACES, other=PLACES)
def test_at_another_place_it_does_not_open(place: list[str], other: list[str]) -> None:
    assume(place != other)
    sealed = Sealer([KEY]).seal(CANARY, bound_to=place)
    assert "moved here from another place" in broken(Sealer([KEY]), sealed, other)


def test_the_border_between_the_names_of_a_place_counts() -> None:
    sealed = Sealer([KEY]).seal(CANARY, bound_to=("ab", "c"))
    broken(Sealer([KEY]), sealed, ("a", "bc"))
    broken(Sealer([KEY]), sealed, ("abc",))
    broken(Sealer([KEY]), sealed, ("ab", "c", ""))


@given(key=KEYS, other=KEYS)
def test_with_another_key_it_does_not_open_and_the_missing_one_is_named(key: bytes, other: bytes) -> None:
    assume(key != other)
    sealed = Sealer([key]).seal(CANARY, bound_to=HERE)
    said = broken(Sealer([other]), sealed)
    assert f"sealed with key {Sealer([key]).key_id}" in said
    assert "add that key to secrets.keys" in said


def test_the_first_key_seals_and_any_of_them_opens() -> None:
    before, after = Sealer([KEY]), Sealer([OTHER, KEY])
    old, new = before.seal(CANARY, bound_to=HERE), after.seal(CANARY, bound_to=HERE)
    assert [after.open(sealed, bound_to=HERE) for sealed in (old, new)] == [CANARY] * 2
    assert (key_id(old), key_id(new)) == (before.key_id, Sealer([OTHER]).key_id)
    assert [after.is_sealed_by_first(sealed) for sealed in (old, new)] == [False, True]
    assert after.key_id in broken(before, new)


def test_the_same_text_is_never_sealed_the_same_way() -> None:
    sealer = Sealer([KEY])
    sealed = {sealer.seal(CANARY, bound_to=HERE) for _ in range(1000)}
    assert len(sealed) == 1000
    assert len({one[4:16] for one in sealed}) == 1000, "each has a nonce of its own"


def test_an_id_of_a_key_is_not_its_digest() -> None:
    # SHA-256 of "hookline.sealing.key-id\0" and the key. What is stored must open with every later version.
    assert Sealer([KEY]).key_id == "d1f304e2"


def test_what_an_older_version_sealed_opens() -> None:
    assert (
        Sealer([KEY]).open(
            bytes.fromhex(
                "d1f304e2b882a5aa8b67cb62e783eef4f364a6de190809d6384cfe2356a2f53e9ffc3cd6d6964e53d9ce8b82b2cbfa337eb9"
            ),
            bound_to=HERE,
        )
        == CANARY
    )


@pytest.mark.parametrize("keys", [[], [b""], [KEY[:-1]], [KEY, KEY + b"x"]])
def test_a_sealer_takes_keys_of_32_bytes_only(keys: list[bytes]) -> None:
    with pytest.raises(ValueError, match="key") as error:
        Sealer(keys)
    assert "KKK" not in str(error.value)


def test_a_new_key_is_read_as_it_is_written() -> None:
    key = random_key()
    assert decode_key(encode_key(key)) == key
    assert decode_key(f" {encode_key(key)}\n") == key
    assert random_key() != key


@pytest.mark.parametrize(
    "text",
    [
        "",
        "canary-secret-4711",
        encode_key(KEY)[:-1],
        encode_key(KEY) + "=",
        encode_key(KEY[:-1]),
        encode_key(KEY + b"x"),
        "!" + encode_key(KEY),
        encode_key(KEY)[:20] + "\n" + encode_key(KEY)[20:],
        KEY.hex(),
        "ü" * 44,
        "\ud800",
    ],
)
def test_what_is_no_key_is_said_and_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="must be base64 of 32 bytes; make one with") as error:
        decode_key(text)
    assert error.value.__cause__ is None
    assert len(text) < 2 or text[:12] not in str(error.value)


def test_keys_are_not_shown() -> None:
    key = os.urandom(32)
    shown = repr(Sealer([key])) + str(vars(Sealer([key])))
    assert key.hex() not in shown
    assert repr(key)[2:-1] not in shown
