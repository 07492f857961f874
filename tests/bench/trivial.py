"""The trivial server: one epoll that answers every read with the same bytes.

It does nothing that a webhook receiver must do, so what the load generator reaches against it is the load
generator's own limit: `python -m bench.trivial PORT`.
"""

import select
import socket
import sys

_BODY = b'{"id":"00000000-0000-8000-8000-000000000000","status":"accepted"}'
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nserver: trivial\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    % len(_BODY)
) + _BODY


def serve(listener: socket.socket) -> None:
    """Answer for ever. A request arrives in one read, for a client sends it in one write."""
    epoll = select.epoll()
    epoll.register(listener.fileno(), select.EPOLLIN)
    connections: dict[int, socket.socket] = {}
    while True:
        for fd, _ in epoll.poll():
            if (connection := connections.get(fd)) is not None:
                try:
                    asked = connection.recv(65536)
                except ConnectionError:
                    asked = b""
                if asked:
                    connection.send(_ANSWER)
                else:
                    epoll.unregister(fd)
                    connections.pop(fd).close()
            else:
                connection, _ = listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connections[connection.fileno()] = connection
                epoll.register(connection.fileno(), select.EPOLLIN)


if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=256) as server:
        serve(server)
