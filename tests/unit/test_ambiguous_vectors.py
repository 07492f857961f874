"""Each ambiguous vector is decided, by exactly one rule, and judged so."""

import pytest

from hookline.edge.schemes.verdict import Refusal, Verified
from vectors.decisions import RULES
from vectors.judge import judge
from vectors.vectors import AMBIGUOUS, ambiguous

COUNTS = {
    "discord": 25,
    "github": 2,
    "gitlab": 2,
    "paddle": 13,
    "sendgrid": 33,
    "shopify": 5,
    "slack": 5,
    "square": 3,
    "standardwebhooks": 18,
    "stripe": 18,
    "twilio": 9,
    "zoom": 22,
}


@pytest.mark.parametrize("provider", AMBIGUOUS)
def test_an_ambiguous_vector_is_judged_as_was_decided(provider: str, subtests: pytest.Subtests) -> None:
    judged = 0
    for vector in ambiguous(provider):
        rules = [rule for rule in RULES if rule.covers(provider, vector.name)]
        with subtests.test(vector.name, why=vector.why):
            assert len([rule for rule in rules if rule.as_preset is None]) == 1
            for rule in rules:
                verdict = judge(provider, vector, as_preset=rule.as_preset)
                assert isinstance(verdict, Verified if rule.accept else Refusal), rule.name
            judged += 1
    assert judged == COUNTS[provider]


def test_every_rule_decides_something() -> None:
    for rule in RULES:
        for case in rule.cases:
            provider, _, name = case.partition("/")
            providers = AMBIGUOUS if provider == "*" else [provider]
            one = rule.__class__(rule.name, rule.accept, (f"*/{name}",))
            assert any(
                one.covers(where, vector.name) for where in providers for vector in ambiguous(where)
            ), case


def test_no_file_is_missing() -> None:
    assert set(AMBIGUOUS) == set(COUNTS)
