"""Domain errors as gRPC statuses: google.rpc.Status with ErrorInfo, so that programs can tell them apart too."""

from collections.abc import Awaitable
from typing import NoReturn, TypeVar

import grpc
from google.protobuf.any_pb2 import Any
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from hookline.errors import DatabaseUnavailable, StatementRefused

DOMAIN = "hookline"

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")
ResultT = TypeVar("ResultT")


class RpcError(Exception):
    """A call can't go on; says why to the client.

    Args:
        code: The gRPC status code.
        reason: Stable, UPPER_SNAKE_CASE, for programs (https://google.aip.dev/193).
        message: For people: what is wrong and how to mend it.
    """

    def __init__(self, code: grpc.StatusCode, reason: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


def invalid(reason: str, message: str) -> RpcError:
    """The request is wrong, now and later."""
    return RpcError(grpc.StatusCode.INVALID_ARGUMENT, reason, message)


def not_found(reason: str, message: str) -> RpcError:
    """What the request names doesn't exist."""
    return RpcError(grpc.StatusCode.NOT_FOUND, reason, message)


def already_exists(reason: str, message: str) -> RpcError:
    """What is to be created is there."""
    return RpcError(grpc.StatusCode.ALREADY_EXISTS, reason, message)


def failed_precondition(reason: str, message: str) -> RpcError:
    """What the request names isn't in a state for it."""
    return RpcError(grpc.StatusCode.FAILED_PRECONDITION, reason, message)


def aborted(reason: str, message: str) -> RpcError:
    """Somebody else was faster: read again, then try again."""
    return RpcError(grpc.StatusCode.ABORTED, reason, message)


def unauthenticated(reason: str, message: str) -> RpcError:
    """It isn't known who calls."""
    return RpcError(grpc.StatusCode.UNAUTHENTICATED, reason, message)


def permission_denied(reason: str, message: str) -> RpcError:
    """It is known who calls, and they may not."""
    return RpcError(grpc.StatusCode.PERMISSION_DENIED, reason, message)


def unavailable(reason: str, message: str) -> RpcError:
    """Not now, or not here: try again."""
    return RpcError(grpc.StatusCode.UNAVAILABLE, reason, message)


def internal(reason: str, message: str) -> RpcError:
    """A mistake of ours, or of whoever runs the database: trying again helps once it is mended."""
    return RpcError(grpc.StatusCode.INTERNAL, reason, message)


async def abort(context: "grpc.aio.ServicerContext[RequestT, ResponseT]", error: RpcError) -> NoReturn:
    """End the call with the error's status."""
    detail = Any()
    detail.Pack(ErrorInfo(reason=error.reason, domain=DOMAIN))
    code: int = error.code.value[0]
    status = Status(code=code, message=str(error), details=[detail])
    trailers = (("grpc-status-details-bin", status.SerializeToString()),)
    await context.abort(error.code, str(error), trailing_metadata=trailers)


async def answer(
    context: "grpc.aio.ServicerContext[RequestT, ResponseT]", work: Awaitable[ResultT]
) -> ResultT:
    """Wait for what `work` makes, a response or a whole stream of them, and translate what goes wrong."""
    try:
        return await work
    except RpcError as error:
        await abort(context, error)
    except DatabaseUnavailable as error:
        await abort(context, unavailable("DATABASE_UNAVAILABLE", f"{error}; try again"))
    except StatementRefused as error:
        await abort(context, internal("STATEMENT_REFUSED", str(error)))
