"""A signed timestamp counts: for every preset that has one, for exactly so long, and in one spelling only."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hookline.config.presets import preset_names
from hookline.edge.schemes.incoming import Incoming
from hookline.edge.schemes.verdict import Refusal, Verified
from unit.signer import NOW, Draft, Signer
from unit.signers import SIGNERS

FEW = settings(max_examples=25, deadline=None)  # of each preset
PRESENT = [signer for signer in SIGNERS if signer.preset in preset_names() and signer.unit]
TIMED = pytest.mark.parametrize("signer", PRESENT, ids=str)


def is_refused(signer: Signer, incoming: Incoming) -> bool:
    return isinstance(signer.scheme().verify(incoming), Refusal)


@pytest.mark.parametrize("signer", [one for one in PRESENT if "=<timestamp>" in str(one.headers)], ids=str)
def test_a_timestamp_beside_the_signature_is_there_once(signer: Signer) -> None:
    scheme = signer.scheme()
    for name, template in signer.headers.items():
        field, _, _ = template.partition("<timestamp>")
        for twice in (
            f"{template}{signer.separator}{field}<timestamp>",
            f"{field}1{signer.separator}{template}",
        ):
            assert scheme.verify(signer.make(headers={name: twice}).incoming) is Refusal.MISSING_TIMESTAMP


@TIMED
def test_a_signature_is_good_for_exactly_as_long_as_is_said(signer: Signer) -> None:
    sample, scheme = signer.make(), signer.scheme()
    for now, good in (
        (NOW + signer.past, True),
        (NOW + signer.past + 1, False),
        (NOW - signer.future, True),
        (NOW - signer.future - 1, False),
        (NOW + 86_400 * 365, False),
        (NOW - 86_400 * 365, False),
    ):
        answer = scheme.verify(sample.incoming._replace(now=now))
        assert isinstance(answer, Verified) if good else answer is Refusal.STALE_TIMESTAMP, now


def oddly(time: bytes) -> list[bytes]:
    """A time as only lenient readers read it."""
    return [
        time + b".5", time + b".0", b" " + time, time + b" ", b"+" + time, b"-" + time, b"0" + time, time + b"e0",
        time[:1] + b"_" + time[1:], time + b"\n", time + b"\0", b"1.79e9", b"NaN", b"Infinity", b"0x6ab13b80",
        "".join(chr(0x660 + int(digit)) if digit.isdigit() else digit for digit in time.decode()).encode(),
        b"9" * 5_000, "\u00b2".encode("latin-1"), b"2026-09-21 14:13:20Z", b"2026-09-21T14:13:20",
        b"20260921T141320Z", b"2026-W39-1T14:13:20Z", b"2026-09-21t14:13:20z", b"2026-09-21T14:13:20+99:99",
        b"2026-13-21T14:13:20Z", b"0000-01-01T00:00:00Z",
    ]  # fmt: skip


@TIMED
def test_a_signed_timestamp_that_is_written_oddly_is_refused(signer: Signer) -> None:
    genuine = signer.write_time(NOW)
    for text in oddly(genuine):
        sample = signer.make(Draft(timestamp=text))
        if sample.spans["timestamp"].where == "body" and text.strip() == genuine:
            continue  # blanks around a number are JSON's
        answer = signer.scheme().verify(sample.incoming)
        # What breaks the JSON around it hides the signature too.
        hidden = {Refusal.MISSING_SIGNATURE} if sample.spans["timestamp"].where == "body" else set()
        assert answer in {Refusal.MALFORMED_TIMESTAMP, Refusal.MISSING_TIMESTAMP} | hidden, text


@TIMED
@FEW
@given(body=st.binary(max_size=60))
@example(body=b"123")
@example(body=b"0" * 13)
@example(body=b"1790000000.{}")
@example(body=b":.::..")
def test_nothing_can_be_moved_across_the_border_of_timestamp_and_body(signer: Signer, body: bytes) -> None:
    if "<timestamp>" not in signer.message or "<body>" not in signer.message:
        return
    if "<id>" in signer.message:
        # Standard Webhooks leaves it to the sender that an id holds no dot and a body doesn't begin with a time.
        body = b'{"a":"' + body.hex().encode() + b'"}'
    sample = signer.make(Draft(body=body))
    timestamp = sample.text("timestamp")
    before, _, after = signer.message.partition("<timestamp>")
    for moved in range(-len(timestamp), len(body) + 1):
        if after.endswith("<body>"):
            separator = after.removesuffix("<body>").encode()
            signed = timestamp + separator + body
            border = len(timestamp) + moved
            if moved == 0 or signed[border : border + len(separator)] != separator:
                continue
            other = sample.replaced("timestamp", signed[:border])._replace(
                body=signed[border + len(separator) :]
            )
        else:
            assert before.endswith("<body>")
            signed = body + timestamp
            border = len(body) - moved
            if moved == 0 or not 0 <= border <= len(signed):
                continue
            other = sample.replaced("timestamp", signed[border:])._replace(body=signed[:border])
        assert is_refused(signer, other), moved
