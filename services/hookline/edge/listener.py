"""The edge's listening socket, opened by ourselves: port 0 works, and an address in use is one clear error."""

import socket

from hookline import address
from hookline.errors import ConfigError

_BACKLOG = 2048


def listen(where: str) -> socket.socket:
    """Open a listening socket.

    Raises:
        ConfigError: Nothing can listen there.
    """
    host, port = address.parse(where)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ConfigError(f"edge.http = {where!r}: can't listen there: {error.strerror}") from None
    listener.setblocking(False)
    return listener
