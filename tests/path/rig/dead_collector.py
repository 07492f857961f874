"""Collectors that are no good: slow ones, some that hang up, and one that only counts, to compare with."""

import asyncio
import socket
import struct
from types import TracebackType
from typing import Any, Self

import grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc


class CountingCollector(trace_service_pb2_grpc.TraceServiceServicer):
    """Takes spans and metrics over gRPC, and answers after so many seconds."""

    def __init__(self, delay: float = 0.0, *, rejects: int = 0) -> None:
        self.spans = 0
        self.points = 0
        self._delay = delay
        self._rejects = rejects

    async def __aenter__(self) -> Self:
        self._server = grpc.aio.server()
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, self._server)
        metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(_Metrics(self), self._server)
        port = self._server.add_insecure_port("127.0.0.1:0")
        self.endpoint = f"http://127.0.0.1:{port}"
        await self._server.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._server.stop(grace=0)

    async def Export(self, request: Any, context: Any) -> Any:  # noqa: N802  (the name in the contract)
        del context
        await asyncio.sleep(self._delay)
        self.spans += sum(len(scope.spans) for part in request.resource_spans for scope in part.scope_spans)
        return trace_service_pb2.ExportTraceServiceResponse(partial_success={"rejected_spans": self._rejects})

    async def export_metrics(self, request: Any) -> Any:
        await asyncio.sleep(self._delay)
        for part in request.resource_metrics:
            for scope in part.scope_metrics:
                for metric in scope.metrics:
                    self.points += len(getattr(metric, metric.WhichOneof("data")).data_points)
        return metrics_service_pb2.ExportMetricsServiceResponse(
            partial_success={"rejected_data_points": self._rejects}
        )


class _Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
    def __init__(self, collector: CountingCollector) -> None:
        self._collector = collector

    async def Export(self, request: Any, context: Any) -> Any:  # noqa: N802
        del context
        return await self._collector.export_metrics(request)


class Resetting:
    """Accepts each connection, reads a little, and resets it."""

    def __init__(self) -> None:
        self.connections = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.endpoint = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        await reader.read(16)
        # To close without lingering is to reset.
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
