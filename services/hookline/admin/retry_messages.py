"""Retry policies as messages."""

from datetime import timedelta

from hookline.admin import fields
from hookline.core.retry import LONGEST_DELAY, ExponentialWait, FixedWait, ListedWait, RetryPolicy, Wait
from hookline.v1 import subscription_pb2 as pb

_MOST_DELAYS = 100
_NONE = timedelta(0)


def read_retry(path: str, message: pb.RetryPolicy) -> RetryPolicy:
    """The policy that a message describes.

    Raises:
        RpcError: It describes none; says where.
    """
    if message.max_attempts < 0:
        raise fields.wrong(
            f"{path}.max_attempts", f"is {message.max_attempts}; 0 means as many as the age allows"
        )
    return RetryPolicy(
        wait=_read_wait(path, message),
        max_attempts=message.max_attempts or None,
        max_age=fields.duration(f"{path}.max_age", message.max_age) if message.HasField("max_age") else None,
    )


def write_retry(policy: RetryPolicy) -> pb.RetryPolicy:
    """The message that describes a policy."""
    message = pb.RetryPolicy(max_attempts=policy.max_attempts or 0)
    if policy.max_age is not None:
        message.max_age.FromTimedelta(policy.max_age)
    match policy.wait:
        case ExponentialWait(min=shortest, max=longest):
            message.exponential.min.FromTimedelta(shortest)
            message.exponential.max.FromTimedelta(longest)
        case FixedWait(delay=delay):
            message.fixed.FromTimedelta(delay)
        case ListedWait(delays=delays):
            for delay in delays:
                message.listed.delays.add().FromTimedelta(delay)
    return message


def _read_wait(path: str, message: pb.RetryPolicy) -> Wait:
    match message.WhichOneof("wait"):
        case "exponential":
            return _read_exponential(f"{path}.exponential", message.exponential)
        case "fixed":
            return FixedWait(fields.duration(f"{path}.fixed", message.fixed, most=LONGEST_DELAY))
        case "listed":
            return _read_listed(f"{path}.listed.delays", message.listed)
        case _:
            return ExponentialWait()


def _read_exponential(path: str, message: pb.ExponentialWait) -> ExponentialWait:
    usual = ExponentialWait()
    shortest, longest = usual.min, usual.max
    if message.HasField("min"):
        shortest = fields.duration(f"{path}.min", message.min, most=LONGEST_DELAY)
    if message.HasField("max"):
        longest = fields.duration(f"{path}.max", message.max, most=LONGEST_DELAY)
    if shortest > longest:
        raise fields.wrong(f"{path}.min", f"is {shortest}, above `max`, which is {longest}; exchange them")
    return ExponentialWait(min=shortest, max=longest)


def _read_listed(path: str, message: pb.ListedWait) -> ListedWait:
    if not message.delays:
        raise fields.wrong(path, "is empty; name at least one delay")
    if len(message.delays) > _MOST_DELAYS:
        raise fields.wrong(path, f"has {len(message.delays)} delays; at most {_MOST_DELAYS} fit")
    last = len(message.delays) - 1
    return ListedWait(
        tuple(
            # The last one stays: zero there would try again for ever without a pause.
            fields.duration(
                f"{path}[{place}]", delay, least=None if place == last else _NONE, most=LONGEST_DELAY
            )
            for place, delay in enumerate(message.delays)
        )
    )
