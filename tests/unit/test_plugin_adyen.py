"""Adyen's signatures in the body, against its SDKs and its documentation."""

import hmac
import json
from base64 import b64encode
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookline import config
from hookline.config.presets import preset
from hookline.core.identity import join
from hookline.edge.schemes.event_keys import Envelope
from hookline.edge.schemes.incoming import Incoming
from hookline.edge.schemes.keys import WrongKey
from hookline.edge.schemes.plugins.adyen import Adyen
from hookline.edge.schemes.scheme import Scheme
from hookline.edge.schemes.verdict import Refusal, Verified
from hookline.errors import ConfigError
from unit.plugin_requests import NOW, flipped

KEY = b"44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"
"""Of the documentation's example."""
PLUGIN = Adyen([KEY], {})
DOCUMENTED: dict[str, Any] = {
    "pspReference": "7914073381342284",
    "originalReference": "",
    "merchantAccountCode": "TestMerchant",
    "merchantReference": "TestPayment-1407325143704",
    "amount": {"value": 1130, "currency": "EUR"},
    "eventCode": "AUTHORISATION",
    "success": "true",
}
COLONS = {
    "amount": {"value": 7500, "currency": "SEK"},
    "reason": "113 No InvoiceLines provided",
    "success": "false",
    "eventCode": "AUTHORISATION",
    "eventDate": "2020-08-14T10:53:35+02:00",
    "pspReference": "853597395210930A",
    "merchantReference": "14-08-2020-09:53:00",
    "merchantAccountCode": "MERCHANT_ACCOUNT_CODE",
}
BACKSLASH = COLONS | {
    "originalReference": "853597395210930B",
    "merchantReference": "a\\b blåbær",
    "success": "true",
    "amount": {"value": -1, "currency": "EUR"},
}


def with_signature(item: dict[str, Any], signature: object) -> dict[str, Any]:
    return {"NotificationRequestItem": item | {"additionalData": {"hmacSignature": signature}}}


def request(body: bytes) -> Incoming:
    return Incoming("POST", "https://hooks.example.com/", [(b"content-type", b"application/json")], body, NOW)


def write(*items: object) -> bytes:
    return json.dumps({"live": "false", "notificationItems": items}).encode()


def sign(item: dict[str, Any]) -> str:
    amount = item.get("amount", {})
    fields = [item.get(name, "") for name in list(DOCUMENTED)[:4]]
    fields += [
        str(amount.get("value", "")),
        amount.get("currency", ""),
        item.get("eventCode", ""),
        item["success"],
    ]
    return b64encode(hmac.digest(bytes.fromhex(KEY.decode()), ":".join(fields).encode(), "sha256")).decode()


def signed(*items: dict[str, Any]) -> bytes:
    return write(*(with_signature(item, sign(item)) for item in items))


def verify(body: bytes) -> Verified | Refusal:
    return PLUGIN.verify(request(body))


@pytest.mark.parametrize(
    ("item", "signature"),
    [
        # Printed in the documentation.
        (DOCUMENTED, "coqCmt/IZ4E3CzPvMY8zTjQVL5hYJUiBRg8UU+iCWo0="),
        # Adyen 16.0.0 (PyPI) and @adyen/api-library (npm): colons and backslashes aren't escaped.
        (COLONS, "qQsmym+k3xaqGqASBWMAURJMyhl8HQSlJGKAK1GBFBk="),
        (BACKSLASH, "tJctwQ4NOJUzW3RIDx+PSprgPK8e+TXE7t233Ew4Zx4="),
    ],
)
def test_a_signature_of_the_documentation_and_the_sdks_verifies(item: dict[str, Any], signature: str) -> None:
    assert verify(write(with_signature(item, signature))) == Verified()
    assert sign(item) == signature


PLAIN = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=":"), max_size=20)
ITEM = st.fixed_dictionaries(
    {
        "pspReference": PLAIN,
        "merchantAccountCode": PLAIN,
        "merchantReference": st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        "amount": st.fixed_dictionaries({"value": st.integers(-(10**12), 10**12), "currency": PLAIN}),
        "eventCode": PLAIN,
        "success": st.sampled_from(["true", "false"]),
    },
    optional={"originalReference": PLAIN, "reason": PLAIN},
)


