"""The ruler "naive": the same service as a good engineer would write it in an afternoon.

    edge        Starlette, uvicorn with uvloop and httptools, asyncpg: a transaction per request
    relay       SELECT … FOR UPDATE SKIP LOCKED LIMIT 100, a unary gRPC call per event, 32 at a time
    consumer    a unary gRPC server
    service     starts them for a measure

It is meant to be good at what it does: nothing in it is slower than its design makes it.
"""
