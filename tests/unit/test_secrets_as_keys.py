"""Live secrets: each of them verifies, and what is no key is refused before anything is verified with it."""

from base64 import b64decode, b64encode

import pytest

from hookline.config import Scheme as Declared
from hookline.config.presets import preset
from hookline.edge.schemes.keys import WrongKey
from hookline.edge.schemes.scheme import Scheme
from hookline.edge.schemes.verdict import Refusal, Verified
from vectors.judge import declaration, incoming
from vectors.vectors import PROVIDERS, Vector, vectors

CANARY = "canary"


def genuine(provider: str) -> Vector:
    return next(vector for vector in vectors(provider) if vector.is_valid and vector.method == "POST")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_live_secret_is_tried_wherever_it_stands(provider: str) -> None:
    vector = genuine(provider)
    declared, request = declaration(provider, vector), incoming(vector)
    right = vector.secret.encode()
    other = next(
        secret
        for secret in (other.secret.encode() for other in vectors(provider) if other.scheme == vector.scheme)
        if secret and secret.lower() != right.lower()
    )
    for number, secrets in enumerate([[right, other], [other, right]]):
        verdict = Scheme(declared, secrets).verify(request)
        assert isinstance(verdict, Verified)
        assert verdict.secret == number or declared.plugin is not None
    assert Scheme(declared, [other]).verify(request) is Refusal.BAD_SIGNATURE
    assert Scheme(declared, []).verify(request) is Refusal.BAD_SIGNATURE


def test_a_symmetric_secret_and_a_public_key_can_both_be_live() -> None:
    declared = Declared.model_validate(preset("standard-webhooks"))
    cases = [vector for vector in vectors("standardwebhooks") if vector.is_valid]
    symmetric = next(vector for vector in cases if vector.scheme == "v1")
    asymmetric = next(vector for vector in cases if vector.scheme == "v1a")
    scheme = Scheme(declared, [symmetric.secret.encode(), asymmetric.secret.encode()])
    for vector, number in ((symmetric, 0), (asymmetric, 1)):
        verdict = scheme.verify(incoming(vector))
        assert isinstance(verdict, Verified)
        assert verdict.secret == number


WRONG = {
    "standard-webhooks": [
        f"whsec_{CANARY}!",
        f"whpk_{CANARY}",
        "whsec_",
        f"whpk_{b64encode(b'short').decode()}",
    ],
    "svix": [f"whsec_{CANARY}!", "whpk_", "whsec_===="],
    "discord": [CANARY, "ab" * 31, "ab" * 33, "0x" + "ab" * 31, "é" * 32],
    "sendgrid": [CANARY, b64encode(CANARY.encode()).decode(), "ab" * 32, "-----BEGIN PUBLIC KEY-----"],
}


@pytest.mark.parametrize(
    ("name", "secret"), [(name, secret) for name, secrets in WRONG.items() for secret in secrets]
)
def test_a_secret_of_another_form_is_refused_and_not_repeated(name: str, secret: str) -> None:
    declared = Declared.model_validate(preset(name))
    with pytest.raises(WrongKey) as caught:
        Scheme(declared, [secret.encode()])
    assert CANARY not in str(caught.value)
    assert secret not in str(caught.value)
    assert str(caught.value).startswith("secret 1 of 1 must ") or "has 32 bytes" in str(caught.value)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_empty_secret_is_refused(provider: str) -> None:
    vector = genuine(provider)
    declared = declaration(provider, vector)
    with pytest.raises(WrongKey):
        Scheme(declared, [b""])
    with pytest.raises(WrongKey):
        Scheme(declared, [vector.secret.encode(), b""])


@pytest.mark.parametrize("provider", ["xero", "stripe", "paddle"])
def test_a_secret_that_looks_encoded_and_is_text_is_used_as_it_is(provider: str) -> None:
    vector = genuine(provider)
    declared, request = declaration(provider, vector), incoming(vector)
    assert isinstance(Scheme(declared, [vector.secret.encode()]).verify(request), Verified)
    text = vector.secret.removeprefix("whsec_")
    decoded = b64decode(text + "=" * (-len(text) % 4), altchars=b"-_")
    for other in (decoded, text.encode() + b"\n", vector.secret.removeprefix("whsec_").lower().encode()):
        assert Scheme(declared, [other]).verify(request) is Refusal.BAD_SIGNATURE


def test_a_key_is_the_same_with_its_prefix_or_without_where_both_are_sent() -> None:
    declared = Declared.model_validate(preset("standard-webhooks"))
    vector = genuine("standardwebhooks")
    for secret in (vector.secret, vector.secret.removeprefix("whsec_"), vector.secret.rstrip("=")):
        assert isinstance(Scheme(declared, [secret.encode()]).verify(incoming(vector)), Verified)


def test_no_repr_tells_a_secret() -> None:
    vector = genuine("stripe")
    scheme = Scheme(declaration("stripe", vector), [vector.secret.encode()])
    assert repr(scheme) == "<Scheme 'Stripe' [<SignatureCheck hmac-sha256 header:stripe-signature keys=1>]>"
    assert vector.secret not in repr(scheme.verify(incoming(vector)))
