"""Begini's envelope as a consumer reads it: every published form, and no applicant in any message."""

import traceback
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.pretty import Pretty

from hookline.client.begini import Envelope, EnvelopeError, EventType

IOS = (
    b'{"uid":"KN8HNBOZH8T9YB9","integration_id":"53995056634903845365","event":{"type":"ios_score.complete",'
    b'"details":{"application_started_at":1785963659,"application_completed_at":1785963696,"scored_at":1785963829,'
    b'"platform":"IOS","permissions":{"granted":["contacts","calendar"],"denied":["location"]},"calculated":{'
    b'"score":784,"risk_band":"LOW","score_confidence":"LOW","probability":"0.333333333333333","traits":['
    b'{"key":"openness","value":6,"risk_band":"MEDIUM"}]}}}}'
)
ANDROID_WITH_A_NEWLINE = (
    b'{"uid":"5EHG3PPSL4IMPL12UJHTT","integration_id":"56527886376378818020","event":{"type":'
    b'"android_score.complete","details":{"application_started_at":1785963736,"application_completed_at":1785963786,'
    b'"scored_at":1785963906,"platform":"ANDROID","permissions":{"granted":["contacts","calendar"],"denied":'
    b'["location"]},"calculated":{"score":311,"risk_band":"LOW","score_confidence":"HIGH","probability":'
    b'"0.333333333333333","traits":[{"key":"agreeableness","value":4,"risk_band":"HIGH"}]}}}}\n'
)
PSYCHOMETRIC = (
    b'{"uid":"31GWWPDD5JYCB675DZ","integration_id":"94010289811494869182","event":{"type":'
    b'"psychometric_score.complete","details":{"application_started_at":1785963075,"application_completed_at":'
    b'1785963187,"scored_at":1785963245,"platform":"WEB","calculated":{"score":535,"risk_band":"MEDIUM",'
    b'"score_confidence":"MEDIUM","probability":"0.333333333333333","traits":[{"key":"openness","value":8,'
    b'"risk_band":"HIGH"},{"key":"locus_of_control","value":1,"risk_band":"MEDIUM"}]}}}}'
)
PSYCHOMETRIC_WITH_CRLF = (
    b'{\r\n  "uid": "QNH2PAO2KG8CR",\r\n  "integration_id": "64896073595104782407",\r\n  "event": {\r\n'
    b'    "type": "psychometric_score.complete",\r\n    "details": {\r\n'
    b'      "application_started_at": 1785965574,\r\n      "calculated": {\r\n'
    b'        "score": 849\r\n      }\r\n    }\r\n  },\r\n'
    b'  "lines": "sable amber kelp"\r\n}\r\n'
)
BYTE_ORDER_MARK = b"\xef\xbb\xbf" + PSYCHOMETRIC
NOT_UTF8_IN_AN_UNKNOWN_FIELD = IOS[:-1] + b',"bin":"\xff\xfe\x80"}'
NON_ASCII = IOS[:-1] + ',"texts":["Zoë Müller, naïve café","日本語のお客様","emoji 🧾👩🏽‍💻"]}'.encode()
NUL_AND_LONE_SURROGATE = IOS[:-1] + rb',"pretty":["nul \u0000 inside","\ud83d\ude00","\ud800 alone"]}'
COMPLETE = (
    b'{"uid":"3H3Z13","integration_id":"46312369501902299208","event":{"type":"application.complete","details":'
    b'{"application_started_at":1785963569,"application_completed_at":1785963603}}}'
)
EXPIRED = (
    b'{"uid":"K47SMUCLR4SR56KY26","integration_id":"22150366927479774861","event":{"type":"application.expired",'
    b'"details":{"application_started_at":1785963448}}}'
)
INCOMPLETE = (
    b'{"uid":"0MX4KGDOKB9L262XKSSS6CTXIU5WZDI74VA50","integration_id":"96957326845661694808","event":{"type":'
    b'"application.incomplete","details":{"application_started_at":1785963647,"application_completed_at":1785963681},'
    b'"reasons":["questions_skipped"]}}'
)
CANCELLED = (
    b'{"uid":"4KKHMOKAN","integration_id":"41633182114896806039","event":{"type":"application.cancelled","details":'
    b'{"application_started_at":1785962927,"application_completed_at":1785962973},"reasons":["applicant_gave_up"]}}'
)
GENUINE = {
    "ios": (IOS, EventType.IOS_SCORE_COMPLETE),
    "android, trailing newline": (ANDROID_WITH_A_NEWLINE, EventType.ANDROID_SCORE_COMPLETE),
    "psychometric": (PSYCHOMETRIC, EventType.PSYCHOMETRIC_SCORE_COMPLETE),
    "psychometric, CRLF": (PSYCHOMETRIC_WITH_CRLF, EventType.PSYCHOMETRIC_SCORE_COMPLETE),
    "byte order mark": (BYTE_ORDER_MARK, EventType.PSYCHOMETRIC_SCORE_COMPLETE),
    "not UTF-8": (NOT_UTF8_IN_AN_UNKNOWN_FIELD, EventType.IOS_SCORE_COMPLETE),
    "not ASCII": (NON_ASCII, EventType.IOS_SCORE_COMPLETE),
    "nul and lone surrogate": (NUL_AND_LONE_SURROGATE, EventType.IOS_SCORE_COMPLETE),
    "complete": (COMPLETE, EventType.APPLICATION_COMPLETE),
    "expired": (EXPIRED, EventType.APPLICATION_EXPIRED),
    "incomplete": (INCOMPLETE, EventType.APPLICATION_INCOMPLETE),
    "cancelled": (CANCELLED, EventType.APPLICATION_CANCELLED),
}
SECRET = "APPLICANT4711"


