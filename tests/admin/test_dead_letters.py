"""Dead letters, looked at, redriven and deleted over gRPC."""

import json
from datetime import timedelta
from fnmatch import fnmatchcase
from random import Random
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from admin.rig import EPOCH, Admin, Notices, refusal, seqs
from hookline.store import dead_letters
from hookline.store.dead_letter_filter import DeadLetterFilter
from hookline.store.session import Session
from hookline.v1 import dead_letter_pb2 as pb

WITHIN = timedelta(seconds=20)
EVERYTHING = pb.DeadLetterFilter()


def time(seconds: float) -> Timestamp:
    moment = Timestamp()
    moment.FromDatetime(EPOCH + timedelta(seconds=seconds))
    return moment


async def get(admin: Admin, name: str, *, with_body: bool = False) -> pb.GetDeadLetterResponse:
    return await admin.dead_letters.GetDeadLetter(pb.GetDeadLetterRequest(name=name, with_body=with_body))


async def names(admin: Admin, *wanted: int) -> pb.DeadLetterNames:
    """The names of the letters at these places of the log."""
    letters = (await admin.list_dead()).dead_letters
    by_seq = dict(zip(seqs(letters), [letter.name for letter in letters], strict=True))
    return pb.DeadLetterNames(names=[by_seq[seq] for seq in wanted])


async def test_the_most_recently_dead_comes_first_and_others_are_not_listed(admin: Admin) -> None:
    await admin.create()
    await admin.create("other")
    dead = await admin.dead("a", "b", reason="bad score")
    dead += await admin.dead("c", shard=3)
    await admin.dead("d", state="waiting")
    await admin.dead("e", subscription="other")
    listed = await admin.list_dead()
    assert seqs(listed.dead_letters) == dead[::-1]
    letter = listed.dead_letters[-1]
    row = (await admin.rows())[0]
    [logged] = await admin.db.fetch("SELECT * FROM hookline.outbox WHERE seq = $1", dead[0])
    assert letter.name.startswith("subscriptions/all/deadLetters/")
    assert (letter.subscription, letter.event_id) == ("all", str(row["event_id"]))
    assert (letter.source, letter.type) == ("begini", "application.complete")
    assert (letter.attempts, letter.reason, letter.replay) == (3, "bad score", "")
    assert letter.receive_time.ToDatetime().replace(tzinfo=None) == logged["received_at"].replace(tzinfo=None)
    assert letter.first_attempt_time == time(0)
    assert letter.dead_time == time(dead[0])


async def test_pages_hold_every_letter_once_while_others_die_and_go(admin: Admin) -> None:
    await admin.create()
    dead = await admin.dead(*"abcdefghij")
    # At the same moment, so that more than the time has to tell them apart.
    await admin.db.execute("UPDATE hookline.deliveries SET changed_at = $1 WHERE seq <= $2", EPOCH, dead[5])
    seen: list[int] = []
    token = ""
    while True:
        page = await admin.list_dead(page_size=3, page_token=token)
        assert len(page.dead_letters) <= 3
        seen += seqs(page.dead_letters)
        token = page.next_page_token
        if not token:
            break
        await admin.dead("new")
        last = pb.DeadLetterNames(names=[page.dead_letters[-1].name])
        assert await admin.delete_dead(dead_letters=last) == 1
    assert seen == dead[::-1]


