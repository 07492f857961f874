"""Wide log lines: one for each webhook and each attempt, with all that is known of it."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Literal

import msgspec
import structlog

Choice = Literal["all", "failures", "none"]
"""Which of them are written: `telemetry.log_webhooks`."""

_DELETE = 0x7F
_encode = msgspec.json.Encoder().encode
_log = structlog.get_logger(__name__)


class WideLine(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """What all of them have; each kind adds its own. What is unknown is left out.

    A struct that is encoded as it stands, and not a structlog event: at 15,000 webhooks a second a line may cost a
    few microseconds, and structlog's way takes four times as long (docs/logging.md).
    """

    timestamp: datetime
    level: Literal["info", "warning"]
    event: str


WideLineWriter = Callable[[WideLine], None]


def to_json(line: WideLine) -> bytes:
    """The line as JSON, in printable ASCII whatever it holds."""
    try:
        text = _encode(line)
    except UnicodeEncodeError:  # half of a surrogate pair
        return _to_ascii(line)
    return text if text.isascii() and _DELETE not in text else _to_ascii(line)


def _to_ascii(line: WideLine) -> bytes:
    # Slower, and escapes what msgspec lets stand: DEL, and all that isn't ASCII.
    return json.dumps(msgspec.to_builtins(line)).encode("ascii")


def through_structlog(line: WideLine) -> None:
    """Write the line as all other log lines are written."""
    fields = {name: value for name, value in msgspec.to_builtins(line).items() if name not in _OF_STRUCTLOG}
    _log.log(_LEVELS[line.level], line.event, **fields)


_OF_STRUCTLOG = frozenset({"timestamp", "level", "event"})
_LEVELS = {"info": 20, "warning": 30}