@settings(deadline=None)
@given(items=st.lists(ITEM, min_size=1, max_size=4), indent=st.none() | st.integers(0, 2))
def test_what_is_signed_verifies_however_it_is_written(
    items: list[dict[str, Any]], indent: int | None
) -> None:
    body = signed(*items)
    assert verify(body) == Verified()
    assert (
        verify(json.dumps(json.loads(body), indent=indent, sort_keys=True, ensure_ascii=False).encode())
        == Verified()
    )


@settings(deadline=None)
@given(
    item=ITEM, name=st.sampled_from(["pspReference", "merchantAccountCode", "merchantReference", "eventCode"])
)
def test_any_signed_field_that_is_altered_is_refused(item: dict[str, Any], name: str) -> None:
    for altered in (
        item | {name: item[name] + "x"},
        item | {name: item[name] + "\0"},
        item | {"success": "true" if item["success"] == "false" else "false"},
        item | {"amount": item["amount"] | {"value": item["amount"]["value"] + 1}},
    ):
        assert verify(write(with_signature(altered, sign(item)))) is Refusal.BAD_SIGNATURE


@settings(max_examples=5, deadline=None)
@given(item=ITEM)
def test_any_flipped_bit_of_a_signature_is_refused(item: dict[str, Any]) -> None:
    right = sign(item).encode()
    for altered in flipped(right):
        body = signed(item).replace(right, altered)
        assert isinstance(verify(body), Refusal), altered


def test_a_flipped_bit_of_the_body_is_refused_unless_it_is_in_what_adyen_leaves_unsigned() -> None:
    body = signed(DOCUMENTED)
    genuine = json.loads(body)
    for altered in flipped(body):
        if verify(altered) == Verified():
            document = json.loads(altered)
            assert set(document) ^ set(genuine) <= {*document, "live"} - {"notificationItems"}
            item = document["notificationItems"][0]["NotificationRequestItem"]
            assert [item.get(name, "") for name in DOCUMENTED] == list(DOCUMENTED.values())


def test_every_item_must_be_right() -> None:
    good, bad = with_signature(COLONS, sign(COLONS)), with_signature(COLONS, sign(DOCUMENTED))
    unsigned = {"NotificationRequestItem": COLONS}
    assert verify(write(good, good)) == Verified()
    assert verify(write(good, bad)) is Refusal.BAD_SIGNATURE
    assert verify(write(bad, good)) is Refusal.BAD_SIGNATURE
    assert verify(write(good, unsigned)) is Refusal.MISSING_SIGNATURE
    assert verify(write(good, {})) is Refusal.MISSING_SIGNATURE
    assert verify(write(good, None)) is Refusal.MISSING_SIGNATURE
    assert verify(write(*[good] * 100)) == Verified()
    assert verify(write(*[good] * 101)) is Refusal.MALFORMED_SIGNATURE


def test_a_colon_can_not_move_the_border_between_two_fields() -> None:
    genuine = DOCUMENTED | {"merchantReference": "a:b"}
    right = sign(genuine)
    assert verify(write(with_signature(genuine, right))) == Verified()
    for altered in (
        genuine | {"merchantAccountCode": "TestMerchant:a", "merchantReference": "b"},
        genuine | {"pspReference": "7914073381342284:", "originalReference": "TestMerchant"},
        genuine | {"amount": {"value": 1130, "currency": "EUR:AUTHORISATION"}, "eventCode": "true"},
    ):
        assert verify(write(with_signature(altered, right))) is Refusal.BAD_SIGNATURE


def test_names_that_are_there_twice_are_refused_whichever_reader_takes_which() -> None:
    body = signed(DOCUMENTED)
    for genuine, twice in (
        (b'"success": "true"', b'"success": "false", "success": "true"'),
        (b'"success": "true"', b'"success": "true", "success": "false"'),
        (b'"success": "true"', rb'"success": "true", "\u0073uccess": "true"'),
        (b'"value": 1130', b'"value": 1, "value": 1130'),
        (b'"live": "false"', b'"live": "false", "notificationItems": []'),
    ):
        assert genuine in body
        assert verify(body.replace(genuine, twice)) is Refusal.MISSING_SIGNATURE


