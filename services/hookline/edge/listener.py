"""The edge's listening socket, opened by ourselves: port 0 works, and an address in use is one clear error."""

import os
import socket

from hookline import address
from hookline.errors import ConfigError

LISTENER = "HOOKLINE_EDGE_LISTENER"
"""Names the file descriptor of a socket that is listening already, for a process of a fleet."""
_BACKLOG = 2048


def listen(where: str, *, shared: bool = False) -> socket.socket:
    """Open a listening socket.

    Args:
        where: The address.
        shared: Whether other sockets may listen on the same address.

    Raises:
        ConfigError: Nothing can listen there.
    """
    host, port = address.parse(where)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG, reuse_port=shared)
    except OSError as error:
        raise ConfigError(f"edge.http = {where!r}: can't listen there: {error.strerror}") from None
    listener.setblocking(False)
    return listener


def inherited() -> socket.socket | None:
    """The socket that was given to this process, if one was."""
    fd = os.environ.get(LISTENER)
    return None if fd is None else socket.socket(fileno=int(fd))
