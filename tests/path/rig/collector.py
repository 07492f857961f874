"""A real OTLP receiver, over gRPC and over HTTP, and a broken one."""

import asyncio
import gzip
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, Self

import grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

Protocol = Literal["grpc", "http/protobuf"]
PROTOCOLS: tuple[Protocol, ...] = ("grpc", "http/protobuf")


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps every span with the service and the scope that sent it, and over which protocols services spoke."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, Any, Any]] = []
        """Service name, ScopeSpans, Span."""
        self.spoken: set[tuple[str, Protocol]] = set()
        """Service name, and how its spans came."""

    async def __aenter__(self) -> Self:
        self._server = grpc.aio.server()
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, self._server)
        metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(_Metrics(), self._server)
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        self._http = _HttpReceiver(self)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._server.stop(grace=0)
        await asyncio.to_thread(self._http.shutdown)
        self._thread.join()
        self._http.server_close()

    @property
    def endpoint(self) -> str:
        """For OTLP/gRPC."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def http_endpoint(self) -> str:
        """For OTLP/HTTP."""
        return f"http://127.0.0.1:{self._http.server_port}"

    def settings(self, protocol: Protocol, **others: Any) -> dict[str, Any]:
        """The table `[telemetry]` of who sends its spans here."""
        endpoint = self.endpoint if protocol == "grpc" else self.http_endpoint
        return {"otlp_endpoint": endpoint, "otlp_protocol": protocol, **others}

    async def Export(self, request: Any, context: Any) -> Any:  # noqa: N802  (the name in the contract)
        del context
        return self.take(request, "grpc")

    def take(self, request: Any, protocol: Protocol) -> Any:
        for resource in request.resource_spans:
            service = {a.key: a.value.string_value for a in resource.resource.attributes}["service.name"]
            self.spoken.add((service, protocol))
            for scope in resource.scope_spans:
                self.spans += [(service, scope, span) for span in scope.spans]
        return trace_service_pb2.ExportTraceServiceResponse()

    def named(self, name: str) -> list[Any]:
        return [span for _, _, span in self.spans if span.name == name]

    def about(self, event_id: str) -> list[Any]:
        """The spans that name an event, the oldest first."""
        found = [span for _, _, span in self.spans if told(span).get("messaging.message.id") == event_id]
        return sorted(found, key=lambda span: span.start_time_unix_nano)


def told(span: Any) -> dict[str, Any]:
    """The attributes of a span, or of a link."""
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in span.attributes}


def traceparent(span: Any) -> str:
    """A span's context, as it travels."""
    return f"00-{span.trace_id.hex()}-{span.span_id.hex()}-01"


def links(span: Any) -> list[str]:
    """What a span is linked to: trace id and span id of each."""
    return [f"{link.trace_id.hex()}-{link.span_id.hex()}" for link in span.links]


def states(span: Any) -> list[str]:
    """The tracestates that came with the links of a span."""
    return [told(link).get("hookline.tracestate", "") for link in span.links]


def ids(traceparent: str) -> str:
    """The same of a context, to compare."""
    return traceparent[3:-3]


class _Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
    """Takes metrics and forgets them."""

    async def Export(self, request: Any, context: Any) -> Any:  # noqa: N802  (the name in the contract)
        del request, context
        return metrics_service_pb2.ExportMetricsServiceResponse()


class _HttpReceiver(ThreadingHTTPServer):
    def __init__(self, collector: Collector) -> None:
        super().__init__(("127.0.0.1", 0), _HttpRequest)
        self.collector = collector


class _HttpRequest(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _HttpReceiver

    def do_POST(self) -> None:
        body = self._body()
        if self.headers["content-encoding"] == "gzip":
            body = gzip.decompress(body)
        if self.path == "/v1/metrics":
            self._answer(HTTPStatus.OK, b"")
            return
        if self.path != "/v1/traces" or self.headers["content-type"] != "application/x-protobuf":
            self._answer(HTTPStatus.NOT_FOUND, b"")
            return
        request = trace_service_pb2.ExportTraceServiceRequest.FromString(body)
        answer = self.server.collector.take(request, "http/protobuf")
        self._answer(HTTPStatus.OK, answer.SerializeToString())

    def _body(self) -> bytes:
        length = self.headers["content-length"]
        if length is not None:
            return self.rfile.read(int(length))
        # JavaScript's exporter doesn't say how much comes (RFC 9112, section 7.1).
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _answer(self, status: HTTPStatus, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the name that http.server gives it)
        """Not to standard error."""


class BlackHole:
    """Accepts connections and never answers."""

    async def __aenter__(self) -> Self:
        self._writers: list[asyncio.StreamWriter] = []
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.endpoint = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _accept(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
