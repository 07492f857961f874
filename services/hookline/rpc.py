"""Domain errors as gRPC statuses: google.rpc.Status with ErrorInfo, so that programs can tell them apart too."""

from typing import NoReturn, TypeVar

import grpc
from google.protobuf.any_pb2 import Any
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

DOMAIN = "hookline"

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")


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


def unavailable(reason: str, message: str) -> RpcError:
    """Not now, or not here: try again."""
    return RpcError(grpc.StatusCode.UNAVAILABLE, reason, message)


async def abort(context: "grpc.aio.ServicerContext[RequestT, ResponseT]", error: RpcError) -> NoReturn:
    """End the call with the error's status."""
    detail = Any()
    detail.Pack(ErrorInfo(reason=error.reason, domain=DOMAIN))
    code: int = error.code.value[0]
    status = Status(code=code, message=str(error), details=[detail])
    trailers = (("grpc-status-details-bin", status.SerializeToString()),)
    await context.abort(error.code, str(error), trailing_metadata=trailers)
