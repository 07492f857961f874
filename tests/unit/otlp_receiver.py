"""Receivers of OTLP that keep what came with each request and answer as they are told to."""

import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as metrics_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as traces_grpc


class Receiver:
    """What came, and what to answer."""

    def __init__(self, scheme: str, host: str) -> None:
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        """The path or the method's name, headers, and the message."""
        self.rejects = 0
        self.status = 200
        """Of answers over HTTP."""
        self.port = 0
        self._scheme = scheme
        self._host = host

    @property
    def endpoint(self) -> str:
        return f"{self._scheme}://{self._host}:{self.port}"

    def span_answer(self) -> traces.ExportTraceServiceResponse:
        return traces.ExportTraceServiceResponse(partial_success={"rejected_spans": self.rejects})

    def metric_answer(self) -> metrics.ExportMetricsServiceResponse:
        return metrics.ExportMetricsServiceResponse(partial_success={"rejected_data_points": self.rejects})


@contextmanager
def over_grpc(certificate: Path | None = None, key: Path | None = None) -> Iterator[Receiver]:
    """Receive over gRPC; over TLS if there is a certificate."""
    receiver = Receiver("https" if certificate else "http", "localhost")

    class Traces(traces_grpc.TraceServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:  # noqa: N802
            receiver.requests.append(("traces", dict(context.invocation_metadata()), request))
            return receiver.span_answer()

    class Metrics(metrics_grpc.MetricsServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:  # noqa: N802
            receiver.requests.append(("metrics", dict(context.invocation_metadata()), request))
            return receiver.metric_answer()

    server = grpc.server(ThreadPoolExecutor(2))
    traces_grpc.add_TraceServiceServicer_to_server(Traces(), server)
    metrics_grpc.add_MetricsServiceServicer_to_server(Metrics(), server)
    if certificate and key:
        credentials = grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])
        receiver.port = server.add_secure_port("localhost:0", credentials)
    else:
        receiver.port = server.add_insecure_port("localhost:0")
    server.start()
    try:
        yield receiver
    finally:
        server.stop(grace=0).wait()


@contextmanager
def over_http(certificate: Path | None = None, key: Path | None = None) -> Iterator[Receiver]:
    """Receive over HTTP."""
    receiver = Receiver("https" if certificate else "http", "localhost")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            of_spans = self.path.endswith("traces")
            kind = traces.ExportTraceServiceRequest if of_spans else metrics.ExportMetricsServiceRequest
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.requests.append((self.path, headers, kind.FromString(body)))
            answer = receiver.span_answer() if of_spans else receiver.metric_answer()
            self.send_response(receiver.status)
            content = answer.SerializeToString()
            self.send_header("Content-Length", str(len(content)))
            if receiver.status == 301:
                self.send_header("Location", "/elsewhere")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("localhost", 0), Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    receiver.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
