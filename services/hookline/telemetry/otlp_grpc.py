"""OTLP over gRPC. Imported only where it is wanted: it brings all of gRPC, 17 MB in an edge."""

from typing import Any

from grpc import RpcError, StatusCode
from opentelemetry.exporter.otlp.proto.grpc.exporter import OTLPExporterMixin
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

from hookline.telemetry.collector import Collector

_MOST_POINTS = 5_000
"""In one message: a collector refuses more than 4 MiB."""


class _Heard(OTLPExporterMixin[Any, Any, Any, Any]):
    """Tells what the exporter of the SDK keeps to itself: why a request failed, and what was rejected."""

    collector: Collector
    _channel: Any
    _client: Any

    def _initialize_channel_and_stub(self) -> None:
        # The exporter has no public place to hear of answers; a test for each signal shows that this is one.
        super()._initialize_channel_and_stub()  # type: ignore[no-untyped-call]
        self._client = _Client(self._client, self)

    def reconnect(self) -> None:
        """Use the connection no more: one that went silent may stay so until the kernel gives up on it."""
        if not self._shutdown:
            self._channel.close()
            self._initialize_channel_and_stub()


class _Client:
    """The stub of a service that has `Export` alone."""

    def __init__(self, stub: Any, exporter: _Heard) -> None:
        self._stub = stub
        self._exporter = exporter

    def Export(self, **call: Any) -> Any:  # noqa: N802  (the name in the contract)
        try:
            answer = self._stub.Export(**call)
        except RpcError as error:
            code: StatusCode = error.code()
            self._exporter.collector.reason = code.name
            if code is StatusCode.DEADLINE_EXCEEDED:
                self._exporter.reconnect()
            raise
        partial = answer.partial_success
        self._exporter.collector.rejected(
            partial.rejected_spans if hasattr(partial, "rejected_spans") else partial.rejected_data_points
        )
        return answer


class GrpcSpanExporter(_Heard, OTLPSpanExporter):
    """Exports spans."""

    def __init__(self, endpoint: str, collector: Collector, timeout: float) -> None:
        self.collector = collector
        OTLPSpanExporter.__init__(self, endpoint=endpoint, timeout=timeout)


class GrpcMetricExporter(_Heard, OTLPMetricExporter):
    """Exports metrics."""

    def __init__(self, endpoint: str, collector: Collector, timeout: float) -> None:
        self.collector = collector
        OTLPMetricExporter.__init__(
            self, endpoint=endpoint, timeout=timeout, max_export_batch_size=_MOST_POINTS
        )
