"""One HTTP request of a provider, and what came back."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Literal
from uuid import UUID

import httpx
import msgspec


class Receipt(msgspec.Struct, frozen=True):
    """What Hookline's edge says in the JSON body of its 200."""

    status: Literal["accepted", "duplicate"]
    event_id: UUID
    revision: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """The end of one attempt. Begini takes exactly HTTP 200 with a valid JSON body as a success."""

    status: int | None = None  # None when no whole answer came
    problem: str | None = None  # why it isn't a success, in words; None for a success
    receipt: Receipt | None = None  # None when it isn't Hookline's edge that answered
    retry_after: timedelta | None = None  # how long the endpoint asks to be left alone


async def post(
    client: httpx.AsyncClient, url: str, *, headers: Mapping[str, str], body: bytes, within: timedelta
) -> Reply:
    """Send one webhook once; whatever goes wrong on the way is in the reply and is never raised.

    `within` bounds the whole attempt, from connecting to the last byte of the answer.
    """
    try:
        async with asyncio.timeout(within.total_seconds()):
            response = await client.post(url, headers=headers, content=body)
    except (TimeoutError, httpx.TimeoutException):
        return Reply(problem=f"no answer within {within.total_seconds():g} s")
    except httpx.RequestError as error:
        return Reply(
            problem=f"no answer ({type(error).__name__})"
        )  # the type only: messages may quote anything
    return read(response, now=datetime.now(UTC))


def read(response: httpx.Response, *, now: datetime) -> Reply:
    """Judge an answer as Begini does."""
    if response.status_code != httpx.codes.OK:
        return Reply(
            response.status_code,
            problem=f"HTTP {response.status_code}",
            retry_after=_retry_after(response.headers.get("Retry-After", ""), now),
        )
    try:
        document = msgspec.json.decode(response.content)
    except (ValueError, RecursionError):  # ValueError: msgspec's own errors, and bytes that aren't UTF-8
        return Reply(response.status_code, problem="HTTP 200 without a valid JSON body")
    try:
        return Reply(response.status_code, receipt=msgspec.convert(document, Receipt))
    except msgspec.ValidationError:
        return Reply(response.status_code)


def _retry_after(value: str, now: datetime) -> timedelta | None:
    """Read a Retry-After header: seconds or a date (RFC 9110, 10.2.3). None when it says neither."""
    try:
        if value.isascii() and value.isdigit():
            return timedelta(seconds=int(value))
        return max(timedelta(), parsedate_to_datetime(value) - now)
    except (
        ValueError,
        TypeError,
        OverflowError,
    ):  # no date at all, one without a zone, or a number beyond reason
        return None
