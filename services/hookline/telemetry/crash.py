"""What is logged when an error reaches the end of a thread, an object or the process, and nobody has handled it."""

import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

import structlog

from hookline.telemetry.failure import report

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_log = structlog.get_logger(__name__)


def log_crashes(flush: Callable[[], object]) -> None:
    """Log unhandled errors as all others are; Python's own tracebacks quote messages, which may hold payloads.

    Args:
        flush: Writes what was logged: the process may have a moment to live.
    """
    told_by_python = sys.excepthook

    def on_error(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, Exception):
            report(_log, "an error was not handled: this process ends", error)
            flush()
        else:  # Ctrl-C
            flush()
            told_by_python(kind, error, trace)

    def on_thread_error(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            thread = args.thread.name if args.thread is not None else ""
            report(_log, "an error was not handled: a thread ends", args.exc_value, thread=thread)

    def on_unraisable(args: "UnraisableHookArgs") -> None:
        if args.exc_value is not None:
            report(_log, "an error was not handled: nobody could be told", args.exc_value)

    sys.excepthook, threading.excepthook, sys.unraisablehook = on_error, on_thread_error, on_unraisable
