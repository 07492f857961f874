"""Every shared vector is judged as by the providers' own SDKs."""

import hmac
from dataclasses import replace

import pytest

from hookline.edge.schemes.verdict import Refusal, Verified
from vectors.judge import judge
from vectors.vectors import PROVIDERS, vectors

COUNTS = {
    "begini": (23, 51),
    "discord": (15, 62),
    "generic": (67, 411),
    "github": (16, 51),
    "gitlab": (15, 31),
    "meta": (14, 51),
    "paddle": (16, 81),
    "sendgrid": (13, 61),
    "shopify": (11, 49),
    "slack": (18, 86),
    "square": (15, 58),
    "standardwebhooks": (39, 183),
    "stripe": (20, 82),
    "twilio": (25, 68),
    "typeform": (15, 49),
    "xero": (14, 49),
    "zoom": (12, 71),
}
"""Valid and invalid vectors of each file."""


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_vector_is_judged_as_by_its_oracle(provider: str, subtests: pytest.Subtests) -> None:
    judged = {True: 0, False: 0}
    for vector in vectors(provider):
        with subtests.test(vector.name, why=vector.why):
            verdict = judge(provider, vector)
            assert isinstance(verdict, Verified if vector.is_valid else Refusal)
            judged[vector.is_valid] += 1
    assert (judged[True], judged[False]) == COUNTS[provider]


def test_no_file_is_missing_and_each_holds_a_large_body() -> None:
    assert set(PROVIDERS) == set(COUNTS)
    for provider in PROVIDERS:
        assert max(len(vector.body) for vector in vectors(provider) if vector.is_valid) > 100_000


CAUSES = [
    ("begini", "header-missing", Refusal.MISSING_SIGNATURE),
    ("begini", "dup-header-right-first", Refusal.MISSING_SIGNATURE),
    ("stripe", "sig-uppercase-hex", Refusal.MALFORMED_SIGNATURE),
    ("stripe", "only-v0", Refusal.MALFORMED_SIGNATURE),
    ("stripe", "sig-hmac-sha512", Refusal.BAD_SIGNATURE),
    ("stripe", "key-base64-decoded", Refusal.BAD_SIGNATURE),
    ("stripe", "no-timestamp", Refusal.MISSING_TIMESTAMP),
    ("stripe", "ts-fraction", Refusal.MALFORMED_TIMESTAMP),
    ("stripe", "ts-5000-digits", Refusal.MALFORMED_TIMESTAMP),
    ("stripe", "ts-just-outside-past", Refusal.STALE_TIMESTAMP),
    # A stale signature that isn't right is no news of the clock.
    ("stripe", "tampered-ts-refreshed", Refusal.BAD_SIGNATURE),
    ("paddle", "ts-just-outside-past", Refusal.STALE_TIMESTAMP),
    ("discord", "ts-header-missing", Refusal.MISSING_TIMESTAMP),
    ("discord", "sig-s-plus-order", Refusal.BAD_SIGNATURE),
    ("shopify", "sig-no-padding", Refusal.MALFORMED_SIGNATURE),
    ("xero", "key-base64-decoded", Refusal.BAD_SIGNATURE),
]


@pytest.mark.parametrize(("provider", "name", "cause"), CAUSES)
def test_the_cause_of_a_refusal_says_what_is_wrong(provider: str, name: str, cause: Refusal) -> None:
    [vector] = [vector for vector in vectors(provider) if vector.name == name]
    assert judge(provider, vector) is cause


@pytest.mark.parametrize(
    "spelling", ["0{}", "00{}", "+{}", "{}.0", "{}.", "{} ", " {}", "{}e0", "{}\x00", "\u0661{}"]
)
def test_a_time_that_was_signed_in_another_spelling_is_refused(spelling: str) -> None:
    vector = next(vector for vector in vectors("stripe") if vector.is_valid)
    text = spelling.format(int(vector.now)).encode()
    signature = hmac.new(vector.secret.encode(), text + b"." + vector.body, "sha256").hexdigest().encode()
    signed = replace(vector, headers=[(b"Stripe-Signature", b"v1=" + signature + b",t=" + text)])
    # The spaces around a header's value aren't part of it.
    assert judge("stripe", signed) in (Refusal.MALFORMED_TIMESTAMP, Refusal.BAD_SIGNATURE)
    assert spelling == "{} " or judge("stripe", signed) is Refusal.MALFORMED_TIMESTAMP
