"""A process that logs all that an outsider could make it log: run with FORMAT and LEVEL, it ends by an error."""

import asyncio
import logging
import sys
import threading
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import structlog

from hookline.config import Telemetry
from hookline.edge.answers import problem
from hookline.edge.lines import WebhookLines
from hookline.edge.observation import Request
from hookline.relay.lines import AttemptLines
from hookline.relay.observation import AttemptEnd
from hookline.telemetry import logs

HOSTILE = "a\nb\r\x1b[31m\x00\x7f\x9b31m\u2028\u202eé\ud800 x=y \U000e0041"
SECRET = "canary-in-a-message"
EVENT = UUID("07e5f6de-8c5d-8a4e-9a40-3f1cbd1d2c3b")
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"
AT = datetime(2026, 1, 31, 12, 0, 0, 250_000, UTC)


def request(**fields: Any) -> Request:
    usual = {
        "source": "begini",
        "method": "POST",
        "client": "192.0.2.1",
        "type": "",
        "size": 0,
        "event_id": None,
        "started": 0.0,
    }
    known: Any = SimpleNamespace(trace=SimpleNamespace(traceparent=TRACEPARENT), **(usual | fields))
    return known


def delivery(**fields: Any) -> Any:
    event = SimpleNamespace(
        event_id=EVENT,
        source="begini",
        type=fields.pop("type", "application.complete"),
        received_at=AT - timedelta(milliseconds=7.25),
        traceparent=TRACEPARENT.replace(SPAN, "1" * 16),
    )
    usual = {
        "attempt": 1, "replay": 0, "consumer": "scoring-1", "hand_over": 3, "traceparent": "",
        "handed_at": AT - timedelta(milliseconds=3.5),
    }  # fmt: skip
    return SimpleNamespace(event=event, **(usual | fields))


def main(format_: Any, level: Any) -> None:
    logs.configure(Telemetry(log_format=format_, log_level=level), serves=True)
    log = structlog.get_logger("test")
    webhooks, attempts = WebhookLines(), AttemptLines("all")

    log.info("told", name=HOSTILE, nested={"in": [HOSTILE]}, plain="two words")
    log.warning(HOSTILE)
    webhooks.answered(request(type=HOSTILE, event_id=EVENT, size=17), answer("accepted", 200))
    webhooks.answered(request(method="X" * 500), answer("bad_signature", 401))
    webhooks.abandoned(request(source=""))
    webhooks.answered(request(), answer("not_stored", 503))
    attempts.attempt_ended(AttemptEnd(delivery(traceparent=TRACEPARENT), "acked", AT))
    attempts.attempt_ended(
        AttemptEnd(
            delivery(consumer=HOSTILE + "n" * 500, type="t" * 500, replay=9, attempt=2, hand_over=0),
            "rejected",
            AT,
            next_in=timedelta(seconds=1.5),
        )
    )
    attempts.attempt_ended(AttemptEnd(delivery(), "expired", AT, is_dead=True))

    library = logging.getLogger("a.library")
    library.info("of no interest")
    library.warning("said %s", HOSTILE)
    library.warning("broken %d", SECRET)
    try:
        fail()
    except ValueError:
        library.exception("it failed")
        log.exception("we failed")
    asyncio.run(forget())
    thread = threading.Thread(target=fail, name="t1")
    thread.start()
    thread.join()
    Bad()
    fail()


def answer(outcome: str, status: int) -> Any:
    return problem(HTTPStatus(status), outcome, "")


async def forget() -> None:
    """Fail in a task that nobody asks, and in a callback."""

    async def task() -> None:
        raise ValueError(SECRET)

    asyncio.get_running_loop().call_soon(fail, SECRET)
    await asyncio.wait({asyncio.create_task(task())})


def fail(argument: str = SECRET) -> None:
    raise ValueError(argument)


class Bad:
    def __del__(self) -> None:
        fail()


if __name__ == "__main__":
    main(*sys.argv[1:])
