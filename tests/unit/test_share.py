"""fair_share: everyone who sees the same members comes to the same shares, and together they take every shard."""

from hypothesis import given
from hypothesis import strategies as st

from hookline.core.share import fair_share

names = st.text("abcdef0123", min_size=1, max_size=6)
groups = st.sets(names, min_size=1, max_size=12)
shards = st.integers(0, 128)


@given(members=groups, total=shards)
def test_the_shares_take_all_shards_and_differ_by_one_at_most(members: set[str], total: int) -> None:
    shares = [fair_share(members, me, total) for me in members]
    assert sum(shares) == total
    assert max(shares) - min(shares) <= 1


@given(members=groups, total=shards, data=st.data())
def test_a_share_does_not_depend_on_how_the_members_are_told(
    members: set[str], total: int, data: st.DataObject
) -> None:
    me = data.draw(st.sampled_from(sorted(members)))
    told = data.draw(st.permutations(sorted(members)))
    others = [member for member in told if member != me]
    shares = {fair_share(view, me, total) for view in (told, others, told + others, frozenset(members))}
    assert len(shares) == 1


@given(members=groups, total=shards, new=names)
def test_whoever_joins_gets_a_share_and_no_more_than_that_moves(
    members: set[str], total: int, new: str
) -> None:
    before = {member: fair_share(members, member, total) for member in members - {new}}
    grown = members | {new}
    after = {member: fair_share(grown, member, total) for member in grown}
    if new in members:
        return
    # Shards that somebody has to give up: as many as the new member is to have, and none goes between the others.
    given_up = sum(max(0, before[member] - after[member]) for member in before)
    taken = sum(max(0, after[member] - before[member]) for member in before)
    assert given_up == after[new] + taken
    assert taken == 0


@given(members=groups, total=shards, data=st.data())
def test_when_a_member_leaves_the_others_take_its_shards_and_give_up_none(
    members: set[str], total: int, data: st.DataObject
) -> None:
    gone = data.draw(st.sampled_from(sorted(members)))
    left = members - {gone}
    for member in left:
        assert fair_share(left, member, total) >= fair_share(members, member, total)


def test_more_members_than_shards_leave_some_with_nothing() -> None:
    shares = [fair_share("abcdef", me, 4) for me in "abcdef"]
    assert sorted(shares) == [0, 0, 1, 1, 1, 1]
