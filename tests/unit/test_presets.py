"""Presets: what every one has, and what those without vector files find, answer and order by."""

import json
import re
import tomllib
from typing import Any

import pytest

from hookline.config import Scheme as Declaration
from hookline.config.presets import preset, preset_names, preset_text
from hookline.edge.answers import Answer
from hookline.edge.schemes.event_keys import Envelope
from hookline.edge.schemes.incoming import Incoming
from hookline.edge.schemes.scheme import Scheme
from hookline.edge.schemes.verdict import Refusal, Verified
from unit.signer import Draft, Sample, Signer
from unit.signers import SIGNERS

EVERY = pytest.mark.parametrize("name", preset_names())
URL = "https://hooks.example.com/v1/webhooks/acme"


def signer(name: str) -> Signer:
    return next(one for one in SIGNERS if one.preset == name)


def read(name: str, body: Any, **headers: str) -> Envelope | None:
    """The keys of a genuine webhook with this body and these further headers."""
    one = signer(name)
    draft = Draft(body=body if isinstance(body, bytes) else json.dumps(body).encode())
    sample = _with_body(one, draft)
    lines = [(key.replace("_", "-").encode(), value.encode()) for key, value in headers.items()]
    incoming = sample.incoming._replace(headers=[*sample.incoming.headers, *lines])
    scheme = one.scheme()
    verified = scheme.verify(incoming)
    assert isinstance(verified, Verified)
    return scheme.read(scheme.context(incoming, verified))


def _with_body(one: Signer, draft: Draft) -> Sample:
    """Signed with the draft's body as it is, also where the signer has a body of its own."""
    plain = Signer(**{name: getattr(one, name) for name in one.__dataclass_fields__} | {"body": "<body>"})
    return plain.make(draft)


@EVERY
def test_a_preset_names_its_provider_and_quotes_its_sources(name: str) -> None:
    text = preset_text(name)
    declared = Declaration(**preset(name))
    assert declared.title
    assert text.startswith("# ")
    assert tomllib.loads(text) == preset(name)
    assert name == "begini" or re.search(r"https://", text)
    assert all(link.startswith("https://") for link in declared.docs)
    assert declared.needs_secrets
    assert declared.event.type
    assert declared.event.dedup


@EVERY
def test_a_preset_lets_nobody_in_without_a_live_secret(name: str) -> None:
    one = signer(name)
    scheme = Scheme(Declaration(**preset(name)), (), options=one.options)
    assert isinstance(scheme.verify(one.make().incoming), Refusal)


def test_an_unknown_preset_is_a_key_error() -> None:
    for name in ("nope", "../begini", "begini.toml", ""):
        with pytest.raises(KeyError):
            preset_text(name)


def test_linear_is_known_by_its_delivery_and_ordered_by_what_changed() -> None:
    body = {"action": "update", "type": "Issue", "data": {"id": "i-1"}, "webhookTimestamp": 1_790_000_000_000}
    assert read("linear", body, linear_delivery="d-1") == Envelope("Issue.update", ("d-1",), "5:Issue,3:i-1,")
    assert preset("linear")["event"]["repeat"] == "revision"


def test_intercom_s_repeats_have_one_id_and_its_ping_has_none() -> None:
    item = {"type": "conversation", "id": "5"}
    body = {
        "id": "notif_1",
        "topic": "conversation.user.created",
        "delivery_attempts": 1,
        "data": {"item": item},
    }
    again = body | {"delivery_attempts": 2}
    first = read("intercom", body)
    assert first == Envelope("conversation.user.created", ("notif_1",), "12:conversation,1:5,")
    assert read("intercom", again) == first
    ping = read("intercom", {"id": None, "topic": "ping"})
    assert ping is not None
    assert ping.type == "ping"
    assert re.fullmatch("[0-9a-f]{64}", ping.dedup_key[0])


def test_zendesk_is_known_by_its_invocation_whatever_the_body_calls_its_id() -> None:
    event = {
        "id": "e-1",
        "type": "zen:event-type:user.created",
        "subject": "zen:user:1",
        "detail": {"id": "1"},
    }
    assert read("zendesk", event, x_zendesk_webhook_invocation_id="i-1") == Envelope(
        "zen:event-type:user.created", ("i-1",), "10:zen:user:1,"
    )
    assert read("zendesk", {"id": 17}, x_zendesk_webhook_invocation_id="i-2") == Envelope(
        "trigger", ("i-2",), ""
    )
    assert read("zendesk", b"<ticket/>", x_zendesk_webhook_invocation_id="i-3") == Envelope(
        "trigger", ("i-3",), ""
    )


def test_zendesk_s_trigger_may_send_xml_and_forms() -> None:
    scheme = signer("zendesk").scheme()
    for media_type in (
        b"application/json; charset=utf-8",
        b"application/xml",
        b"application/x-www-form-urlencoded",
    ):
        assert scheme.takes(media_type)
    assert not scheme.takes(b"image/png")


