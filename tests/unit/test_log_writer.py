"""Log lines go out whole and in order, and nobody waits for who reads them."""

import contextlib
import fcntl
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from time import monotonic

import pytest

from hookline.telemetry import dropped
from hookline.telemetry.line_writer import LineWriter

SOON = timedelta(seconds=10)


class Pipe:
    """Both ends, and who writes to it; what is read is kept."""

    def __init__(self) -> None:
        self.reader, self.descriptor = os.pipe()
        self.received = b""
        self._writers: list[LineWriter] = []

    def writer(self, *, most_bytes: int = 1_000_000) -> LineWriter:
        self._writers.append(LineWriter(self.descriptor, notice, most_bytes=most_bytes))
        return self._writers[-1]

    def read_until(self, enough: Callable[[bytes], bool]) -> bytes:
        while not enough(self.received):
            piece = os.read(self.reader, 65536)
            assert piece, "the other end is open"
            self.received += piece
        return self.received

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self.reader)
        # What still waits is lost now: no thread may write to what gets this descriptor next.
        assert all(writer.flush(SOON) for writer in self._writers)
        os.close(self.descriptor)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


def notice(lines: int) -> bytes:
    return b"dropped %d" % lines


def numbered(number: int, size: int = 100) -> bytes:
    return b"%06d " % number + b"x" * (size - 7)


def dropped_lines() -> int:
    return dropped.counts()["log"]


def test_lines_come_out_whole_and_in_the_order_in_which_each_thread_wrote_them(pipe: Pipe) -> None:
    writer = pipe.writer()
    threads = [
        threading.Thread(target=lambda who=who: [writer.write(b"%d %d" % (who, n)) for n in range(2000)])
        for who in range(4)
    ]
    for thread in threads:
        thread.start()
    lines = pipe.read_until(lambda text: text.count(b"\n") == 8000).decode().splitlines()
    for who in range(4):
        assert [line for line in lines if line.startswith(f"{who} ")] == [f"{who} {n}" for n in range(2000)]
    assert writer.flush(SOON)


def test_a_reader_that_stops_reading_holds_nobody_up_and_what_is_dropped_is_counted_and_said(
    pipe: Pipe,
) -> None:
    writer = pipe.writer(most_bytes=200_000)
    before = dropped_lines()
    slowest = 0.0
    for number in range(10_000):  # a megabyte
        began = monotonic()
        writer.write(numbered(number))
        slowest = max(slowest, monotonic() - began)
    assert slowest < 0.5, "the pipe is full all the time"
    lost = dropped_lines() - before
    # What waits is bounded, beside what the pipe holds itself.
    assert 10_000 - (200_000 + 65536) // 101 - 1 <= lost < 10_000 - 200_000 // 101 + 1
    assert not writer.flush(timedelta(milliseconds=50))

    writer.write_urgent(b"urgent")  # there is room for these
    text = pipe.read_until(lambda text: b"dropped" in text and b"urgent\n" in text).decode()
    assert writer.flush(SOON)
    lines = text.splitlines()
    assert f"dropped {lost}" in lines
    kept = [line for line in lines if line[0] == "0"]
    assert len(kept) == 10_000 - lost
    assert all(len(line) == 100 for line in kept)
    assert kept == sorted(kept)
    assert dropped_lines() - before == lost, "nothing more is lost"


def test_urgent_lines_have_room_that_others_have_not_and_an_end_to_it(pipe: Pipe) -> None:
    writer = pipe.writer(most_bytes=100_000)
    while dropped_lines() == (before := dropped_lines()):
        writer.write(numbered(0, 1000))
        if dropped_lines() > before:
            break
    before = dropped_lines()
    for number in range(1000):
        writer.write_urgent(numbered(number, 1000))
    assert dropped_lines() == before
    for number in range(1000):
        writer.write_urgent(numbered(number, 1000))
    assert 0 < dropped_lines() - before < 1000


def test_a_descriptor_that_somebody_made_non_blocking_tears_no_line(pipe: Pipe) -> None:
    fcntl.fcntl(pipe.descriptor, fcntl.F_SETFL, os.O_NONBLOCK)
    writer = pipe.writer()
    for number in range(5000):
        writer.write(numbered(number))
    lines = pipe.read_until(lambda text: text.count(b"\n") == 5000).splitlines()
    assert lines == [numbered(number) for number in range(5000)]


def test_a_reader_that_is_gone_costs_its_lines_and_nothing_else(pipe: Pipe) -> None:
    writer = pipe.writer()
    writer.write(b"before")
    assert pipe.read_until(lambda text: text.endswith(b"\n")) == b"before\n"
    os.close(pipe.reader)
    before = dropped_lines()
    for number in range(10):
        writer.write(numbered(number))
    assert writer.flush(SOON)
    assert dropped_lines() - before == 10


def test_after_a_write_that_failed_half_way_the_next_line_begins_on_its_own(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = pipe.writer()
    real = os.write
    answers = iter((5, OSError("disk full")))

    def write(descriptor: int, data: memoryview) -> int:
        answer = next(answers, None)
        if isinstance(answer, OSError):
            raise answer
        return real(descriptor, data[:answer])

    monkeypatch.setattr("hookline.telemetry.line_writer.os.write", write)
    before = dropped_lines()
    writer.write(b"0123456789")
    assert writer.flush(SOON)
    writer.write(b"next")
    assert pipe.read_until(lambda text: text.endswith(b"next\n")) == b"01234\nnext\n"
    assert dropped_lines() - before == 1


def test_the_end_of_the_process_waits_for_the_lines_and_not_for_ever(pipe: Pipe) -> None:
    writer = pipe.writer()
    writer.write(b"last words")
    writer.close()
    assert os.read(pipe.reader, 100) == b"last words\n"
    for number in range(2000):
        writer.write(numbered(number))
    before, began = dropped_lines(), monotonic()
    writer.close()
    assert 0.9 < monotonic() - began < 3
    assert dropped_lines() > before


def test_a_finalizer_that_logs_while_a_line_is_taken_does_not_wait_for_itself(pipe: Pipe) -> None:
    writer = pipe.writer()
    with writer._lock:  # as if the garbage collector ran now
        writer.write(b"from a finalizer")
    assert pipe.read_until(lambda text: text.endswith(b"\n")) == b"from a finalizer\n"


def _shout(descriptor: int, letter: bytes) -> None:
    writer = LineWriter(descriptor, notice, is_shared=True)
    for _ in range(4000):
        writer.write(letter * 300)
    writer.close()


def test_processes_that_share_a_pipe_do_not_tear_each_others_lines(pipe: Pipe) -> None:
    spawn = multiprocessing.get_context("fork")
    shouting = [spawn.Process(target=_shout, args=(pipe.descriptor, letter)) for letter in (b"a", b"b", b"c")]
    for process in shouting:
        process.start()
    lines = pipe.read_until(lambda text: text.count(b"\n") >= 12_000).splitlines()
    for process in shouting:
        process.join()
    assert sorted(set(lines)) == [b"a" * 300, b"b" * 300, b"c" * 300]


def test_a_forked_child_writes_its_own_lines_and_not_its_parents(pipe: Pipe) -> None:
    writer = pipe.writer()
    with writer._lock:  # the fork finds it taken, and a line waiting
        writer.write(b"of the parent")
        child = os.fork()
        if child == 0:
            writer.write_urgent(b"of the child")
            writer.flush()
            os._exit(0)
        os.waitpid(child, 0)
    text = pipe.read_until(lambda text: text.count(b"\n") == 2)
    assert sorted(text.splitlines()) == [b"of the child", b"of the parent"]