def test_values_of_another_type_are_refused() -> None:
    body = signed(DOCUMENTED)
    for genuine, other in (
        (b'"success": "true"', b'"success": true'),
        (b'"value": 1130', b'"value": "1130"'),
        (b'"value": 1130', b'"value": 1130.0'),
        (b'"value": 1130', b'"value": 1.13e3'),
        (b'"value": 1130', b'"value": true'),
        (b'"originalReference": ""', b'"originalReference": null'),
        (b'"originalReference": ""', b'"originalReference": []'),
    ):
        assert genuine in body
        assert verify(body.replace(genuine, other)) is Refusal.BAD_SIGNATURE, other
    without = {name: value for name, value in DOCUMENTED.items() if name != "amount"}
    assert verify(signed(without)) == Verified()
    odd: list[object] = [[], "", 0, False, {"value": None}]
    for amount in odd:
        assert (
            verify(write(with_signature(without | {"amount": amount}, sign(without))))
            is Refusal.BAD_SIGNATURE
        )


@pytest.mark.parametrize("signature", ["", None, 0, [], {}])
def test_no_signature_is_missing(signature: object) -> None:
    assert verify(write(with_signature(DOCUMENTED, signature))) is Refusal.MISSING_SIGNATURE


@pytest.mark.parametrize(
    "signature", ["not base64", "é", "\ud800", "coqCmt/IZ4E3CzPvMY8zTjQVL5hYJUiBRg8UU+iCWo0", "\0"]
)
def test_a_signature_of_another_form_is_malformed(signature: str) -> None:
    assert verify(write(with_signature(DOCUMENTED, signature))) is Refusal.MALFORMED_SIGNATURE


@pytest.mark.parametrize("name", ["pspReference", "merchantReference", "success"])
def test_half_of_a_surrogate_pair_in_a_signed_field_is_refused(name: str) -> None:
    assert (
        verify(write(with_signature(DOCUMENTED | {name: "\ud800"}, sign(DOCUMENTED))))
        is Refusal.BAD_SIGNATURE
    )


def test_any_of_several_keys_verifies_and_mistakes_are_told() -> None:
    incoming = request(signed(DOCUMENTED))
    assert Adyen([b"00", KEY.lower(), b"11" * 32], {}).verify(incoming) == Verified()
    assert Adyen([], {}).verify(incoming) is Refusal.BAD_SIGNATURE
    for secret in (b"", b"not hex", b"abc"):
        with pytest.raises(WrongKey):
            Adyen([secret], {})
    with pytest.raises(ConfigError, match="has no option 'x'"):
        Adyen([KEY], {"x": "y"})
    with pytest.raises(ConfigError, match="no signed timestamp"):
        Adyen([KEY], {}, tolerance=timedelta(1))


def test_an_event_is_known_by_reference_and_code_ordered_by_payment_and_answered_as_adyen_wants() -> None:
    scheme = Scheme(config.Scheme(**preset("adyen")), [KEY])

    def read(item: dict[str, Any]) -> Envelope | None:
        incoming = request(signed(item))
        verdict = scheme.verify(incoming)
        assert isinstance(verdict, Verified)
        return scheme.read(scheme.context(incoming, verdict))

    code, reference = "AUTHORISATION", "7914073381342284"
    assert read(DOCUMENTED) == Envelope(code, (reference, code), join((reference,)))
    capture = DOCUMENTED | {"pspReference": "8", "originalReference": reference, "eventCode": "CAPTURE"}
    assert read(capture) == Envelope("CAPTURE", ("8", "CAPTURE"), join((reference,)))
    assert read(DOCUMENTED | {"reason": "other"}) == read(DOCUMENTED)
    assert scheme.revisions


def test_platform_webhooks_are_signed_over_the_body_in_a_header() -> None:
    scheme = Scheme(config.Scheme(**preset("adyen-platform")), [KEY])
    body = b'{"type":"balancePlatform.accountHolder.created","data":{"id":"AH1"}}'
    # generate_payload_sig of Adyen 16.0.0 (PyPI).
    header = (b"hmacsignature", b"w0D7qFnOM/yIQAVMFW+cdq1JMyp91HFyBUtuRP9K3lE=")
    incoming = request(body)._replace(headers=[header])
    verdict = scheme.verify(incoming)
    assert verdict == Verified()
    envelope = scheme.read(scheme.context(incoming, Verified()))
    assert envelope is not None
    assert envelope.type == "balancePlatform.accountHolder.created"
    for altered in flipped(body):
        assert scheme.verify(incoming._replace(body=altered)) is Refusal.BAD_SIGNATURE