def test_calendly_is_known_by_what_happened_when_to_whom() -> None:
    uri = "https://api.calendly.com/scheduled_events/A/invitees/B"
    body = {"event": "invitee.created", "created_at": "2026-09-21T14:13:20.000000Z", "payload": {"uri": uri}}
    assert read("calendly", body) == Envelope(
        "invitee.created", ("invitee.created", "2026-09-21T14:13:20.000000Z", uri), f"{len(uri)}:{uri},"
    )


def test_okta_s_first_event_names_the_webhook() -> None:
    events = [
        {"eventType": "user.session.start", "uuid": "u-1"},
        {"eventType": "user.session.end", "uuid": "u-2"},
    ]
    body = {"eventType": "com.okta.event_hook", "eventId": "e-1", "data": {"events": events}}
    assert read("okta", body) == Envelope("user.session.start", ("e-1",), "")
    older = {"eventType": "com.okta.event_hook", "eventID": "e-2", "data": {"events": []}}
    assert read("okta", older) == Envelope("com.okta.event_hook", ("e-2",), "")


def test_okta_s_challenge_is_answered_in_json() -> None:
    scheme = signer("okta").scheme()
    assert scheme.other_methods == {"GET"}
    challenge = [(b"x-okta-verification-challenge", b'a"b\\c')]
    answer = scheme.open_handshake(Incoming("GET", URL, challenge, b"", 0.0))
    assert isinstance(answer, Answer)
    assert (answer.status, json.loads(answer.body)) == (200, {"verification": 'a"b\\c'})
    assert answer.content_type == b"application/json"
    assert scheme.open_handshake(Incoming("GET", URL, [], b"", 0.0)) is None
    assert scheme.open_handshake(Incoming("GET", URL, challenge * 2, b"", 0.0)) is None
    assert scheme.open_handshake(Incoming("POST", URL, challenge, b"", 0.0)) is None


def test_okta_wants_an_empty_answer() -> None:
    answer = signer("okta").scheme().success(Answer(200, b"{}", outcome="accepted"))
    assert (answer.status, answer.body, answer.outcome) == (204, b"", "accepted")


@pytest.mark.parametrize(
    ("headers", "body", "envelope"),
    [
        (
            {"ce_id": "1", "ce_source": "/a", "ce_type": "com.example.made", "ce_partitionkey": "p"},
            {"id": "data's", "source": "data's", "type": "data's"},
            Envelope("com.example.made", ("/a", "1"), "1:p,"),
        ),
        (
            {},
            {
                "specversion": "1.0",
                "id": "1",
                "source": "/a",
                "type": "com.example.made",
                "data": {"id": "x"},
            },
            Envelope("com.example.made", ("/a", "1"), ""),
        ),
    ],
)
def test_a_cloud_event_is_known_by_source_and_id_in_either_mode(
    headers: dict[str, str], body: dict[str, Any], envelope: Envelope
) -> None:
    assert read("cloudevents", body, **headers) == envelope


def test_a_batch_of_cloud_events_is_one_webhook() -> None:
    batch = read("cloudevents", [{"id": "1", "source": "/a", "type": "com.example.made"}])
    assert batch is not None
    assert (batch.type, batch.ordering_key) == ("batch.com.example.made", "")
    assert re.fullmatch("[0-9a-f]{64}", batch.dedup_key[0])
    assert read("cloudevents", {"id": "1", "source": "/a"}) is None, "an event must have a type"


@pytest.mark.parametrize("value", [b"bearer x", b"Bearer", b"Bearer ", b"Basic x", b"Bearer  x", b"x"])
def test_a_cloud_events_sender_without_the_bearer_token_is_refused(value: bytes) -> None:
    incoming = Incoming("POST", URL, [(b"authorization", value)], b"{}", 0.0)
    assert isinstance(signer("cloudevents").scheme().verify(incoming), Refusal)


def test_a_cloud_events_sender_is_allowed_by_name() -> None:
    scheme = signer("cloudevents").scheme()
    asks = [(b"webhook-request-origin", b"eventemitter.example.com"), (b"webhook-request-rate", b"120")]
    answer = scheme.open_handshake(Incoming("OPTIONS", URL, asks, b"", 0.0))
    assert isinstance(answer, Answer)
    assert answer.status == 200
    allowed = dict(answer.headers)
    assert allowed[b"webhook-allowed-origin"] == b"eventemitter.example.com"
    assert allowed[b"webhook-allowed-rate"] == b"*"
    assert allowed[b"allow"] == b"POST, OPTIONS"
    assert scheme.open_handshake(Incoming("OPTIONS", URL, [], b"", 0.0)) is None
    forged = [(b"webhook-request-origin", b"a\r\nset-cookie: x")]
    assert scheme.open_handshake(Incoming("OPTIONS", URL, forged, b"", 0.0)) is None


def test_a_cloud_event_may_carry_any_type_of_data() -> None:
    scheme = signer("cloudevents").scheme()
    for media_type in (b"application/cloudevents+json", b"application/avro", b"text/plain"):
        assert scheme.takes(media_type)
