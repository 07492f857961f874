"""Who an event is: computed alike everywhere, and never the same for two."""

from hashlib import sha256
from uuid import RFC_4122, UUID

from hypothesis import given
from hypothesis import strategies as st

from hookline.core.identity import identify, join
from hookline.model import Identity

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
PARTS = st.lists(TEXT, max_size=5)
SHARDS = st.integers(1, 256)
KEY = st.lists(TEXT, min_size=1, max_size=4)


def event(
    source: str = "begini",
    key: tuple[str, ...] = ("a",),
    body: bytes | None = b"1",
    ordering_key: str = "",
    shards: int = 32,
) -> Identity:
    digest = None if body is None else sha256(body).digest()
    return identify(
        source=source, dedup_key=key, body_sha256=digest, ordering_key=ordering_key, shards=shards
    )


@given(left=PARTS, right=PARTS)
def test_joining_is_injective(left: list[str], right: list[str]) -> None:
    assert (join(left) == join(right)) is (left == right)


@given(parts=PARTS)
def test_what_was_joined_can_be_taken_apart(parts: list[str]) -> None:
    rest, found = join(parts), []
    while rest:
        length, _, rest = rest.partition(":")
        found.append(rest[: int(length)])
        assert rest[int(length) : int(length) + 1] == ","
        rest = rest[int(length) + 1 :]
    assert found == parts


def test_parts_that_only_look_alike_are_different_events() -> None:
    ids = {
        event(source, key).event_id
        for source, key in (
            ("s", ("ab", "c")), ("s", ("a", "bc")), ("s", ("abc",)), ("sa", ("bc",)), ("s", ("abc", "")),
        )
    }  # fmt: skip
    assert len(ids) == 5


@given(source=TEXT, key=KEY, body=st.none() | st.binary(), ordering_key=TEXT, shards=SHARDS)
def test_an_id_is_a_uuid_of_version_8_with_its_shard_in_front(
    source: str, key: list[str], body: bytes | None, ordering_key: str, shards: int
) -> None:
    identity = event(source, tuple(key), body, ordering_key, shards)
    for uuid in (UUID(bytes=identity.event_id), UUID(bytes=identity.lineage)):
        assert (uuid.version, uuid.variant) == (8, RFC_4122)
        assert uuid.bytes[0] == identity.shard
    assert 0 <= identity.shard < shards
    assert event(source, tuple(key), body, ordering_key, shards) == identity


@given(key=KEY, bodies=st.lists(st.binary(), min_size=2, max_size=5, unique=True), ordering_key=TEXT)
def test_revisions_are_different_events_of_one_lineage_and_its_neighbours(
    key: list[str], bodies: list[bytes], ordering_key: str
) -> None:
    identities = [event(key=tuple(key), body=body, ordering_key=ordering_key) for body in bodies]
    assert len({identity.event_id for identity in identities}) == len(bodies)
    assert len({(identity.lineage, identity.shard) for identity in identities}) == 1
    for identity in identities:
        assert identity.lineage <= identity.event_id
        assert identity.lineage[:8] == identity.event_id[:8]


@given(key=KEY)
def test_without_revisions_the_body_does_not_count_and_the_id_is_the_lineage(key: list[str]) -> None:
    identity = event(key=tuple(key), body=None)
    assert identity.event_id == identity.lineage
    assert event(key=tuple(key), body=b"1").lineage[:8] == identity.lineage[:8]


@given(left=st.tuples(TEXT, KEY), right=st.tuples(TEXT, KEY))
def test_different_keys_or_sources_are_different_events(
    left: tuple[str, list[str]], right: tuple[str, list[str]]
) -> None:
    one, other = (event(source, tuple(key)) for source, key in (left, right))
    assert (one.event_id == other.event_id) is (left == right)
    assert (one.lineage == other.lineage) is (left == right)


@given(keys=st.lists(KEY, min_size=2, max_size=5), ordering_key=TEXT.filter(bool), shards=SHARDS)
def test_one_ordering_key_is_one_shard_whatever_the_events(
    keys: list[list[str]], ordering_key: str, shards: int
) -> None:
    found = {event(key=tuple(key), ordering_key=ordering_key, shards=shards).shard for key in keys}
    assert len(found) == 1


def test_keys_spread_over_all_shards() -> None:
    by_key = {event(key=(str(number),)).shard for number in range(1_000)}
    by_ordering = {event(ordering_key=str(number)).shard for number in range(1_000)}
    assert by_key == by_ordering == set(range(32))


def test_an_id_never_changes_from_one_version_to_the_next() -> None:
    # A known answer: if this fails, every webhook that is sent again after an upgrade becomes a second event.
    identity = event("begini", ("int", "A", "application.complete"), b"{}", "A")
    assert (identity.event_id.hex(), identity.lineage.hex()) == KNOWN


KNOWN = ("1bcf7242c7fa8003920fbc8f5186a9b0", "1bcf7242c7fa80038000000000000000")
