"""A collector that takes everything over OTLP/gRPC and looks at none of it: `python -m bench.collector PORT`.

It reads no protobuf, so it is as cheap as one can be. It still takes part of the same cores.
"""

import asyncio
import sys
from typing import Any

import grpc
import uvloop

_TOOK_ALL = b""
"""An empty ExportTraceServiceResponse, and an empty ExportMetricsServiceResponse."""


class _Everything(grpc.GenericRpcHandler):
    def service(self, handler_call_details: Any) -> Any:
        del handler_call_details
        return grpc.unary_unary_rpc_method_handler(_take)


async def _take(request: bytes, context: Any) -> bytes:
    del request, context
    return _TOOK_ALL


async def serve(port: int) -> None:
    """Take exports for ever."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((_Everything(),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1])))
