"""What the suite promises of itself, and docs/security.md of the edge."""

from hookline.edge import answers
from hookline.edge.answers import Answer
from hookline.edge.front import refusals
from hookline.edge.schemes.verdict import Refusal
from hostile.codes import documented
from hostile.families import ALL


def test_there_are_at_least_25_000_cases() -> None:
    assert sum(count for family in ALL for count in family.values()) >= 25_000


def test_every_code_is_documented_and_every_documented_code_exists() -> None:
    fixed = {
        one.outcome
        for module in (answers, refusals)
        for one in vars(module).values()
        if isinstance(one, Answer)
    }
    made = {
        answers.method_not_allowed(()).outcome,
        answers.too_many(1).outcome,
        answers.undecodable(ValueError()).outcome,
        answers.too_large(1).outcome,
    }
    assert fixed | made | {str(refusal) for refusal in Refusal} == documented()
