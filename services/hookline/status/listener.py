"""The listening socket of a status address."""

import socket

from hookline import address
from hookline.errors import ConfigError

_BACKLOG = 32


def listen(where: str, setting: str) -> socket.socket:
    """Open a listening socket.

    Args:
        where: Host and port.
        setting: Who says so, such as "edge.status".

    Raises:
        ConfigError: Nothing can listen there.
    """
    host, port = address.parse(where)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ConfigError(
            f"{setting} = {where!r}: can't listen there: {error.strerror}; choose another address"
        ) from None


def listen_by_default(where: str) -> tuple[socket.socket, bool]:
    """Open a listening socket at a default address, or, if that is in use, at a free port of the same host.

    Returns:
        The socket, and whether it is at that address.
    """
    try:
        return listen(where, "default"), True
    except ConfigError:
        host, _ = address.parse(where)
        return listen(str(address.Address(host, 0)), "default"), False


def address_of(listener: socket.socket) -> str:
    """Where a socket listens, as people write it."""
    return str(address.Address(*listener.getsockname()[:2]))
