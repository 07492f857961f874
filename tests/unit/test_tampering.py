"""Whatever is changed in a signed webhook, it is refused, for every preset; what a preset leaves unsigned is listed."""

import random
from base64 import urlsafe_b64encode
from binascii import crc32
from collections.abc import Iterator

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hookline.config.presets import preset_names
from hookline.edge.schemes.incoming import Incoming
from hookline.edge.schemes.scheme import Scheme
from hookline.edge.schemes.verdict import Refusal, Verified
from unit.signer import NOW, Draft, Sample, Signer
from unit.signers import SIGNERS

PRESENT = [signer for signer in SIGNERS if signer.preset in preset_names()]
FEW = settings(max_examples=25, deadline=None)  # of each preset
EVERY = pytest.mark.parametrize("signer", PRESENT, ids=str)
SIGNED = pytest.mark.parametrize("signer", [one for one in PRESENT if one.encoding != "text"], ids=str)
BODY = st.binary(min_size=1, max_size=200)
UNSIGNED_BODY = {
    # Only a token: it says who sends.
    "gitlab": "<body>",
    "okta": "<body>",
    "cloudevents": "<body>",
    # Only what stands in `signature`, of which the timestamp and the token are signed.
    "mailgun": "<text>",
}
"""Presets whose body anybody can change who sees one genuine webhook: the providers' design."""
PARTLY_UNSIGNED = {
    # Eight fields are signed.
    "adyen": (b'"paymentMethod":"visa"', b'"paymentMethod":"mc"'),
    # What the form means is signed, not how it is written.
    "twilio form": (b"From=%2B15005550006", b"From=%2b15005550006"),
}
"""By the signer's name: what can be changed in the body although most of it is signed."""


def verdict(signer: Signer, incoming: Incoming, scheme: Scheme | None = None) -> Verified | Refusal:
    return (scheme or signer.scheme()).verify(incoming)


def is_refused(scheme: Scheme, incoming: Incoming) -> bool:
    answer = scheme.verify(incoming)
    assert isinstance(answer, Refusal | Verified)
    return isinstance(answer, Refusal)


def carrier(sample: Sample) -> str:
    """The header or the part of the request that holds the signature."""
    return sample.spans["signature"].where


def flipped(text: bytes) -> Iterator[bytes]:
    """The text with one bit changed, for each of its bits."""
    for place in range(len(text)):
        for bit in range(8):
            yield text[:place] + bytes([text[place] ^ 1 << bit]) + text[place + 1 :]


def test_every_preset_has_a_signer_here_and_every_signer_a_preset() -> None:
    assert {signer.preset for signer in SIGNERS} == set(preset_names())


def test_what_leaves_the_body_unsigned_is_exactly_this() -> None:
    open_ = {signer.preset for signer in SIGNERS if not {"body", "text"} & signer.covered}
    assert open_ == set(UNSIGNED_BODY)


@EVERY
@FEW
@given(body=BODY, id_=st.from_regex(r"[a-zA-Z0-9]{50}", fullmatch=True), shift=st.integers(-2, 2))
def test_what_the_provider_signs_verifies(signer: Signer, body: bytes, id_: str, shift: int) -> None:
    sample = signer.make(Draft(body=body, id=id_.encode(), now=NOW + shift))
    assert isinstance(verdict(signer, sample.incoming), Verified)


@EVERY
def test_any_of_several_live_secrets_verifies_in_any_place_and_no_other_does(signer: Signer) -> None:
    sample = signer.make()
    for secrets in ((signer.secret, signer.stranger), (signer.stranger, signer.secret)):
        assert isinstance(signer.scheme(*secrets).verify(sample.incoming), Verified)
    assert signer.scheme(signer.stranger).verify(sample.incoming) is Refusal.BAD_SIGNATURE


@EVERY
def test_a_flipped_bit_anywhere_in_the_text_of_the_signature_is_refused(signer: Signer) -> None:
    sample, scheme = signer.make(), signer.scheme()
    if carrier(sample) in ("body", "url"):
        texts = [sample.replaced("signature", text) for text in flipped(sample.text("signature"))]
    else:
        # Also what stands around it: prefixes, separators, field names.
        where = carrier(sample)
        texts = [sample.written(where, value) for value in flipped(sample.read(where))]
    assert [one for one in texts if not is_refused(scheme, one)] == []


@SIGNED
def test_a_flipped_bit_of_the_decoded_signature_is_refused(signer: Signer) -> None:
    sample, scheme = signer.make(), signer.scheme()
    for raw in flipped(sample.signature):
        assert is_refused(scheme, sample.replaced("signature", signer.encode(raw)))


