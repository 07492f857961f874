"""Dead letters as messages, their names, and the filters that pick them."""

import re
from collections.abc import Sequence

from hookline.admin import fields
from hookline.model import Seq, Shard, SubscriptionName
from hookline.rpc import invalid
from hookline.store.dead_letter_filter import EVER, NEVER, DeadLetterFilter
from hookline.store.dead_letters import DeadLetter, LetterId, PastAttempt
from hookline.store.subscriptions import NAME
from hookline.v1 import dead_letter_pb2 as pb

MOST_NAMES = 10_000
_LETTER = re.compile(
    rf"subscriptions/(?P<subscription>{NAME.pattern})/deadLetters/"
    r"(?P<shard>[0-9]{1,5})-(?P<seq>[0-9]{1,19})(?:-(?P<replay>[0-9]{1,19}))?"
)
_HIGHEST_SHARD = 2**15 - 1
_HIGHEST = 2**63 - 1


def read_letter_name(path: str, name: str) -> tuple[SubscriptionName, LetterId]:
    """Whose dead letter it is, and which.

    Raises:
        RpcError: It isn't the name of one.
    """
    found = _LETTER.fullmatch(name)
    if found:
        letter = LetterId(Shard(int(found["shard"])), Seq(int(found["seq"])), int(found["replay"] or 0))
        if letter.shard <= _HIGHEST_SHARD and letter.seq <= _HIGHEST and letter.replay <= _HIGHEST:
            return SubscriptionName(found["subscription"]), letter
    raise invalid(
        "INVALID_DEAD_LETTER_NAME",
        f"{path}: {fields.shown(name)} isn't the name of a dead letter, which reads "
        '"subscriptions/{subscription}/deadLetters/{id}"; ListDeadLetters names them',
    )


def read_letter_names(path: str, subscription: SubscriptionName, names: Sequence[str]) -> list[LetterId]:
    """The dead letters of one subscription that a list names.

    Raises:
        RpcError: There are none or too many, or one isn't the name of a dead letter of this subscription.
    """
    if not names:
        raise fields.wrong(path, "names none; an empty `filter` picks all")
    if len(names) > MOST_NAMES:
        raise fields.wrong(path, f"names {len(names)}; at most {MOST_NAMES} fit into a call")
    letters = []
    for place, name in enumerate(names):
        whose, letter = read_letter_name(f"{path}[{place}]", name)
        if whose != subscription:
            raise fields.wrong(f"{path}[{place}]", f"is a dead letter of {whose!r}, not of {subscription!r}")
        letters.append(letter)
    return letters


def read_filter(path: str, message: pb.DeadLetterFilter) -> DeadLetterFilter:
    """The filter that a message describes.

    Raises:
        RpcError: It describes none; says which field is wrong and how.
    """
    after, before = EVER, NEVER
    if message.HasField("dead_after"):
        after = fields.timestamp(f"{path}.dead_after", message.dead_after)
    if message.HasField("dead_before"):
        before = fields.timestamp(f"{path}.dead_before", message.dead_before)
    if after >= before:
        raise fields.wrong(f"{path}.dead_after", "isn't before `dead_before`: nothing lies between them")
    return DeadLetterFilter(
        source=fields.text(f"{path}.source", message.source),
        type=fields.text(f"{path}.type", message.type),
        reason_contains=fields.text(f"{path}.reason_contains", message.reason_contains),
        dead_after=after,
        dead_before=before,
    )


def write_dead_letter(subscription: SubscriptionName, letter: DeadLetter) -> pb.DeadLetter:
    """The message that describes a dead letter."""
    shard, seq, replay = letter.id
    message = pb.DeadLetter(
        name=f"subscriptions/{subscription}/deadLetters/{shard}-{seq}" + (f"-{replay}" if replay else ""),
        subscription=subscription,
        event_id=str(letter.event_id),
        source=letter.source,
        type=letter.type,
        attempts=letter.attempts,
        reason=letter.reason,
        replay=f"replays/{replay}" if replay else "",
    )
    if letter.received_at is not None:
        message.receive_time.FromDatetime(letter.received_at)
    if letter.first_at is not None:
        message.first_attempt_time.FromDatetime(letter.first_at)
    message.dead_time.FromDatetime(letter.dead_at)
    return message


def write_attempt(attempt: PastAttempt) -> pb.Attempt:
    """The message that describes an attempt."""
    message = pb.Attempt(
        number=attempt.number, outcome=attempt.outcome, reason=attempt.reason, consumer=attempt.consumer
    )
    message.start_time.FromDatetime(attempt.started_at)
    message.end_time.FromDatetime(attempt.ended_at)
    return message
