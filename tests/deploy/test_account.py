"""The account of `make compose-demo`: it has to notice whatever isn't as it should be."""

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest

from hookline.simulator.tally import Tally

ONE, TWO, THREE = (UUID(int=number) for number in (1, 2, 3))


@pytest.fixture(scope="module")
def sample() -> ModuleType:
    sys.path.insert(0, str(Path(__file__).parents[2] / "deploy"))
    try:
        return importlib.import_module("sample.account")
    finally:
        sys.path.pop(0)


def account(sample: ModuleType, **changes: Any) -> Any:
    """Two events of one applicant and one of another, all of it in order; with what is changed."""
    values: dict[str, Any] = {
        "tally": Tally(
            sent=5,
            accepted=3,
            duplicate=1,
            revisions=0,
            refused=1,
            failed=0,
            event_ids=frozenset({ONE, TWO, THREE}),
            differences=(),
        ),
        "stored": {
            ONE: sample.Stored(1, "application.complete", "a"),
            TWO: sample.Stored(2, "psychometric_score.complete", "a"),
            THREE: sample.Stored(1, "psychometric_score.complete", "b"),
        },
        "dead": 0,
        "acts": {
            "crm": {ONE: sample.Act(7, 0), TWO: sample.Act(8, 1), THREE: sample.Act(9, 0)},
            "decisioning": {TWO: sample.Act(2, 0), THREE: sample.Act(1, 0)},
        },
    }
    return sample.Account(**{**values, **changes})


def broken(account: Any) -> list[str]:
    return [line.text for line in account.sums() if not line.holds]


def test_what_is_in_order_adds_up(sample: ModuleType) -> None:
    good = account(sample)
    assert good.is_settled
    assert broken(good) == []
    assert [line.text for line in good.sums()][2] == (
        "crm: acted on 3 = wanted 3, lost 0, unwanted 0 (delivered again 1 times, without effect)"
    )


def test_an_event_that_a_consumer_never_saw_is_lost(sample: ModuleType) -> None:
    acts = {**account(sample).acts, "decisioning": {TWO: sample.Act(2, 0)}}
    lost = account(sample, acts=acts)
    assert not lost.is_settled
    assert [line.partition(" (")[0] for line in broken(lost)] == [
        "decisioning: acted on 1 = wanted 2, lost 1, unwanted 0"
    ]


def test_an_event_that_a_consumer_did_not_want_is_named(sample: ModuleType) -> None:
    acts = account(sample).acts
    unwanted = account(sample, acts={**acts, "decisioning": acts["crm"]})
    assert [line.partition(" (")[0] for line in broken(unwanted)] == [
        "decisioning: acted on 3 = wanted 2, lost 0, unwanted 1"
    ]


def test_an_event_that_was_confirmed_and_is_not_stored_is_missed(sample: ModuleType) -> None:
    stored = {id_: event for id_, event in account(sample).stored.items() if id_ != ONE}
    assert broken(account(sample, stored=stored))[0] == "stored 2 = confirmed to the provider 3"


def test_a_later_event_of_an_applicant_before_an_earlier_one_is_out_of_order(sample: ModuleType) -> None:
    crm = {ONE: sample.Act(8, 0), TWO: sample.Act(7, 0), THREE: sample.Act(9, 0)}
    swapped = account(sample, acts={**account(sample).acts, "crm": crm})
    assert broken(swapped) == ["crm: out of order 1"]


def test_a_dead_letter_and_an_unanswered_webhook_do_not_add_up(sample: ModuleType) -> None:
    tally = account(sample).tally
    failed = Tally(
        sent=6,
        accepted=tally.accepted,
        duplicate=tally.duplicate,
        revisions=0,
        refused=tally.refused,
        failed=1,
        event_ids=tally.event_ids,
        differences=("one was lost",),
    )
    assert broken(account(sample, tally=failed, dead=1)) == [
        "sent 6 = accepted 3 + duplicate 1 + refused 1, and 1 failed",
        "dead letters 1",
    ]
