"""Several edge processes behind one port: one event loop uses one core.

Each process has a listening socket of its own on the same address (SO_REUSEPORT), and the kernel spreads connections
over them. The sockets are opened here and outlive the processes: what connects while one is started again waits.
"""

import asyncio
import os
import socket
from contextlib import AsyncExitStack

import structlog

from hookline import address
from hookline.child import Child
from hookline.config import Settings
from hookline.edge.listener import LISTENER, listen
from hookline.process import Stop

_log = structlog.get_logger(__name__)

STOP_PATIENCE = 20.0
"""Seconds that a process may take to finish its requests."""


async def serve(settings: Settings, arguments: tuple[str, ...]) -> None:
    """Keep the processes running until told to stop.

    Args:
        settings: How many, and where they listen.
        arguments: Command-line arguments for each of them.
    """
    stop = Stop()
    # Alone at first: with SO_REUSEPORT an address that somebody else uses would look free.
    listen(settings.edge.http).close()
    sockets = [listen(settings.edge.http, shared=True)]
    where = str(address.Address(*sockets[0].getsockname()[:2]))
    sockets += [listen(where, shared=True) for _ in range(settings.edge.processes - 1)]
    async with AsyncExitStack() as parts:
        children = [_child(listener, where, arguments) for listener in sockets]
        for child in children:
            await child.start()
        parts.push_async_callback(_stop_all, children)
        _log.info("edge processes started", http=where, processes=len(children))
        keeping = [asyncio.create_task(child.keep()) for child in children]
        stopping = asyncio.create_task(stop.wait())
        done, pending = await asyncio.wait({stopping, *keeping}, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        for task in done - {stopping}:
            task.result()


async def _stop_all(children: list[Child]) -> None:
    await asyncio.gather(*(child.stop() for child in children))


def _child(listener: socket.socket, where: str, arguments: tuple[str, ...]) -> Child:
    fd = listener.fileno()
    environment = {LISTENER: str(fd), "HOOKLINE_EDGE__HTTP": where, "HOOKLINE_EDGE__PROCESSES": "1"}
    os.set_inheritable(fd, True)
    return Child("edge", arguments, environment, STOP_PATIENCE, inherited=(fd,))
