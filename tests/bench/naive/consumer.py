"""The consumer: a unary gRPC server that takes an event per call. `python -m bench.naive.consumer PORT`."""

import sys

import grpc
import uvloop

SERVICE = "naive.Consumer"
DELIVER = f"/{SERVICE}/Deliver"


async def deliver(event: bytes, context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
    """Take an event: 8 bytes of id, then its body. Returning means it is processed."""
    del event, context
    return b""


async def main(port: int) -> None:
    server = grpc.aio.server()
    # No serializers: messages are bytes already, which is the fastest that they can be.
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(deliver)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"Deliver": handler}),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
