"""A provider that goes on sending while edges come and go: what one doesn't take is sent to another."""

import asyncio
from itertools import count
from types import TracebackType
from typing import Self

import httpx

from hookline.simulator.signature import Signer
from path.rig.process import KEY, EdgeProcess
from path.rig.webhooks import body

_PAUSE = 0.02
"""Seconds between two webhooks: some 40 a second, with what each takes."""


class Provider:
    """Sends begini webhooks while the block lasts, to the edges in turn.

    Args:
        edges: To whom; may be changed while it runs.
    """

    def __init__(self, edges: list[EdgeProcess]) -> None:
        self.edges = edges
        self._stopping = asyncio.Event()
        self.accepted: list[str] = []
        """Ids of events, by the order of their answers."""
        self.sent_again = 0

    async def stop(self) -> None:
        """Send nothing more; what is under way is answered."""
        self._stopping.set()
        await self._task

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def _run(self) -> None:
        turns = count()
        async with httpx.AsyncClient(timeout=10) as client:
            while not self._stopping.is_set():
                content = body(f"subject-{next(turns) % 24}", score=next(turns))
                while not await self._send(client, self.edges[next(turns) % len(self.edges)], content):
                    self.sent_again += 1
                    await asyncio.sleep(_PAUSE)
                await asyncio.sleep(_PAUSE)

    async def _send(self, client: httpx.AsyncClient, edge: EdgeProcess, content: bytes) -> bool:
        headers = {"Content-Type": "application/json", "X-Signature": Signer(KEY).sign(content)}
        try:
            answer = await client.post(edge.url, content=content, headers=headers)
        except httpx.TransportError:
            return False
        if answer.status_code != httpx.codes.OK:
            assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE, answer.text
            return False
        self.accepted.append(answer.json()["event_id"])
        return True
