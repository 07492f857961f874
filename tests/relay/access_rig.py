"""Calls of any method, by name, with any token."""

from collections.abc import Sequence
from typing import NamedTuple

import grpc
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from hookline.v1 import delivery_pb2 as pb
from path.rig.access import COUNTS_WITHIN, bearer
from path.rig.stream import PATIENCE
from path.rig.wait import until

REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
SUBSCRIBE = "/hookline.v1.DeliveryService/Subscribe"
PULL = "/hookline.v1.DeliveryService/Pull"
SETTLE = "/hookline.v1.DeliveryService/Settle"
GET = "/hookline.v1.SubscriptionService/GetSubscription"
_STREAMS = frozenset({SUBSCRIBE, REFLECTION})


class Answer(NamedTuple):
    """How a call ended."""

    code: grpc.StatusCode
    reason: str
    """Of its ErrorInfo; "" if there is none."""
    message: str


_WRITTEN_TOO_LATE = Answer(grpc.StatusCode.INTERNAL, "", "")
"""What grpcio makes of a request that is written after the relay has ended the call: the status is hidden."""
_TRIES = 5


class Caller:
    """Calls a relay with bytes, so that a method needs no stub."""

    def __init__(self, target: str) -> None:
        self._channel = grpc.aio.insecure_channel(target)

    async def close(self) -> None:
        await self._channel.close()

    async def call(
        self,
        method: str,
        token: str = "",
        *,
        subscription: str = "all",
        metadata: Sequence[tuple[str, str | bytes]] | None = None,
    ) -> Answer:
        """Call with as little as gets through: a DeliveryService call names its subscription, others say nothing."""
        given = metadata if metadata is not None else bearer(token)
        request = _request(method, subscription)
        for _ in range(_TRIES):
            answer = await self._call(method, request, given)
            if answer != _WRITTEN_TOO_LATE:
                break
        return answer

    async def _call(self, method: str, request: bytes, given: Sequence[tuple[str, str | bytes]]) -> Answer:
        try:
            if method in _STREAMS:
                call = self._channel.stream_stream(method)(iter([request]), metadata=given, timeout=PATIENCE)
                async for _ in call:
                    pass
            else:
                await self._channel.unary_unary(method)(request, metadata=given, timeout=PATIENCE)
        except grpc.aio.AioRpcError as error:
            return Answer(error.code(), _reason(error), error.details() or "")
        return Answer(grpc.StatusCode.OK, "", "")

    async def until(self, expected: grpc.StatusCode, token: str) -> None:
        """Settle nothing until that ends so, as it must within five seconds."""

        async def ends_so() -> bool:
            return (await self.call(SETTLE, token)).code is expected

        await until(ends_so, f"a call is answered {expected.name}", patience=COUNTS_WITHIN)


def _request(method: str, subscription: str) -> bytes:
    window = pb.Window(max_events=1)
    match method:
        case "/hookline.v1.DeliveryService/Subscribe":
            start = pb.Start(subscription=subscription, window=window)
            return pb.SubscribeRequest(start=start).SerializeToString()
        case "/hookline.v1.DeliveryService/Pull":
            return pb.PullRequest(subscription=subscription, window=window).SerializeToString()
        case "/hookline.v1.DeliveryService/Settle":
            return pb.SettleRequest(subscription=subscription).SerializeToString()
        case _:
            return b""


def _reason(error: grpc.aio.AioRpcError) -> str:
    trailers = dict(error.trailing_metadata() or ())
    if "grpc-status-details-bin" not in trailers:
        return ""
    status = Status.FromString(trailers["grpc-status-details-bin"])
    info = ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (status.code, status.message) == (error.code().value[0], error.details())
    assert info.domain == "hookline"
    return info.reason
