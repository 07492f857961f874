"""A provider for the edge's tests: signs bodies and sends them over real connections."""

import asyncio
import hashlib
import hmac
import json
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

KEY = "current-key"
OLD_KEY = "key-before-rotation"
PATH = "/v1/webhooks/begini"


def body(uid: str, *, type_: str = "application.complete", **details: Any) -> bytes:
    event = {"type": type_, "details": details}
    return json.dumps({"uid": uid, "integration_id": "5399505", "event": event}).encode()


def sign(content: bytes, key: str = KEY, algorithm: str = "sha512") -> str:
    return hmac.new(key.encode(), content, getattr(hashlib, algorithm)).hexdigest()


def signed(content: bytes, key: str = KEY) -> dict[str, str]:
    """The headers of a genuine webhook."""
    return {"Content-Type": "application/json", "X-Signature": sign(content, key)}


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Wire:
    """One keep-alive connection that is spoken to in bytes."""

    def __init__(self, address: str) -> None:
        host, _, port = address.removeprefix("http://").rpartition(":")
        self._host, self._port = host, int(port)

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._writer.close()

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def read(self) -> Answer:
        """The next answer.

        Raises:
            ConnectionError: There is none.
        """
        try:
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.IncompleteReadError:
            raise ConnectionResetError from None
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        try:
            content = await self._reader.readexactly(int(headers.get("content-length", "0")))
        except asyncio.IncompleteReadError:
            raise ConnectionResetError from None
        return Answer(int(first.split()[1]), headers, content)

    async def ended(self) -> bool:
        """Whether the other side has closed the connection, and sends nothing more."""
        return await self._reader.read() == b""

    async def send(self, content: bytes, *, path: str = PATH, key: str = KEY) -> Answer:
        """One genuine webhook and its answer."""
        lines = [f"POST {path} HTTP/1.1", "Host: edge", f"Content-Length: {len(content)}"]
        lines += [f"{name}: {value}" for name, value in signed(content, key).items()]
        await self.write("\r\n".join(lines).encode() + b"\r\n\r\n" + content)
        return await self.read()


async def send(address: str, content: bytes) -> Answer:
    """One genuine webhook over a connection of its own."""
    async with Wire(address) as wire:
        return await wire.send(content)
