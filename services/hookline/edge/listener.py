"""The edge's listening socket, opened by ourselves: port 0 works, and an address in use is one clear error."""

import socket

from hookline import address
from hookline.errors import ConfigError

BACKLOG = 2048
"""Connections that the kernel keeps for us until they are accepted."""
_MOST_UNSENT = 64 * 1024
"""Bytes of answers that the kernel keeps for a client that doesn't read: by itself it would go up to megabytes."""


def listen(where: str) -> socket.socket:
    """Open a listening socket.

    Raises:
        ConfigError: Nothing can listen there.
    """
    host, port = address.parse(where)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise ConfigError(f"edge.http = {where!r}: can't listen there: {error.strerror}") from None
    # Both are inherited by what is accepted.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _MOST_UNSENT)
    # uvloop sets it by itself; asyncio does not for sockets that it didn't open.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setblocking(False)
    return listener
