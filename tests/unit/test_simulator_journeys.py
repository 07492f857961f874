"""The plan of a run: what applicants make Begini send, repeated, revised and forged; one seed, one plan."""

import hashlib
import hmac
import re
from collections import Counter
from random import Random
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.client.begini import Envelope, EventType
from hookline.simulator.journeys import Journey, journeys, rescored
from hookline.simulator.plan import Item, Kind, Mix, Plan, draw_plan, rounds
from hookline.simulator.signature import Algorithm, Signer, forge

KEY = "made-up-Schlüssel"
MIX = Mix(duplicates=0.2, late=0.1, revisions=0.3, forged=0.2)
seeds = st.integers(0, 2**64)
fractions = st.floats(0, 1)


def plan_of(*, seed: int, mix: Mix = MIX, journey_count: int = 20) -> Plan:
    return draw_plan(journey_count=journey_count, mix=mix, signer=Signer(KEY), seed=seed)


def drawn(seed: int, count: int = 20) -> list[Journey]:
    return list(journeys(Random(seed), count))


def of_kind(plan: Plan, *kinds: Kind) -> list[Item]:
    return [item for item in plan if item.kind in kinds]


@given(seeds)
def test_every_body_is_a_begini_envelope(seed: int) -> None:
    for journey in drawn(seed):
        for document in journey.documents:
            envelope = Envelope.parse(document.body)
            assert envelope.event_type == document.event_type
            assert document.event_type in set(EventType)
            assert envelope.uid == document.uid
            assert re.fullmatch(r"[0-9A-Za-z]{5,60}", envelope.uid)
            assert envelope.started_at is not None
            assert bool(envelope.reasons) == document.event_type.endswith(("incomplete", "cancelled"))
            assert len(document.body) <= 900


@given(seeds)
def test_a_score_has_all_that_a_decision_needs(seed: int) -> None:
    scores = [document for journey in drawn(seed) for document in journey.documents if document.is_score]
    for document in scores:
        envelope = Envelope.parse(document.body)
        assert None not in (envelope.score, envelope.risk_band, envelope.score_confidence, envelope.platform)
        assert envelope.traits
        assert envelope.started_at is not None
        assert envelope.completed_at is not None
        assert envelope.scored_at is not None
        assert envelope.started_at < envelope.completed_at < envelope.scored_at
        assert len(document.body) >= 350


def test_all_published_event_types_occur_and_a_journey_begins_with_its_application() -> None:
    some = drawn(seed=1, count=300)
    assert {document.event_type for journey in some for document in journey.documents} == set(EventType)
    for journey in some:
        types = [document.event_type for document in journey.documents]
        assert types[0].startswith("application.")
        assert (len(types) == 1) == (types[0] != EventType.APPLICATION_COMPLETE)
        assert len(set(types)) == len(types)


@given(seeds)
def test_no_two_applicants_share_a_uid_and_a_run_is_one_deployment(seed: int) -> None:
    some = drawn(seed, count=50)
    assert len({document.uid for journey in some for document in journey.documents}) == 50
    bodies = [document.body for journey in some for document in journey.documents]
    assert len({Envelope.parse(body).integration_id for body in bodies}) == 1


@given(seeds)
def test_a_second_score_is_a_revision(seed: int) -> None:
    score = next(document for journey in drawn(seed) for document in journey.documents if document.is_score)
    first, second = Envelope.parse(score.body), Envelope.parse(rescored(score, Random(seed)).body)
    assert (first.uid, first.integration_id, first.event_type) == (
        second.uid,
        second.integration_id,
        second.event_type,
    )
    assert first.scored_at is not None
    assert second.scored_at is not None
    assert first.scored_at < second.scored_at


@given(seeds, st.builds(Mix, duplicates=fractions, late=fractions, revisions=fractions, forged=fractions))
def test_the_same_seed_draws_the_same_plan(seed: int, mix: Mix) -> None:
    assert plan_of(seed=seed, mix=mix) == plan_of(seed=seed, mix=mix)
    assert plan_of(seed=seed, mix=mix) != plan_of(seed=seed + 1, mix=mix)


