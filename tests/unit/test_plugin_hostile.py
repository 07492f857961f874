"""Whatever is sent to a plug-in, it judges: no exception, no verdict for free, and not for long."""

import json
from collections.abc import Callable
from time import process_time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hookline.edge.schemes.incoming import Incoming
from hookline.edge.schemes.plugin import Plugin
from hookline.edge.schemes.plugins.adyen import Adyen
from hookline.edge.schemes.plugins.hubspot import HubSpot
from hookline.edge.schemes.plugins.mailgun import Mailgun
from hookline.edge.schemes.plugins.paypal import PayPal
from hookline.edge.schemes.plugins.plain_json import read_plain_json
from hookline.edge.schemes.plugins.twilio import Twilio
from hookline.edge.schemes.verdict import Refusal
from unit.paypal_certificate import PEM, WEBHOOK_ID
from unit.plugin_requests import HOSTILE_BODIES, NOW

PLUGINS: dict[str, Plugin] = {
    "adyen": Adyen([b"00" * 32], {}),
    "hubspot": HubSpot([b"secret"], {}),
    "mailgun": Mailgun([b"secret"], {}),
    "paypal": PayPal([PEM], {"webhook_id": WEBHOOK_ID}),
    "twilio": Twilio([b"secret"], {}),
}
NAMES = [
    b"x-twilio-signature",
    b"content-type",
    b"x-hubspot-signature-v3",
    b"x-hubspot-request-timestamp",
    b"paypal-transmission-sig",
    b"paypal-transmission-id",
    b"paypal-transmission-time",
    b"paypal-auth-algo",
]
TYPES = [b"application/x-www-form-urlencoded", b"application/json", b"", b";;", b"\xff"]
BASE64 = b"AAAAAAAAAAAAAAAAAAAAAAAAAAA="


def headers(value: bytes, content_type: bytes) -> list[tuple[bytes, bytes]]:
    return [(name, content_type if name == b"content-type" else value) for name in NAMES]


@pytest.mark.parametrize("plugin", PLUGINS)
@pytest.mark.parametrize("body", HOSTILE_BODIES)
def test_a_hostile_body_is_refused_within_half_a_second(plugin: str, body: str) -> None:
    for content_type in TYPES:
        lines = headers(BASE64, content_type)
        lines[-1] = (b"paypal-auth-algo", b"SHA256withRSA")
        for url in ("https://h.example.com/x", "https://h.example.com/x?bodySHA256=" + "0" * 64):
            start = process_time()
            verdict = PLUGINS[plugin].verify(Incoming("POST", url, lines, HOSTILE_BODIES[body], NOW))
            assert isinstance(verdict, Refusal)
            assert process_time() - start < 0.5


@settings(max_examples=300, deadline=None)
@given(
    body=st.binary(max_size=100) | st.sampled_from(list(HOSTILE_BODIES.values())[:10]),
    values=st.lists(
        st.tuples(
            st.sampled_from(NAMES), st.binary(max_size=60) | st.sampled_from([BASE64, b"1790000000000"])
        )
    ),
    url=st.text(max_size=60) | st.text(max_size=20).map("https://h/?bodySHA256={}".format),
    method=st.sampled_from(["GET", "POST", "OPTIONS"]),
)
@example(body=b"", values=[], url="", method="POST")
@example(body=b"", values=[(NAMES[0], BASE64)], url="https://\ud800:1/?bodySHA256=\ud800", method="GET")
def test_any_request_without_a_right_signature_is_refused(
    body: bytes, values: list[tuple[bytes, bytes]], url: str, method: str
) -> None:
    for plugin in PLUGINS.values():
        assert isinstance(plugin.verify(Incoming(method, url, values, body, NOW)), Refusal)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "b"]), inner),
    max_leaves=10,
)
NOTIFICATION = st.fixed_dictionaries(
    {},
    optional={
        "signature": JSON
        | st.fixed_dictionaries({}, optional={"signature": JSON, "token": JSON, "timestamp": JSON}),
        "notificationItems": JSON
        | st.lists(
            JSON
            | st.fixed_dictionaries(
                {
                    "NotificationRequestItem": st.fixed_dictionaries(
                        {
                            "additionalData": st.fixed_dictionaries(
                                {"hmacSignature": JSON | st.just(BASE64.decode())}
                            )
                        },
                        optional={"amount": JSON, "pspReference": JSON, "success": JSON},
                    )
                }
            ),
            max_size=3,
        ),
    },
)


@settings(max_examples=200, deadline=None)
@given(document=NOTIFICATION)
def test_json_of_any_shape_is_refused(document: object) -> None:
    body = json.dumps(document).encode()
    for name in ("adyen", "mailgun"):
        assert isinstance(PLUGINS[name].verify(Incoming("POST", "", [], body, NOW)), Refusal)


def test_json_is_read_only_if_it_is_unambiguous_and_of_ordinary_size() -> None:
    assert read_plain_json(b'{"a":[1,-20,1.5,"x",{"b":null}]}') == {
        "a": [b"1", b"-20", None, "x", {"b": None}]
    }
    for body in (
        b'{"a":1,"a":1}',
        b"[NaN]",
        b"[Infinity]",
        b"\xef\xbb\xbf{}",
        b"",
        b"{} {}",
        b"[01]",
        b'"\n"',
    ):
        assert read_plain_json(body) is None, body
    assert read_plain_json(b"[" + b"1," * 19_998 + b"1]") is not None
    assert read_plain_json(b"[" + b"1," * 20_000 + b"1]") is None
    assert read_plain_json(b"[" + b"1" * 21 + b"]") == [None]


MAKERS: list[Callable[[list[bytes]], Plugin]] = [
    lambda secrets: Adyen(secrets, {}),
    lambda secrets: HubSpot(secrets, {}),
    lambda secrets: Mailgun(secrets, {}),
    lambda secrets: PayPal(secrets, {"webhook_id": WEBHOOK_ID}),
    lambda secrets: Twilio(secrets, {}),
]


@pytest.mark.parametrize("make", MAKERS)
def test_an_error_and_a_repr_tell_nothing_of_the_secret(make: Callable[[list[bytes]], Plugin]) -> None:
    canary = b"not hex nor a certificate: canary"
    try:
        shown = repr(make([canary])) + repr(vars(make([canary])))
    except Exception as error:  # noqa: BLE001
        shown = repr(error)
    assert "canary" not in shown
