"""Log lines on standard error: JSON for machines, or columns for people; what outsiders chose is escaped in both."""

import faulthandler
import logging
import sys
from typing import Any

import structlog
from structlog.typing import EventDict, Processor

from hookline.config import Telemetry
from hookline.telemetry import library_log
from hookline.telemetry.crash import log_crashes
from hookline.telemetry.failure import describe
from hookline.telemetry.line_writer import LineWriter
from hookline.telemetry.log_output import LevelledOutput, Output, StandardError
from hookline.telemetry.wide_line import WideLine, WideLineWriter, through_structlog, to_json

_NOT_FOR_PEOPLE = ("span_id", "sampled")
"""Fields that a terminal has no room for; `trace_id` stays."""

_wide: WideLineWriter | None = None
_writer: LineWriter | None = None


def configure(settings: Telemetry, *, serves: bool = False, shares_stderr: bool = False) -> None:
    """Set up logging for this process: everything to standard error, one line each.

    Args:
        settings: `[telemetry]`.
        serves: The process serves others, so it never waits for whoever reads its lines; and it logs how it crashes.
        shares_stderr: Other processes write there too.
    """
    global _wide, _writer  # noqa: PLW0603  (a process has one log, as it has one standard error)
    level: int = getattr(logging, settings.log_level.upper())
    is_json = settings.log_format == "json"
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _tell_failure,
    ]
    if is_json:
        renderer: Processor = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), sort_keys=False)
        shared.append(_for_people)

    def say_dropped(lines: int) -> bytes:
        event: Any = {"event": "log lines dropped", "lines": lines}
        for processor in (*shared, renderer):
            event = processor(None, "warning", event)
        return str(event).encode()

    output: Output = StandardError()
    if serves:
        output = _writer = LineWriter(sys.stderr.fileno(), say_dropped, is_shared=shares_stderr)
        log_crashes(_writer.flush)
        faulthandler.enable()
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: LevelledOutput(output),
        cache_logger_on_first_use=True,
    )
    library_log.redirect(output, shared, renderer, level=level)
    _wide = _json_lines(output, level) if is_json else through_structlog


def wide_line_writer() -> WideLineWriter | None:
    """What writes wide lines in this process. None: nobody has set up a log.

    In an application that isn't ours, such as one that mounts the edge, they go where its structlog says.
    """
    return _wide or (through_structlog if structlog.is_configured() else None)


def flush() -> None:
    """Write what still waits, before somebody else writes to standard error; gives up after a second."""
    if _writer is not None:
        _writer.flush()


def _json_lines(output: Output, level: int) -> WideLineWriter:
    def write(line: WideLine) -> None:
        if level <= logging.INFO or line.level != "info":
            output.write(to_json(line))

    return write


def _tell_failure(_: Any, __: str, fields: EventDict) -> EventDict:
    """Tell an exception by its type and where it came through: its message and locals may hold payloads."""
    error = fields.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()
    if isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        fields["failure"] = describe(error)
    return fields


def _for_people(_: Any, __: str, fields: EventDict) -> EventDict:
    """Keep control characters, also those that turn the direction of text, from a terminal."""
    for name in _NOT_FOR_PEOPLE:
        fields.pop(name, None)
    return {_printable(name): _printable(value) for name, value in fields.items()}


def _printable(value: Any) -> Any:
    # `repr` escapes exactly what isn't printable; of what isn't text, the renderer prints the `repr` anyway.
    return repr(value) if isinstance(value, str) and not value.isprintable() else value
