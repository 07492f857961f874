"""What becomes of a delivery when the code that worked on it returns or raises."""

import logging
import traceback
from collections.abc import Awaitable, Callable

from hookline.client.delivery import Delivery
from hookline.client.verdict import Reject, Retry

_log = logging.getLogger("hookline.client")

Handler = Callable[[Delivery], Awaitable[object]]
"""Does the work of one delivery. Returning acks it, raising retries it, unless it was settled before."""


async def handle(handler: Handler, delivery: Delivery) -> None:
    """Run the handler and settle the delivery by how it ends.

    A cancellation passes through and settles nothing: only the caller knows whose it is.
    """
    try:
        await handler(delivery)
    except Exception as error:  # noqa: BLE001  (whatever the user's code raises is the delivery's failure)
        settle_failed(delivery, error)
    else:
        delivery.ack()


def settle_failed(delivery: Delivery, error: BaseException) -> None:
    """Give the verdict that follows from what was raised.

    Of an unforeseen error only the type's name is kept: its message may hold personal data.
    """
    match error:
        case _ if delivery.is_settled:
            _log.warning("%r was settled, then %s", delivery, _describe(error))
        case Reject():
            delivery.reject(error.reason)
        case Retry():
            delivery.retry(error.delay, error.reason)
        case _:
            _log.warning("%r is retried: %s", delivery, _describe(error))
            delivery.error_type = type(error).__name__
            delivery.retry(reason=delivery.error_type)
    _log.debug("what was raised", exc_info=error)


def _describe(error: BaseException) -> str:
    where = traceback.extract_tb(error.__traceback__)
    return (
        f"{type(error).__name__} in {where[-1].filename}:{where[-1].lineno}"
        if where
        else type(error).__name__
    )
