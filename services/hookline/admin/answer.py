"""Answer a call, or end it with the status that says why not."""

from collections.abc import Awaitable
from typing import TypeVar

import grpc

from hookline.errors import DatabaseUnavailable, StatementRefused
from hookline.rpc import RpcError, abort, unavailable

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")


async def answer(
    context: "grpc.aio.ServicerContext[RequestT, ResponseT]", work: Awaitable[ResponseT]
) -> ResponseT:
    """Wait for the response that `work` makes, and translate what goes wrong."""
    try:
        return await work
    except RpcError as error:
        await abort(context, error)
    except DatabaseUnavailable as error:
        await abort(context, unavailable("DATABASE_UNAVAILABLE", f"{error}; try again"))
    except StatementRefused as error:
        await abort(context, RpcError(grpc.StatusCode.INTERNAL, "STATEMENT_REFUSED", str(error)))