@given(seeds)
def test_only_forged_items_have_a_wrong_signature(seed: int) -> None:
    for item in plan_of(seed=seed):
        right = hmac.new(KEY.encode(), item.body, hashlib.sha512).hexdigest()
        assert (item.signature == right) == (item.kind is not Kind.FORGED)


@pytest.mark.parametrize("algorithm", get_args(Algorithm))
def test_a_forgery_is_never_right(algorithm: Algorithm) -> None:
    signer = Signer(KEY, algorithm)
    forgeries = [forge(b'{"score":99}', signer, Random(seed)) for seed in range(50)]
    assert all(forgery.signature != signer.sign(forgery.body) for forgery in forgeries)
    assert {forgery.body for forgery in forgeries} == {b'{"score":99}', b'{"score":90}'}  # one way tampers
    assert len({forgery.signature for forgery in forgeries}) == 5  # each way differs from the others


def test_begini_signs_with_sha512_in_lowercase_hex() -> None:
    # RFC 4231, test case 2.
    signature = Signer("Jefe").sign(b"what do ya want for nothing?")
    assert signature.startswith("164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554")
    assert (
        Signer("Jefe", "sha256").sign(b"what do ya want for nothing?").startswith("5bdcc146bf60754e6a042426")
    )


def test_fractions_are_of_the_genuine_webhooks_and_rounded_up() -> None:
    plan = plan_of(seed=7, mix=Mix(duplicates=0.25, late=0.001, revisions=0.5, forged=0.1), journey_count=40)
    kinds = Counter(item.kind for item in plan)
    scores = sum(item.event_type.endswith("_score.complete") for item in of_kind(plan, Kind.NEW))
    genuine = kinds[Kind.NEW] + kinds[Kind.REVISION]
    assert kinds[Kind.REVISION] == -(-scores // 2)
    assert kinds[Kind.DUPLICATE] == -(-genuine // 4)
    assert kinds[Kind.FORGED] == -(-genuine // 10)
    assert kinds[Kind.LATE] == 1


def test_without_a_mix_all_is_new() -> None:
    assert {item.kind for item in plan_of(seed=7, mix=Mix())} == {Kind.NEW}


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan")])
def test_a_fraction_outside_0_to_1_is_refused(fraction: float) -> None:
    with pytest.raises(ValueError, match="the fraction of late must be from 0 to 1"):
        Mix(late=fraction)


@given(seeds)
def test_late_repeats_come_last_and_a_duplicate_goes_out_with_its_twin(seed: int) -> None:
    plan = plan_of(seed=seed)
    sent: set[bytes] = set()
    tracks, late = rounds(plan)
    for track in tracks:
        assert len({item.journey for together in track for item in together}) == 1
        for together in track:
            assert len({item.body for item in together}) == 1
            kinds = [item.kind for item in together]
            assert len(kinds) == 1 or (
                kinds[1:] == [Kind.DUPLICATE] and kinds[0] in {Kind.NEW, Kind.REVISION}
            )
            if kinds[0] is not Kind.FORGED:
                assert together[0].body not in sent
                sent.add(together[0].body)
    assert all(item.kind is Kind.LATE and item.body in sent for track in late for (item,) in track)
    flat = [item for tracks in (tracks, late) for track in tracks for together in track for item in together]
    assert flat == list(plan)


@given(seeds)
def test_a_revision_follows_its_first_version(seed: int) -> None:
    begun: set[tuple[int, str]] = set()
    for item in plan_of(seed=seed):
        if item.kind is Kind.NEW:
            begun.add((item.journey, item.event_type))
        if item.kind is Kind.REVISION:
            assert (item.journey, item.event_type) in begun


def test_nothing_of_the_applicant_or_the_key_is_printed() -> None:
    item = plan_of(seed=1)[0]
    shown = repr((item, drawn(seed=1)[0], Signer(KEY), forge(item.body, Signer(KEY), Random(1))))
    assert item.uid not in shown
    assert item.signature not in shown
    assert KEY not in shown
    assert "application_started_at" not in shown
