"""What is answered at a status address, as an ASGI application."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

import hookline
from hookline.status.check import Readiness
from hookline.telemetry.metrics import Metrics


class StatusApp:
    """Answers `/metrics`, `/healthz` and `/readyz`, as an ASGI application.

    Args:
        service: What this process is, such as "hookline-edge".
        readiness: Asked on each `/readyz`.
        metrics: What `/metrics` shows.
    """

    def __init__(self, service: str, readiness: Readiness, metrics: Metrics) -> None:
        self._service = service
        self._readiness = readiness
        self._metrics = metrics
        self._turn = asyncio.Lock()
        self._paths: dict[str, Callable[[], Awaitable[Response]]] = {
            "/metrics": self._exposition,
            "/healthz": self._alive,
            "/readyz": self._ready,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        response = await self._answer(scope["path"], scope["method"])
        await response(scope, receive, send)

    async def _answer(self, path: str, method: str) -> Response:
        found = self._paths.get(path)
        if found is None:
            return _problem(
                HTTPStatus.NOT_FOUND,
                "not_found",
                f"There is nothing here but {', '.join(self._paths)}.",
            )
        if method not in ("GET", "HEAD"):
            return _problem(
                HTTPStatus.METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "This is asked for with GET.",
                allow="GET, HEAD",
            )
        return await found()

    async def _exposition(self) -> Response:
        # In a thread: it takes 50 ms for 100 subscriptions, in which webhooks would wait. One at a time is enough.
        async with self._turn:
            body, media_type = await asyncio.to_thread(self._metrics.exposition)
        # As a header and not as media_type: Starlette would add a charset to what has its own parameters.
        return Response(body, headers={"content-type": media_type})

    async def _alive(self) -> Response:
        return self._json(HTTPStatus.OK, status="alive")

    async def _ready(self) -> Response:
        checks = self._readiness()
        is_ready = all(check.is_ok for check in checks)
        return self._json(
            HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE,
            status="ready" if is_ready else "unavailable",
            checks=[
                {
                    "name": check.name,
                    "status": "ok" if check.is_ok else "failed",
                    "detail": check.detail,
                }
                for check in checks
            ],
        )

    def _json(self, code: HTTPStatus, **values: Any) -> Response:
        known = {"service": self._service, "version": hookline.__version__}
        return Response(json.dumps({**values, **known}), code.value, media_type="application/json")


def _problem(code: HTTPStatus, name: str, detail: str, **headers: str) -> Response:
    """RFC 9457 problem details."""
    body = {
        "type": "about:blank",
        "title": code.phrase,
        "status": code.value,
        "code": name,
        "detail": detail,
    }
    return Response(json.dumps(body), code.value, headers, "application/problem+json")
