"""A real OTLP receiver for metrics."""

from types import TracebackType
from typing import Any, Self

import grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc


class MetricsCollector(metrics_service_pb2_grpc.MetricsServiceServicer):
    """Keeps the last value of every series, by the service that sent it."""

    def __init__(self) -> None:
        self.metrics: dict[tuple[str, str], Any] = {}
        """By service and the metric's name."""
        self.exemplars: list[tuple[str, Any]] = []
        """All that ever came, with their metrics' names."""

    async def __aenter__(self) -> Self:
        self._server = grpc.aio.server()
        metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._server.stop(grace=0)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def Export(self, request: Any, context: Any) -> Any:  # noqa: N802  (the name in the contract)
        del context
        for resource in request.resource_metrics:
            attributes = {a.key: a.value.string_value for a in resource.resource.attributes}
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    self.metrics[attributes["service.name"], metric.name] = metric
                    points = metric.histogram.data_points
                    self.exemplars += [(metric.name, one) for point in points for one in point.exemplars]
        return metrics_service_pb2.ExportMetricsServiceResponse()

    def value(self, service: str, name: str, **labels: str) -> float | None:
        """A series' last value, or a histogram's count; None: it never came."""
        metric = self.metrics.get((service, name))
        if metric is None:
            return None
        wanted = {f"hookline.{label}": value for label, value in labels.items()}
        points = getattr(metric, metric.WhichOneof("data")).data_points
        for point in points:
            if {a.key: a.value.string_value for a in point.attributes} == wanted:
                return float(point.count if metric.HasField("histogram") else point.as_int or point.as_double)
        return None