async def test_a_token_fits_the_question_that_it_came_from_only(admin: Admin) -> None:
    await admin.create()
    await admin.create("other")
    await admin.dead(*"abc")
    token = (await admin.list_dead(page_size=1)).next_page_token
    for call in (
        admin.list_dead("other", page_token=token),
        admin.list_dead(page_token=token, filter=pb.DeadLetterFilter(source="begini")),
        admin.list_dead(page_token=token[:-1]),
        admin.list_dead(page_token="x" + token[1:]),
    ):
        refused = await refusal(call)
        assert (refused.code, refused.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN")
    assert len((await admin.list_dead(page_token=token, page_size=2)).dead_letters) == 2


FILTERS: dict[str, tuple[pb.DeadLetterFilter, str]] = {
    "nothing": (EVERYTHING, "abcd"),
    "a source": (pb.DeadLetterFilter(source="begini"), "ab"),
    "a glob over sources": (pb.DeadLetterFilter(source="*n?"), "abcd"),
    "a glob over types": (pb.DeadLetterFilter(type="*.complete"), "ac"),
    "a whole type, not a part": (pb.DeadLetterFilter(type="complete"), ""),
    "a dot is a dot": (pb.DeadLetterFilter(type="score-failed"), ""),
    "a part of the reason": (pb.DeadLetterFilter(reason_contains="50%"), "b"),
    "a case that differs": (pb.DeadLetterFilter(reason_contains="BAD"), ""),
    "a start": (pb.DeadLetterFilter(dead_after=time(3)), "cd"),
    "an end": (pb.DeadLetterFilter(dead_before=time(3)), "ab"),
    "all of it": (
        pb.DeadLetterFilter(
            source="begini", type="score.*", reason_contains="bad", dead_after=time(1), dead_before=time(3)
        ),
        "b",
    ),
}


@pytest.mark.parametrize("case", FILTERS)
async def test_a_filter_lists_counts_redrives_and_deletes_the_same(admin: Admin, case: str) -> None:
    wanted, fits = FILTERS[case]
    await admin.create()
    letters = {}
    for key, source, type_, reason in (
        ("a", "begini", "application.complete", "no"),
        ("b", "begini", "score.failed", "bad: 50% of it"),
        ("c", "xenini", "application.complete", ""),
        ("d", "xenini", "score.failed", "bad"),
    ):
        [letters[key]] = await admin.dead(key, source=source, type_=type_, reason=reason, shard=len(letters))
    expected = {letters[key] for key in fits}
    assert set(seqs((await admin.list_dead(filter=wanted)).dead_letters)) == expected
    before = await admin.rows()
    assert await admin.redrive(filter=wanted, validate_only=True) == len(fits)
    assert await admin.delete_dead(filter=wanted, validate_only=True) == len(fits)
    assert await admin.rows() == before, "counting changes nothing"
    assert await admin.redrive(filter=wanted) == len(fits)
    assert {seq for seq, state in (await admin.states()).items() if state == "waiting"} == expected
    await admin.db.execute(
        "UPDATE hookline.deliveries SET state = d.state FROM (SELECT 'dead' AS state) AS d"
    )
    await admin.db.executemany(
        "UPDATE hookline.deliveries SET changed_at = $2 WHERE seq = $1",
        [(seq, EPOCH + timedelta(seconds=seq)) for seq in letters.values()],
    )
    assert await admin.delete_dead(filter=wanted) == len(fits)
    assert set(await admin.states()) == set(letters.values()) - expected


async def test_globs_fit_what_they_fit_in_a_subscription(admin: Admin) -> None:
    await admin.create()
    random = Random(3)
    texts = ["", *("".join(random.choices("ab.[]-!^\\é\n", k=random.randint(1, 4))) for _ in range(60))]
    session = Session(admin.dsn, name="test")
    for number in range(150):
        glob = "".join(random.choices("ab.*?[]-!^\\é\n", k=random.randint(1, 5)))
        if "-" in glob and "[" in glob:
            continue  # a range that runs backwards is refused; see below
        pattern = DeadLetterFilter(source=glob).arguments()[0]
        rows = await session.fetch(
            "SELECT n, text ~ $2 AS fits FROM unnest($1::text[]) WITH ORDINALITY AS t (text, n)",
            texts, pattern, within=WITHIN,
        )  # fmt: skip
        fits = {texts[row["n"] - 1] for row in rows if row["fits"]}
        assert fits == {text for text in texts if fnmatchcase(text, glob)}, (number, glob, pattern)
    await session.close()


async def test_one_letter_is_shown_with_all_its_attempts_and_content_only_if_asked(admin: Admin) -> None:
    await admin.create()
    [seq] = await admin.dead("subject-7", body=b'{"a": "\\u0000"}\xff')
    await admin.db.execute(
        "UPDATE hookline.outbox SET headers = $1", json.dumps([["X-A", "1"], ["x-a", "2"]])
    )
    for number, outcome in ((1, "retried"), (2, "lost"), (1, "rejected")):
        await admin.db.execute(
            "INSERT INTO hookline.attempts (ended_at, started_at, seq, replay, attempt, shard, subscription, outcome,"
            " consumer, reason) VALUES (clock_timestamp(), $3, $1, 0, $2, 0, 'all', $4, 'scorer', 'because')",
            seq, number, EPOCH, outcome,
        )  # fmt: skip
    [letter] = (await admin.list_dead()).dead_letters
    shown = await get(admin, letter.name)
    assert shown.dead_letter == letter
    assert [(attempt.number, attempt.outcome) for attempt in shown.attempts] == [
        (1, "retried"),
        (2, "lost"),
        (1, "rejected"),
    ]
    assert (shown.attempts[0].consumer, shown.attempts[0].reason) == ("scorer", "because")
    assert shown.attempts[0].start_time == time(0)
    assert (list(shown.headers), shown.body) == ([], b"")
    assert b"subject-7" not in shown.SerializeToString()
    whole = await get(admin, letter.name, with_body=True)
    assert whole.body == b'{"a": "\\u0000"}\xff', "byte for byte"
    assert list(whole.headers) == ["X-A: 1", "x-a: 2"]


async def test_a_letter_whose_event_is_lost_is_listed_shown_redriven_and_deleted(admin: Admin) -> None:
    await admin.create()
    await admin.dead("a", "b")
    await admin.db.execute("DELETE FROM hookline.outbox")
    first, second = (await admin.list_dead()).dead_letters
    assert (first.type, first.HasField("receive_time")) == ("", False)
    assert (await get(admin, first.name, with_body=True)).body == b""
    assert await admin.redrive(dead_letters=pb.DeadLetterNames(names=[first.name])) == 1
    assert await admin.delete_dead(dead_letters=pb.DeadLetterNames(names=[second.name])) == 1


async def test_a_redriven_letter_begins_anew_and_is_due_at_once(admin: Admin) -> None:
    await admin.create()
    [seq] = await admin.dead("a")
    async with Notices(admin.db) as notices:
        assert await admin.redrive(dead_letters=await names(admin, seq)) == 1
        await notices.wait()
    [row] = await admin.rows()
    assert (row["state"], row["attempt"], row["first_at"], row["portion"]) == ("waiting", 0, None, 1)
    [due] = await admin.db.fetch("SELECT due_at <= clock_timestamp() AS due FROM hookline.deliveries")
    assert due["due"]
    assert not (await admin.list_dead()).dead_letters


async def test_of_a_list_each_is_taken_once_and_what_is_not_dead_is_left_alone(admin: Admin) -> None:
    await admin.create()
    dead = await admin.dead("a", "b", "c")
    which = await names(admin, dead[0], dead[1], dead[0])
    assert await admin.redrive(dead_letters=which, validate_only=True) == 2
    assert await admin.redrive(dead_letters=which) == 2
    assert await admin.redrive(dead_letters=which) == 0
    assert await admin.delete_dead(dead_letters=which) == 0
    assert list((await admin.states()).values()) == ["waiting", "waiting", "dead"]
    refused = await refusal(get(admin, which.names[0]))
    assert (refused.code, refused.reason) == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_DEAD_LETTER")


async def test_a_deleted_letter_leaves_its_history_and_why(admin: Admin) -> None:
    await admin.create()
    [seq] = await admin.dead("a")
    async with Notices(admin.db) as notices:
        assert await admin.delete_dead(dead_letters=await names(admin, seq), reason="a test applicant") == 1
        await notices.wait()
    assert await admin.rows() == []
    [attempt] = await admin.db.fetch("SELECT * FROM hookline.attempts")
    assert (attempt["seq"], attempt["outcome"], attempt["reason"]) == (seq, "deleted", "a test applicant")


async def test_letters_of_a_replay_are_letters_of_their_own(admin: Admin) -> None:
    await admin.create()
    [seq] = await admin.dead("a")
    await admin.db.execute(
        "INSERT INTO hookline.deliveries SELECT seq, 12, due_at, first_at, changed_at + '1 s', event_id, attempt,"
        " portion, shard, subscription, state, source, ordering_key, reason FROM hookline.deliveries"
    )
    of_replay, normal = (await admin.list_dead()).dead_letters
    assert (of_replay.replay, normal.replay) == ("replays/12", "")
    assert of_replay.name != normal.name
    assert await admin.redrive(dead_letters=pb.DeadLetterNames(names=[of_replay.name])) == 1
    assert [(row["seq"], row["replay"], row["state"]) for row in await admin.rows()] == [
        (seq, 0, "dead"),
        (seq, 12, "waiting"),
    ]


async def test_more_than_a_chunk_is_redriven_and_deleted_to_the_last(admin: Admin) -> None:
    await admin.create()
    await admin.db.execute(
        "INSERT INTO hookline.deliveries (seq, due_at, changed_at, event_id, shard, subscription, state, source,"
        " ordering_key) SELECT n, $1, $1, gen_random_uuid(), n % 8, 'all', 'dead', 'begini', ''"
        " FROM generate_series(1, 1999) AS n",
        EPOCH,
    )
    assert await admin.redrive(filter=EVERYTHING) == 1999
    assert set((await admin.states()).values()) == {"waiting"}
    await admin.db.execute("UPDATE hookline.deliveries SET state = 'dead'")
    assert await admin.delete_dead(filter=EVERYTHING) == 1999
    assert await admin.rows() == []


async def test_what_dies_again_while_all_are_redriven_is_left_alone(admin: Admin) -> None:
    await admin.create()
    await admin.dead("a", "b")
    await admin.db.execute(
        "UPDATE hookline.deliveries SET changed_at = clock_timestamp() + interval '1 hour' WHERE seq = 1"
    )
    assert await admin.redrive(filter=EVERYTHING) == 1
    assert list((await admin.states()).values()) == ["dead", "waiting"]


async def test_letters_are_dropped_after_their_subscriptions_retention_and_not_before(admin: Admin) -> None:
    await admin.create("short", dead_letter_retention=Duration(seconds=3600))
    await admin.create("long", dead_letter_retention=Duration(seconds=86400))
    old, young = timedelta(hours=2), timedelta(minutes=30)
    gone = await admin.dead("a", subscription="short", age=old)
    kept = await admin.dead("b", subscription="short", age=young)
    waiting = await admin.dead("w", subscription="short", age=old, state="waiting")
    longer = await admin.dead("c", subscription="long", age=old)
    session = Session(admin.dsn, name="test")
    assert await dead_letters.expire(session, within=WITHIN) == 1
    assert await dead_letters.expire(session, within=WITHIN) == 0
    await session.close()
    assert await admin.states("short") == {kept[0]: "dead", waiting[0]: "waiting"}
    assert await admin.states("long") == {longer[0]: "dead"}
    [attempt] = await admin.db.fetch("SELECT * FROM hookline.attempts")
    assert (attempt["seq"], attempt["outcome"], attempt["reason"]) == (gone[0], "deleted", "retention")


async def test_many_expired_letters_of_many_subscriptions_are_dropped(admin: Admin) -> None:
    for name in ("a", "b", "c"):
        await admin.create(name)
    await admin.db.execute(
        "INSERT INTO hookline.deliveries (seq, due_at, changed_at, event_id, shard, subscription, state, source,"
        " ordering_key) SELECT n, now(), now() - interval '31 days', gen_random_uuid(), n % 8, name, 'dead', 'x', ''"
        " FROM hookline.subscriptions, generate_series(1, 600) AS n"
    )
    session = Session(admin.dsn, name="test")
    assert await dead_letters.expire(session, within=WITHIN) == 1800
    await session.close()


def by_name(subscription: str, *names: str, **values: Any) -> pb.RedriveDeadLettersRequest:
    letters = pb.DeadLetterNames(names=names)
    return pb.RedriveDeadLettersRequest(subscription=subscription, dead_letters=letters, **values)


MISTAKES: dict[str, tuple[pb.RedriveDeadLettersRequest, str, str]] = {
    "no subscription": (pb.RedriveDeadLettersRequest(filter=EVERYTHING), "INVALID_FIELD", "subscription"),
    "neither names nor filter": (pb.RedriveDeadLettersRequest(subscription="all"), "WHICH_EXPECTED", "filter"),
    "no names": (by_name("all"), "INVALID_FIELD", "dead_letters.names"),
    "too many names": (by_name("all", *["x"] * 10_001), "INVALID_FIELD", "10000"),
    "no name": (by_name("all", "7"), "INVALID_DEAD_LETTER_NAME", "'7'"),
    "another's": (by_name("all", "subscriptions/b/deadLetters/1-1"), "INVALID_FIELD", "'b'"),
    "a shard that can't be": (
        by_name("all", "subscriptions/all/deadLetters/99999-1"), "INVALID_DEAD_LETTER_NAME", "names[0]",
    ),
    "a seq that can't be": (
        by_name("all", "subscriptions/all/deadLetters/1-9999999999999999999"), "INVALID_DEAD_LETTER_NAME", "names[0]",
    ),
    "digits of another script": (
        by_name("all", "subscriptions/all/deadLetters/1-٣"), "INVALID_DEAD_LETTER_NAME", "names[0]",
    ),
    "a backward range": (
        pb.RedriveDeadLettersRequest(subscription="all", filter=pb.DeadLetterFilter(type="[z-a]")),
        "INVALID_FIELD", "brackets",
    ),
    "a NUL": (
        pb.RedriveDeadLettersRequest(subscription="all", filter=pb.DeadLetterFilter(reason_contains="a\0")),
        "INVALID_FIELD", "filter.reason_contains",
    ),
    "a long glob": (
        pb.RedriveDeadLettersRequest(subscription="all", filter=pb.DeadLetterFilter(source="x" * 256)),
        "INVALID_FIELD", "filter.source",
    ),
    "an end before the start": (
        pb.RedriveDeadLettersRequest(
            subscription="all", filter=pb.DeadLetterFilter(dead_after=time(2), dead_before=time(1))
        ),
        "INVALID_FIELD", "filter.dead_after",
    ),
    "a time that is none": (
        pb.RedriveDeadLettersRequest(
            subscription="all", filter=pb.DeadLetterFilter(dead_after=Timestamp(seconds=2**62))
        ),
        "INVALID_FIELD", "filter.dead_after",
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
async def test_a_mistake_is_named_and_changes_nothing(admin: Admin, mistake: str) -> None:
    request, reason, said = MISTAKES[mistake]
    await admin.create()
    await admin.dead("a")
    before = await admin.rows()
    delete = pb.DeleteDeadLettersRequest.FromString(request.SerializeToString())
    delete.reason = "not needed"
    for call in (
        admin.dead_letters.RedriveDeadLetters(request),
        admin.dead_letters.DeleteDeadLetters(delete),
    ):
        refused = await refusal(call)
        assert (refused.code, refused.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
        assert said in refused.message
        assert len(refused.message) < 400
    assert await admin.rows() == before


@pytest.mark.parametrize("reason", ["", "  ", "x" * 1001, "a\nb"])
async def test_nothing_is_deleted_without_a_reason(admin: Admin, reason: str) -> None:
    await admin.create()
    refused = await refusal(admin.delete_dead(filter=EVERYTHING, reason=reason))
    assert (refused.code, refused.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert refused.message.startswith("reason: ")


async def test_letters_of_an_unknown_subscription_are_not_found(admin: Admin) -> None:
    for name in ("nope", "NOPE", "a\0b"):
        for call in (
            admin.list_dead(name),
            admin.redrive(name, filter=EVERYTHING),
            admin.delete_dead(name, filter=EVERYTHING),
        ):
            refused = await refusal(call)
            assert (refused.code, refused.reason) == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_SUBSCRIPTION")
    missing = await refusal(get(admin, "subscriptions/nope/deadLetters/1-1"))
    assert missing.reason == "UNKNOWN_DEAD_LETTER"


@pytest.mark.parametrize("statement", ["find_newest", "pick_oldest"])
@pytest.mark.parametrize("plan", ["custom", "generic"])
async def test_a_page_is_read_from_its_index_and_no_further(admin: Admin, statement: str, plan: str) -> None:
    await admin.create()
    await admin.db.execute(
        "INSERT INTO hookline.deliveries (seq, due_at, changed_at, event_id, shard, subscription, state, source,"
        " ordering_key) SELECT n, now(), now() + n * interval '1 s', gen_random_uuid(), n % 8, 'all', 'dead', 'x', ''"
        " FROM generate_series(1, 5000) AS n"
    )
    end = ("infinity", 32767, 2**62, 2**62) if statement == "find_newest" else ("-infinity", 0, 0, 0)
    arguments = ("all", "", "", "", "-infinity", "infinity", *end, 100)
    await admin.db.execute(f"PREPARE p AS {dead_letters._SQL[statement]}")
    await admin.db.execute(f"SET plan_cache_mode = force_{plan}_plan")
    explained = await admin.db.fetchval(
        f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE p ({', '.join(map(repr, map(str, arguments)))})"
    )
    [scan] = [
        node
        for node in _nodes(json.loads(explained)[0]["Plan"])
        if "deliveries" in node.get("Relation Name", "")
    ]
    assert (scan["Node Type"], scan["Index Name"]) == ("Index Scan", "deliveries_dead")
    assert scan["Actual Rows"] == 100, "it stops when the page is full"


def _nodes(plan: Any) -> list[Any]:
    return [plan, *(node for child in plan.get("Plans", []) for node in _nodes(child))]