@pytest.mark.parametrize(("body", "event_type"), GENUINE.values(), ids=GENUINE)
def test_every_published_form_is_read(body: bytes, event_type: EventType) -> None:
    envelope = Envelope.parse(body)
    assert envelope.event_type == event_type
    assert envelope.uid.isalnum()
    assert envelope.integration_id.isdigit()
    assert envelope.started_at is not None


def test_a_score_in_full() -> None:
    envelope = Envelope.parse(IOS)
    assert (envelope.uid, envelope.integration_id) == ("KN8HNBOZH8T9YB9", "53995056634903845365")
    assert (envelope.score, envelope.risk_band, envelope.score_confidence) == (784, "LOW", "LOW")
    assert [(trait.key, trait.value, trait.risk_band) for trait in envelope.traits] == [
        ("openness", 6, "MEDIUM")
    ]
    assert envelope.started_at == datetime(2026, 8, 5, 21, 0, 59, tzinfo=UTC)
    assert envelope.completed_at == datetime(2026, 8, 5, 21, 1, 36, tzinfo=UTC)
    assert envelope.scored_at == datetime(2026, 8, 5, 21, 3, 49, tzinfo=UTC)
    assert envelope.platform == "IOS"
    assert envelope.permissions_granted == ("contacts", "calendar")
    assert envelope.permissions_denied == ("location",)
    assert envelope.flags is None
    assert envelope.reasons == ()


def test_what_an_event_does_not_carry_is_none_or_empty() -> None:
    envelope = Envelope.parse(b'{"uid":"ABCDE","integration_id":"1","event":{"type":"application.invented"}}')
    assert envelope.event_type == "application.invented"
    assert (envelope.score, envelope.risk_band, envelope.score_confidence, envelope.platform) == (None,) * 4
    assert (envelope.started_at, envelope.completed_at, envelope.scored_at, envelope.flags) == (None,) * 4
    assert (envelope.traits, envelope.reasons) == ((), ())
    assert (envelope.permissions_granted, envelope.permissions_denied) == ((), ())


