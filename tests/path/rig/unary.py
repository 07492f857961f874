"""A consumer that asks in single calls."""

from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

import grpc
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from hookline.v1 import delivery_pb2 as pb
from hookline.v1.delivery_pb2_grpc import DeliveryServiceStub
from path.rig.access import bearer


class Unary:
    """Pull and Settle on a channel of its own."""

    def __init__(self, target: str, *, token: str = "") -> None:
        self._channel = grpc.aio.insecure_channel(target)
        self._metadata = bearer(token)
        self.stub: Any = DeliveryServiceStub(self._channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._channel.close()

    def call(self, subscription: str = "all", *, events: int = 10, size: int = 0, wait: float = 0) -> Any:
        """A Pull that was sent; await it or cancel it."""
        request = pb.PullRequest(
            subscription=subscription, window=pb.Window(max_events=events, max_bytes=size), consumer="puller"
        )
        if wait:
            request.wait.FromMilliseconds(int(wait * 1000))
        return self.stub.Pull(request, metadata=self._metadata)

    async def pull(self, subscription: str = "all", **request: Any) -> list[pb.Delivery]:
        return list((await self.call(subscription, **request)).deliveries)

    async def settle(
        self, settlements: Iterable[pb.Settlement], *, subscription: str = "all"
    ) -> pb.SettleResponse:
        response: pb.SettleResponse = await self.stub.Settle(
            pb.SettleRequest(subscription=subscription, settlements=settlements), metadata=self._metadata
        )
        return response

    async def ack(self, *deliveries: pb.Delivery) -> pb.SettleResponse:
        return await self.settle(pb.Settlement(token=d.token, ack=pb.Ack()) for d in deliveries)


def refused(error: grpc.aio.AioRpcError) -> tuple[grpc.StatusCode, str]:
    """The code and the reason of a refusal, which must come as a google.rpc.Status that says the same."""
    trailers = dict(error.trailing_metadata() or ())
    status = Status.FromString(trailers["grpc-status-details-bin"])
    info = ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (status.code, status.message) == (error.code().value[0], error.details())
    assert info.domain == "hookline"
    return error.code(), info.reason
