"""A signed timestamp has one text for each time."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.edge.schemes.clock import READERS, read_iso8601, read_milliseconds, read_seconds

EVERY = pytest.mark.parametrize("unit", ["s", "ms", "iso8601"])
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
TIMES = st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=ZONES)  # noqa: DTZ001  (the strategy adds it)


@given(seconds=st.integers(1, 99_999_999_999))
def test_whole_seconds_are_read_as_they_are(seconds: int) -> None:
    assert read_seconds(b"%d" % seconds) == seconds


@given(milliseconds=st.integers(1, 99_999_999_999_999))
def test_whole_milliseconds_are_read_as_they_are(milliseconds: int) -> None:
    assert read_milliseconds(b"%d" % milliseconds) == milliseconds / 1000


@given(time=TIMES)
def test_a_time_with_a_zone_is_that_moment(time: datetime) -> None:
    assert read_iso8601(time.isoformat(timespec="microseconds").encode()) == pytest.approx(
        time.timestamp(), abs=1e-5
    )
    utc = time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ").encode()
    assert read_iso8601(utc) == int(time.replace(microsecond=0).timestamp())


@EVERY
@given(text=st.binary(max_size=40))
def test_whatever_is_written_there_is_a_time_or_none(unit: str, text: bytes) -> None:
    time = READERS[unit](text)  # type: ignore[index]
    assert time is None or isinstance(time, float)


@pytest.mark.parametrize(
    "text",
    [
        b"", b"0", b"-1", b"+1", b"01", b" 1", b"1 ", b"1\n", b"1.0", b"1.", b".5", b"1e9", b"1_0", b"0x1", b"NaN",
        b"inf",
        b"1" * 12, b"9" * 5_000, b"1e309", "\u0661\u0662".encode(), "²".encode("latin-1"), "é".encode(), b"1,000",
        b"1\0", b"true",
    ],
)  # fmt: skip
def test_no_other_spelling_of_seconds_is_read(text: bytes) -> None:
    assert read_seconds(text) is None
    assert read_milliseconds(text) is None or text == b"1" * 12


@pytest.mark.parametrize(
    "text",
    [
        b"2026-09-21", b"2026-09-21T14:13:20", b"2026-09-21 14:13:20Z", b"2026-09-21T14:13Z", b"20260921T141320Z",
        b"2026-W39-1T14:13:20Z", b"2026-09-21t14:13:20z", b"2026-09-21T14:13:20,5Z", b"2026-09-21T14:13:20.Z",
        b"2026-09-21T14:13:20.1234567890Z", b"2026-09-21T14:13:20+0000", b"2026-09-21T14:13:20+00",
        b"2026-09-21T14:13:20ZZ",
        b"2026-09-31T14:13:20Z", b"2026-13-01T14:13:20Z", b"2026-09-21T24:00:01Z", b"2026-09-21T14:13:60Z",
        b"2026-09-21T14:13:20+24:00", b"0000-01-01T00:00:00Z", b"0001-01-01T00:00:00+14:00",
        b"9999-12-31T23:59:59-14:00",
        b"-026-09-21T14:13:20Z", b"2026-09-21T14:13:20Z\n", b" 2026-09-21T14:13:20Z",
        "2026-09-21T14:13:2\u0660Z".encode(),
        b"2026-09-21T14:13:20Z{", b"1790000000",
    ],
)  # fmt: skip
def test_no_other_spelling_of_a_date_is_read(text: bytes) -> None:
    assert read_iso8601(text) is None


@given(time=TIMES, rest=st.binary(min_size=1, max_size=5))
def test_no_date_is_the_beginning_of_another(time: datetime, rest: bytes) -> None:
    """What is signed as timestamp and body without a separator then has one border only."""
    text = time.isoformat(timespec="seconds").encode()
    assert read_iso8601(text) is not None
    assert read_iso8601(text + rest) is None
