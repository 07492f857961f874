"""What libraries log through the standard library, as lines like our own."""

import logging
import re
from typing import Any

import structlog
from structlog.typing import EventDict, Processor

from hookline.telemetry.log_output import Output

_log = structlog.get_logger(__name__)

_LONGEST_MESSAGE = 1_000
"""Characters of what a library says."""


def redirect(output: Output, shared: list[Processor], renderer: Processor, *, level: int) -> None:
    """Log what is wrong with libraries; nothing else of them is of interest.

    Args:
        output: Where to.
        shared: What is done to each of our own events.
        renderer: Makes a line of it.
        level: The least level of our own lines.
    """
    handler = _Handler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processor=renderer,
            foreign_pre_chain=[structlog.stdlib.add_logger_name, _shorten, *shared],
        )
    )
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)


class _Handler(logging.Handler):
    def __init__(self, output: Output) -> None:
        super().__init__()
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001  (whatever it is, what was being done goes on)
            # Without its arguments, which the standard library's own answer to this prints.
            _log.error("a library's log record is broken", logger=record.name)
        else:
            self._output.write_urgent(line.encode("utf-8", "backslashreplace"))


def _shorten(_: Any, __: str, fields: EventDict) -> EventDict:
    """Keep what a library says short, and values out of it."""
    said = str(fields["event"])
    if fields.get("logger") == "asyncio":
        # It goes on with the arguments of a callback, or the exception of a task.
        said = re.split(r"[\n(<]", said, maxsplit=1)[0].rstrip()
    fields["event"] = said[:_LONGEST_MESSAGE]
    return fields