@EVERY
def test_a_flipped_bit_of_what_is_signed_is_refused(signer: Signer) -> None:
    sample, scheme = signer.make(), signer.scheme()
    for part in sorted(signer.covered):
        for text in flipped(sample.text(part)):
            try:
                altered = sample.replaced(part, text)
            except UnicodeDecodeError:
                continue
            assert is_refused(scheme, altered), part


@EVERY
@FEW
@given(data=st.data(), body=BODY)
def test_any_other_text_of_any_signed_part_is_refused(
    signer: Signer, data: st.DataObject, body: bytes
) -> None:
    sample = signer.make(Draft(body=body))
    part = data.draw(st.sampled_from(sorted(signer.covered | {"signature"})))
    genuine = sample.text(part)
    start = data.draw(st.integers(0, len(genuine)))
    stop = data.draw(st.integers(start, min(len(genuine), start + 4)))
    inserted = data.draw(st.binary(max_size=4))
    text = genuine[:start] + inserted + genuine[stop:]
    assume(text != genuine)
    assume(not _means_the_same(signer, part, sample, text))
    assert is_refused(signer.scheme(), sample.replaced(part, text))


def _means_the_same(signer: Signer, part: str, sample: Sample, text: bytes) -> bool:
    """Whether the list still holds what is genuine, beside a part that is nothing."""
    return (
        part in ("signature", "timestamp")
        and bool(signer.separator)
        and sample.text(part) in text.split(signer.separator.encode())
    )


@EVERY
@FEW
@given(data=st.data(), body=BODY)
def test_a_body_that_is_not_signed_can_be_anything_and_this_is_known(
    signer: Signer, data: st.DataObject, body: bytes
) -> None:
    if signer.preset not in UNSIGNED_BODY:
        return
    sample = signer.make(Draft(body=body))
    part = UNSIGNED_BODY[signer.preset].strip("<>")
    other = data.draw(st.from_regex(r"[a-f0-9]{0,40}", fullmatch=True))
    assert isinstance(verdict(signer, sample.replaced(part, other.encode())), Verified)


@EVERY
def test_what_little_of_a_signed_body_is_unsigned_is_known(signer: Signer) -> None:
    if str(signer) not in PARTLY_UNSIGNED:
        return
    sample = signer.make()
    old, new = PARTLY_UNSIGNED[str(signer)]
    altered = sample.incoming.body.replace(old, new)
    assert altered != sample.incoming.body
    assert isinstance(verdict(signer, sample.written("body", altered)), Verified)


def test_all_that_paypal_signs_of_a_body_is_its_checksum() -> None:
    signer = next(one for one in PRESENT if one.preset == "paypal")
    sample = signer.make()
    forged = _with_checksum(b'{"id":"forged"}', crc32(sample.incoming.body))
    assert isinstance(verdict(signer, sample.written("body", forged)), Verified)


def _with_checksum(body: bytes, checksum: int) -> bytes:
    """The body with four bytes behind it that give it this CRC-32 (polynomial 0xEDB88320, reflected)."""
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0xEDB88320 if value & 1 else 0)  # noqa: PLW2901
        table.append(value)
    state = checksum ^ 0xFFFFFFFF
    for _ in range(4):
        index = next(place for place, entry in enumerate(table) if entry >> 24 == state >> 24)
        state = (state ^ table[index]) << 8 & 0xFFFFFFFF | index
    return body + (state ^ crc32(body) ^ 0xFFFFFFFF).to_bytes(4, "little")


@EVERY
def test_the_url_and_the_method_matter_only_where_they_are_signed(signer: Signer) -> None:
    sample, scheme = signer.make(), signer.scheme()
    elsewhere = sample.incoming._replace(url=sample.incoming.url.replace("/acme", "/acne"))
    assert is_refused(scheme, elsewhere) is ("url" in signer.covered)
    assert is_refused(scheme, sample.incoming._replace(method="PUT")) is ("method" in signer.covered)


@EVERY
def test_the_beginning_of_a_signature_is_refused_and_so_is_none(signer: Signer) -> None:
    sample, scheme = signer.make(), signer.scheme()
    text = sample.text("signature")
    for length in range(len(text)):
        assert is_refused(scheme, sample.replaced("signature", text[:length])), length
    for length in range(len(sample.signature)):
        assert is_refused(scheme, sample.replaced("signature", signer.encode(sample.signature[:length])))
    where = carrier(sample)
    assert is_refused(scheme, sample.written(where, b""))


