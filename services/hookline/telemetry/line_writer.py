"""Lines to a file descriptor, written by a thread: who logs never waits for who reads."""

import atexit
import os
import select
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

from hookline.telemetry.dropped import count

_MOST_BYTES = 8 * 1024 * 1024
"""Bytes of lines that may wait: more than a second of a busy edge."""
_RESERVE = 1024 * 1024
"""Bytes beyond them that only urgent lines may take."""
_PAUSE = 0.2
"""Seconds in which lines gather before they are written together. While the thread waits for the interpreter, each
callback of the event loop wakes it in vain: at a tenth of this pause an edge spent a tenth of its time so."""
_LARGEST_WRITE = 64 * 1024
"""Bytes of one write: what a pipe holds on Linux."""
_FAREWELL = timedelta(seconds=1)
"""How long the end of the process waits for a reader that doesn't read."""


class LineWriter:
    """Writes lines whole and in order; where nobody reads, it keeps a few megabytes of them and drops the rest.

    What is dropped is counted (`telemetry.dropped`), and said in a line as soon as somebody reads again.

    Args:
        descriptor: Where to write. It may be blocking: only the thread waits for it.
        notice: Makes the line that says how many were dropped.
        is_shared: Other processes write there too. Then it writes less at once: a pipe may tear what is longer than
            PIPE_BUF (https://pubs.opengroup.org/onlinepubs/9799919799/functions/write.html).
        most_bytes: How much may wait.
    """

    def __init__(
        self,
        descriptor: int,
        notice: Callable[[int], bytes],
        *,
        is_shared: bool = False,
        most_bytes: int = _MOST_BYTES,
    ) -> None:
        self._descriptor = descriptor
        self._notice = notice
        self._most_bytes = most_bytes
        self._largest_write = select.PIPE_BUF if is_shared else _LARGEST_WRITE
        self._begin()
        atexit.register(self.close)
        os.register_at_fork(after_in_child=self._begin)

    def __repr__(self) -> str:
        return f"<LineWriter {self._descriptor} held={self._held} dropped={self._dropped}>"

    def _begin(self) -> None:
        """Start the thread. A forked child has none of its parent's threads, and leaves the parent's lines to it."""
        # Reentrant: the garbage collector may run a finalizer that logs while the same thread holds it.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._lines: list[bytes] = []
        self._held = 0
        """Bytes that wait, those being written included."""
        self._held_lines = 0
        self._dropped = 0
        """Lines that nobody was told of yet."""
        self._torn = False
        """The last line was written in part."""
        self._wake = threading.Event()
        self._hurry = threading.Event()
        threading.Thread(target=self._run, name="log lines", daemon=True).start()

    def write(self, line: bytes) -> None:
        """Write a line soon; from any thread, without waiting.

        Args:
            line: Without its end.
        """
        self._put(line, self._most_bytes)

    def write_urgent(self, line: bytes) -> None:
        """The same for a line that there is still room for when others are dropped already."""
        self._put(line, self._most_bytes + _RESERVE)
        self._hurry.set()

    def flush(self, within: timedelta = _FAREWELL) -> bool:
        """Wait until all is written; False if that takes too long."""
        self._hurry.set()
        self._wake.set()
        with self._changed:
            return self._changed.wait_for(lambda: not self._held, within.total_seconds())

    def close(self) -> None:
        """Write what is left, or give it up: the process ends."""
        if not self.flush():
            count("log", self._held_lines)

    def _put(self, line: bytes, most_bytes: int) -> None:
        with self._lock:
            has_room = self._held + len(line) < most_bytes
            if has_room:
                self._lines.append(line)
                self._held += len(line) + 1
                self._held_lines += 1
            else:
                self._dropped += 1
        if not has_room:
            count("log")
        elif not self._wake.is_set():
            self._wake.set()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            self._hurry.clear()
            with self._lock:
                lines, self._lines = self._lines, []
            for chunk, size in _chunks(lines, self._largest_write):
                self._write(chunk, lines=size)
            self._tell_dropped()
            self._hurry.wait(_PAUSE)

    def _write(self, chunk: bytes, *, lines: int) -> None:
        """Write whole lines, however often that takes."""
        rest = memoryview(b"\n" + chunk if self._torn else chunk)
        try:
            while rest:
                try:
                    rest = rest[os.write(self._descriptor, rest) :]
                except BlockingIOError:  # somebody who shares it has made it non-blocking
                    select.select([], [self._descriptor], [])
                else:
                    self._torn = bool(rest)
        except OSError:  # the reader is gone, or the disk is full
            count("log", lines)
        with self._changed:
            self._held -= len(chunk)
            self._held_lines -= lines
            self._changed.notify_all()

    def _tell_dropped(self) -> None:
        with self._lock:
            dropped, self._dropped = self._dropped, 0
            if dropped:
                line = self._notice(dropped)
                self._lines.insert(0, line)
                self._held += len(line) + 1
                self._held_lines += 1
        if dropped:
            self._wake.set()


def _chunks(lines: list[bytes], largest: int) -> Iterator[tuple[bytes, int]]:
    """What to write at once, and of how many lines it is."""
    chunk: list[bytes] = []
    size = 0
    for line in lines:
        if chunk and size + len(line) + 1 > largest:
            yield b"\n".join(chunk) + b"\n", len(chunk)
            chunk, size = [], 0
        chunk.append(line)
        size += len(line) + 1
    if chunk:
        yield b"\n".join(chunk) + b"\n", len(chunk)
