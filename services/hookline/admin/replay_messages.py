"""Replays as protobuf messages."""

import math
import re
from datetime import datetime
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from hookline.admin.fields import globs, shown, timestamp, wrong
from hookline.rpc import invalid
from hookline.store.replays import Replay, Selection, State
from hookline.v1 import replay_pb2 as pb

MOST_EVENTS = 10_000
"""In one replay by event ids."""
_LOWEST_RATE = 0.0001
_HIGHEST_RATE = 1_000_000.0
_NAME = re.compile(r"replays/([1-9][0-9]{0,17})")
_STATES: dict[State, pb.ReplayState.ValueType] = {
    "running": pb.REPLAY_STATE_RUNNING,
    "completed": pb.REPLAY_STATE_COMPLETED,
    "cancelled": pb.REPLAY_STATE_CANCELLED,
    "failed": pb.REPLAY_STATE_FAILED,
}


def read_id(name: str) -> int:
    """The number in a replay's name.

    Raises:
        RpcError: It isn't the name of a replay.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise wrong("name", f'is {shown(name)}; the name of a replay is like "replays/7"')
    return int(match[1])


def read_rate(rate: float) -> float:
    """Deliveries a second; 0 is no limit.

    Raises:
        RpcError: It isn't a rate.
    """
    if rate == 0:
        return 0.0
    if not (math.isfinite(rate) and _LOWEST_RATE <= rate <= _HIGHEST_RATE):
        raise wrong(
            "replay.max_rate",
            f"is {rate:g}; it must be between {_LOWEST_RATE:g} and {_HIGHEST_RATE:g} deliveries a second, or 0 for "
            "as fast as they are settled",
        )
    return rate


def read_filter(message: pb.ReplayFilter) -> Selection:
    """The events that a filter picks.

    Raises:
        RpcError: A glob or a time can't be used.
    """
    where = "replay.filter"
    start = timestamp(f"{where}.start_time", message.start_time) if message.HasField("start_time") else None
    end = timestamp(f"{where}.end_time", message.end_time) if message.HasField("end_time") else None
    if start is not None and end is not None and start >= end:
        raise wrong(f"{where}.end_time", f"is {end}, which isn't after start_time, {start}")
    return Selection(
        sources=globs(f"{where}.sources", message.sources),
        types=globs(f"{where}.types", message.types),
        start_time=start,
        end_time=end,
    )


def read_event_ids(message: pb.EventIds) -> list[UUID]:
    """The named events, each once.

    Raises:
        RpcError: There are none or too many, or one isn't an id.
    """
    if not message.ids:
        raise wrong("replay.events.ids", "is empty; name at least one event, or use `filter`")
    if len(message.ids) > MOST_EVENTS:
        raise invalid(
            "TOO_MANY_EVENTS",
            f"replay.events.ids: has {len(message.ids)} ids; at most {MOST_EVENTS} fit: start several replays, or "
            "use `filter`",
        )
    ids: dict[UUID, None] = {}
    for place, text in enumerate(message.ids):
        try:
            ids[UUID(text)] = None
        except ValueError:
            raise wrong(
                f"replay.events.ids[{place}]", f"is {shown(text)}, which isn't an event's id"
            ) from None
    return list(ids)


def replay_message(replay: Replay) -> pb.Replay:
    """A replay as it is now."""
    message = pb.Replay(
        name=f"replays/{replay.id}",
        subscription=replay.subscription,
        max_rate=replay.max_rate,
        state=_STATES[replay.state],
        scanned=replay.scanned,
        created=replay.created,
        outstanding=replay.outstanding,
        reason=replay.reason,
        create_time=_time(replay.created_at),
        end_time=_time(replay.ended_at),
    )
    selection = replay.selection
    if selection.event_ids is not None:
        message.events.ids.extend(map(str, selection.event_ids))
    else:
        message.filter.CopyFrom(
            pb.ReplayFilter(
                sources=selection.sources,
                types=selection.types,
                start_time=_time(selection.start_time),
                end_time=_time(selection.end_time),
            )
        )
    return message


def _time(time: datetime | None) -> Timestamp | None:
    if time is None:
        return None
    message = Timestamp()
    message.FromDatetime(time)
    return message
