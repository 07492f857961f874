from hypothesis import assume, given
from hypothesis import strategies as st

from hookline.model import Seq, Shard, SubscriptionName
from hookline.relay.token import Token, TokenCodec

names = st.from_regex(r"\A[a-z0-9][a-z0-9_-]{0,62}\Z").map(SubscriptionName)
tokens = st.builds(
    Token,
    shard=st.integers(0, 255).map(Shard),
    epoch=st.integers(0, 2**63 - 1),
    seq=st.integers(0, 2**63 - 1).map(Seq),
    attempt=st.integers(0, 2**31),
)


@given(name=names, token=tokens)
def test_what_is_written_is_read(name: SubscriptionName, token: Token) -> None:
    codec = TokenCodec(name)
    assert codec.decode(codec.encode(token.shard, token.epoch, token.seq, token.attempt)) == token


@given(ours=names, theirs=names, token=tokens)
def test_another_subscriptions_token_is_refused(
    ours: SubscriptionName, theirs: SubscriptionName, token: Token
) -> None:
    assume(ours != theirs)
    written = TokenCodec(theirs).encode(token.shard, token.epoch, token.seq, token.attempt)
    assert TokenCodec(ours).decode(written) is None


@given(garbage=st.binary(max_size=64))
def test_garbage_is_refused(garbage: bytes) -> None:
    assert TokenCodec(SubscriptionName("all")).decode(garbage) is None


@given(token=tokens, data=st.data())
def test_a_token_cut_or_lengthened_is_refused(token: Token, data: st.DataObject) -> None:
    codec = TokenCodec(SubscriptionName("all"))
    written = codec.encode(token.shard, token.epoch, token.seq, token.attempt)
    cut = data.draw(st.integers(0, len(written) - 1))
    assert codec.decode(written[:cut]) is None
    assert codec.decode(written + data.draw(st.binary(min_size=1, max_size=8))) is None
