"""Read single fields of a request. A mistake names the field, what is wrong with it, and how to mend it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from hookline.rpc import RpcError, invalid

LONGEST_TEXT = 255
_LONGEST = timedelta(days=36_500)
"""Longer than anybody means, and short enough to be added to a time."""
_FIRST_SECOND = -62_135_596_800
_LAST_SECOND = 253_402_300_799
"""The years 1 and 9999 (google/protobuf/timestamp.proto)."""
_NANOS = 1_000_000_000
_SHOWN = 40


def wrong(path: str, message: str) -> RpcError:
    """A field has a value that it can't have."""
    return invalid("INVALID_FIELD", f"{path}: {message}")


def text(path: str, value: str, *, longest: int = LONGEST_TEXT) -> str:
    """Printable text of a bounded length.

    Raises:
        RpcError: It is something else.
    """
    if len(value) > longest:
        raise wrong(path, f"has {len(value)} characters; at most {longest} fit")
    if not value.isprintable():
        raise wrong(path, f"{shown(value)} has characters that can't be printed; leave them out")
    return value


def globs(path: str, values: Sequence[str], *, most: int = 100) -> tuple[str, ...]:
    """A list of globs; an empty one means everything.

    Raises:
        RpcError: One of them is empty, too long or not printable, or there are too many.
    """
    if len(values) > most:
        raise wrong(path, f"has {len(values)} globs; at most {most} fit")
    for place, value in enumerate(values):
        if not value:
            raise wrong(f"{path}[{place}]", 'is empty; "*" matches everything, and no glob at all does too')
        text(f"{path}[{place}]", value)
    return tuple(values) or ("*",)


def duration(
    path: str, value: Duration, *, least: timedelta | None = None, most: timedelta = _LONGEST
) -> timedelta:
    """A duration, to the microsecond.

    Args:
        path: Where it is, for the message.
        value: What was sent.
        least: The shortest one; None: any that is longer than zero.
        most: The longest one.

    Raises:
        RpcError: It isn't one, or is out of bounds.
    """
    if abs(value.nanos) >= _NANOS or value.seconds * value.nanos < 0:
        raise wrong(path, "isn't a duration: its nanos don't fit its seconds")
    if value.seconds > most.total_seconds():
        raise wrong(path, f"is {value.seconds} s; at most {most} ({most.total_seconds():.0f} s) fit")
    if value.seconds < 0 or value.nanos < 0:
        raise wrong(path, "is negative; a duration can't be")
    read = timedelta(seconds=value.seconds, microseconds=value.nanos // 1000)
    if read > most:
        raise wrong(path, f"is {read}; at most {most} fit")
    if least is None and not read:
        raise wrong(path, "is zero; it must be a microsecond or longer")
    if least is not None and read < least:
        raise wrong(path, f"is {read}; it must be {least} or longer")
    return read


def timestamp(path: str, value: Timestamp) -> datetime:
    """A time, to the microsecond.

    Raises:
        RpcError: It isn't one.
    """
    if not (_FIRST_SECOND <= value.seconds <= _LAST_SECOND and 0 <= value.nanos < _NANOS):
        raise wrong(path, "isn't a time between the years 1 and 9999")
    return value.ToDatetime(tzinfo=UTC)


def shown(value: str) -> str:
    """What somebody sent, short and printable."""
    return repr(value if len(value) <= _SHOWN else value[:_SHOWN] + "…")
