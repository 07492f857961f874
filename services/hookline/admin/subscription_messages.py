"""Subscriptions as messages, and what clients may say about them."""

from typing import Final

from google.protobuf.field_mask_pb2 import FieldMask

from hookline.admin import fields
from hookline.admin.push_messages import read_push, write_push
from hookline.admin.retry_messages import read_retry, write_retry
from hookline.core.filter import Filter
from hookline.core.retry import RetryPolicy
from hookline.core.subscription import AfterDeadLetter, Ordering, Subscription
from hookline.model import SubscriptionName
from hookline.rpc import invalid
from hookline.store.subscription_changes import StoredSubscription
from hookline.store.subscriptions import NAME
from hookline.v1 import subscription_pb2 as pb

_USUAL: Final = Subscription(SubscriptionName("usual"))
_ORDERINGS: Final[dict[int, Ordering]] = {
    pb.ORDERING_UNSPECIFIED: "none",
    pb.ORDERING_NONE: "none",
    pb.ORDERING_KEY: "key",
}
_AFTER_DEAD_LETTER: Final[dict[int, AfterDeadLetter]] = {
    pb.AFTER_DEAD_LETTER_UNSPECIFIED: "continue",
    pb.AFTER_DEAD_LETTER_CONTINUE: "continue",
    pb.AFTER_DEAD_LETTER_BLOCK: "block",
}
_UNCHANGEABLE: Final = {
    "name": "a subscription keeps its name",
    "paused": "call PauseSubscription or ResumeSubscription",
    "etag": "it changes by itself; set it in the subscription to change only what you have seen",
    "create_time": "it never changes",
    "update_time": "it changes by itself",
}
CHANGEABLE: Final = tuple(
    field.name for field in pb.Subscription.DESCRIPTOR.fields if field.name not in _UNCHANGEABLE
)
"""The fields that an update may name."""


def read_name(path: str, name: str) -> SubscriptionName:
    """The name of a subscription.

    Raises:
        RpcError: It can't be one.
    """
    if not NAME.fullmatch(name):
        raise fields.wrong(
            path,
            f"{fields.shown(name)} can't be the name of a subscription; use at most 63 lower-case letters, digits, "
            "'-' and '_', with a letter or digit first",
        )
    return SubscriptionName(name)


def read_subscription(message: pb.Subscription) -> Subscription:
    """The subscription that a message describes; what isn't set is as usual.

    Raises:
        RpcError: It describes none; says which field is wrong and how.
    """
    at = "subscription"
    if message.ordering not in _ORDERINGS:
        raise fields.wrong(f"{at}.ordering", f"{message.ordering} is none of Ordering's values")
    if message.after_dead_letter not in _AFTER_DEAD_LETTER:
        raise fields.wrong(
            f"{at}.after_dead_letter", f"{message.after_dead_letter} is none of AfterDeadLetter's values"
        )
    subscription = Subscription(
        name=read_name(f"{at}.name", message.name),
        sources=fields.globs(f"{at}.sources", message.sources),
        types=fields.globs(f"{at}.types", message.types),
        expression=message.expression,
        ordering=_ORDERINGS[message.ordering],
        after_dead_letter=_AFTER_DEAD_LETTER[message.after_dead_letter],
        ack_deadline=(
            fields.duration(f"{at}.ack_deadline", message.ack_deadline)
            if message.HasField("ack_deadline")
            else _USUAL.ack_deadline
        ),
        retry=read_retry(f"{at}.retry", message.retry) if message.HasField("retry") else RetryPolicy(),
        push=read_push(f"{at}.push", message.push) if message.HasField("push") else None,
        dead_letter_retention=(
            fields.duration(f"{at}.dead_letter_retention", message.dead_letter_retention)
            if message.HasField("dead_letter_retention")
            else _USUAL.dead_letter_retention
        ),
    )
    if subscription.after_dead_letter == "block" and not subscription.is_ordered:
        raise fields.wrong(
            f"{at}.after_dead_letter", "only events of one key can wait; set ordering to ORDERING_KEY as well"
        )
    _check_expression(f"{at}.expression", subscription)
    return subscription


def write_subscription(stored: StoredSubscription) -> pb.Subscription:
    """The message that describes a subscription."""
    subscription = stored.subscription
    message = pb.Subscription(
        name=subscription.name,
        sources=subscription.sources,
        types=subscription.types,
        expression=subscription.expression,
        ordering=pb.ORDERING_KEY if subscription.is_ordered else pb.ORDERING_NONE,
        after_dead_letter=(
            pb.AFTER_DEAD_LETTER_BLOCK
            if subscription.after_dead_letter == "block"
            else pb.AFTER_DEAD_LETTER_CONTINUE
        ),
        retry=write_retry(subscription.retry),
        push=write_push(subscription.push) if subscription.push is not None else None,
        paused=subscription.paused,
        etag=etag(stored),
    )
    message.ack_deadline.FromTimedelta(subscription.ack_deadline)
    message.dead_letter_retention.FromTimedelta(subscription.dead_letter_retention)
    message.create_time.FromDatetime(stored.created_at)
    message.update_time.FromDatetime(stored.updated_at)
    return message


def etag(stored: StoredSubscription) -> str:
    """The version, and when it was created: one of the same name that came later begins at 1 again."""
    return f"{stored.subscription.version}-{int(stored.created_at.timestamp() * 1000):x}"


def merge(current: pb.Subscription, wanted: pb.Subscription, mask: FieldMask | None) -> pb.Subscription:
    """The current subscription with the fields of the mask as they are wanted.

    Args:
        current: As it is.
        wanted: The new values.
        mask: Which fields; "*" is all of them, None those that are set.

    Raises:
        RpcError: The mask names a field that doesn't exist or can't be changed.
    """
    if mask is None:
        mask = FieldMask(paths=[field.name for field, _ in wanted.ListFields() if field.name in CHANGEABLE])
    elif list(mask.paths) == ["*"]:
        mask = FieldMask(paths=CHANGEABLE)
    for path in mask.paths:
        _check_path(path)
    merged = pb.Subscription()
    merged.CopyFrom(current)
    mask.MergeMessage(wanted, merged, replace_message_field=True, replace_repeated_field=True)
    return merged


def _check_path(path: str) -> None:
    field, _, _ = path.partition(".")
    if not FieldMask(paths=[path]).IsValidForDescriptor(pb.Subscription.DESCRIPTOR):
        raise invalid(
            "UNKNOWN_FIELD",
            f"update_mask: a subscription has no field {fields.shown(path)}; known are {', '.join(CHANGEABLE)}",
        )
    if field in _UNCHANGEABLE:
        raise invalid(
            "UNCHANGEABLE_FIELD", f"update_mask: {field!r} can't be changed: {_UNCHANGEABLE[field]}"
        )


def _check_expression(path: str, subscription: Subscription) -> None:
    try:
        Filter(sources=subscription.sources, types=subscription.types, expression=subscription.expression)
    except ValueError as error:
        raise invalid("INVALID_EXPRESSION", f"{path}: {error}") from None