def test_null_is_as_good_as_missing() -> None:
    event = b'{"type":"x","details":{"calculated":null},"reasons":null}'
    body = b'{"uid":"ABCDE","integration_id":"1","event":' + event + b"}"
    assert Envelope.parse(body).score is None
    assert Envelope.parse(body).reasons == ()


def test_reasons_flags_and_decimal_percentages() -> None:
    assert Envelope.parse(CANCELLED).reasons == ("applicant_gave_up",)
    body = PSYCHOMETRIC.replace(b'"value":8', b'"value":"0.333333333333333"')
    body = body.replace(b'"platform":"WEB"', b'"flags":{"fast":true}')
    assert Envelope.parse(body).traits[0].value == Decimal("0.333333333333333")
    assert Envelope.parse(body).flags == {"fast": True}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not JSON: Input data was truncated"),
        (b"not json", "not JSON: invalid character (byte 4)"),
        (b"[]", "not a Begini envelope: Expected `object`, got `array`"),
        (b"{}", "not a Begini envelope: Object missing required field `uid`"),
        (b'{"e":' + PSYCHOMETRIC + b"}", "not a Begini envelope: Object missing required field `uid`"),
        (b"\xef\xbb\xbf{}", "not a Begini envelope: Object missing required field `uid`"),
        (b'{"uid":"A","integration_id":"1"}', "not a Begini envelope: Object missing required field `event`"),
        (
            b'{"uid":"A","integration_id":"1","event":{}}',
            "not a Begini envelope: Object missing required field `type` - at `$.event`",
        ),
        (
            IOS.replace(b'"score":784', b'"score":"APPLICANT4711"'),
            "not a Begini envelope: Expected `int | null`, got `str` - at `$.event.details.calculated.score`",
        ),
        (
            IOS.replace(b'"value":6', b'"value":"APPLICANT4711"'),
            "not a Begini envelope: Invalid decimal string - at `$.event.details.calculated.traits[0].value`",
        ),
        (
            IOS.replace(b"1785963829", b"178596382900000000000"),
            "not a Begini envelope: Expected `int` <= 253402300799 - at `$.event.details.scored_at`",
        ),
        (b'{"uid":"APPLICANT4711\xff","integration_id":"1","event":{"type":"x"}}', "not JSON: not UTF-8"),
        (IOS[:-1] + b',"deep":' + b"[" * 100_000, "not a Begini envelope: nested too deeply"),
    ],
)
def test_a_malformed_body_is_told_by_place_and_not_by_value(body: bytes, message: str) -> None:
    with pytest.raises(EnvelopeError) as caught:
        Envelope.parse(body)
    assert str(caught.value) == message
    assert caught.value.__context__ is None  # a decoding error would carry the body along
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_no_printed_form_shows_the_applicant() -> None:
    envelope = Envelope.parse(IOS)
    console = Console(file=StringIO(), width=200)
    console.print(Pretty(envelope), envelope.details, envelope.traits)
    assert isinstance(console.file, StringIO)
    shown = f"{envelope} {envelope!r} {envelope.event!r} {envelope.details!r} {envelope.traits!r}"
    shown += console.file.getvalue()
    for value in ("KN8HNBOZH8T9YB9", "53995056634903845365", "784", "LOW", "openness", "contacts"):
        assert value not in shown


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_are_an_envelope_or_an_envelope_error(body: bytes) -> None:
    with pytest.raises(EnvelopeError):
        Envelope.parse(body)


@given(st.data())
def test_an_envelope_cut_or_changed_anywhere_never_fails_otherwise(data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(IOS) - 1))
    byte = data.draw(st.binary(max_size=1))
    try:
        envelope = Envelope.parse(IOS[:position] + byte + IOS[position + 1 :])
    except EnvelopeError:
        return
    assert isinstance(envelope.traits, tuple)
    assert envelope.started_at is None or envelope.started_at.tzinfo is UTC