@EVERY
def test_a_signature_that_is_longer_written_otherwise_or_padded_is_refused(signer: Signer) -> None:
    sample, scheme = signer.make(), signer.scheme()
    text = sample.text("signature")
    middle = len(text) // 2
    others = (
        {
            text + text,
            signer.encode(sample.signature + sample.signature),
            signer.encode(sample.signature + b"\0"),
            signer.encode(b"\0" + sample.signature),
            text.swapcase(),
            text.upper(),
            text.lower(),
            text.rstrip(b"="),
            text + b"=",
            text + b"==",
            urlsafe_b64encode(sample.signature),
            urlsafe_b64encode(sample.signature).rstrip(b"="),
            b'"' + text + b'"',
            b"0x" + text,
            b"%00" + text,
            text.decode().replace("a", "а").encode(),  # noqa: RUF001  (a Cyrillic letter that looks the same)
            *(
                text[:middle] + junk + text[middle:]
                for junk in (b" ", b"\t", b"\n", b"\r\n", b"\0", b"*", b"-", b"_", b"!")
            ),
            *(text + junk for junk in (b"\t", b"\n", b"\r", b"\0", b"\x0b", b"\xa0", b"\xc2\xa0", b".")),
            *(junk + text for junk in (b"\t", b"\n", b"\r", b"\0", b"\x0b", b"\xa0", b"\xc2\xa0", b".")),
        }
        - {text}
    )
    accepted = [one for one in sorted(others) if not is_refused(scheme, sample.replaced("signature", one))]
    assert accepted == []


@pytest.mark.parametrize("signer", [one for one in PRESENT if one.separator], ids=str)
@FEW
@given(data=st.data())
def test_a_good_signature_is_found_anywhere_among_bad_ones(signer: Signer, data: st.DataObject) -> None:
    scheme = signer.scheme()
    bad = st.one_of(
        st.just(signer.entry.replace("<signature>", signer.encode(bytes(32)).decode())),
        st.just(signer.entry.replace("<signature>", "")),
        st.just(signer.entry.replace("<signature>", "%%%")),
        st.sampled_from(["", "v0=00", "v0,AAAA", "junk", "=", ",,"]).filter(
            lambda text: signer.separator not in text
        ),
    )
    bads = data.draw(st.lists(bad, min_size=1, max_size=12))
    place = data.draw(st.integers(0, len(bads)))
    entries = [*bads[:place], signer.entry, *bads[place:]]
    headers = {
        name: template.replace(signer.entry, signer.separator.join(entries))
        for name, template in signer.headers.items()
    }
    assert isinstance(scheme.verify(signer.make(headers=headers).incoming), Verified)
    only_bad = {
        name: template.replace(signer.entry, signer.separator.join(bads))
        for name, template in signer.headers.items()
    }
    assert is_refused(scheme, signer.make(headers=only_bad).incoming)


@pytest.mark.parametrize("signer", [one for one in PRESENT if not one.separator], ids=str)
def test_several_signatures_are_refused_where_the_provider_sends_one(signer: Signer) -> None:
    sample, scheme = signer.make(), signer.scheme()
    if carrier(sample) in ("body", "url"):
        return
    where = carrier(sample)
    value = sample.read(where)
    for separator in (b",", b", ", b" ", b";"):
        assert is_refused(scheme, sample.written(where, value + separator + value))


@EVERY
def test_a_header_that_is_missing_or_there_twice_is_refused(signer: Signer) -> None:
    sample, scheme = signer.make(), signer.scheme()
    needed = [name for name, _ in sample.incoming.headers if name != b"content-type"]
    for name in needed:
        without = [line for line in sample.incoming.headers if line[0] != name]
        assert is_refused(scheme, sample.incoming._replace(headers=without)), name
        (line,) = [line for line in sample.incoming.headers if line[0] == name]
        for twice in ([*sample.incoming.headers, line], [(name, b"junk"), *sample.incoming.headers]):
            assert is_refused(scheme, sample.incoming._replace(headers=twice)), name


def test_random_requests_never_verify_and_never_raise() -> None:
    random_bytes = random.Random(4).randbytes
    for signer in PRESENT:
        sample, scheme = signer.make(), signer.scheme()
        for size in (0, 1, 20, 64, 500):
            noise = [(name, random_bytes(size)) for name, _ in sample.incoming.headers]
            assert is_refused(scheme, sample.incoming._replace(headers=noise)) or carrier(sample) in (
                "body",
                "url",
            )
            assert is_refused(scheme, Incoming("POST", "https://h/", noise, random_bytes(size), NOW))
