"""A real Prometheus that scrapes every second, with our rules."""

import asyncio
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import yaml

from deploy.alert_rules import RULE_FILES
from deploy.prometheus_programs import program
from path.rig.process import free_port
from path.rig.wait import until


class PrometheusProcess:
    """Keeps its data in a directory of the test's own.

    Args:
        directory: For its data, configuration and log.
        targets: Address of each job.
    """

    def __init__(self, directory: Path, targets: Mapping[str, str]) -> None:
        self._directory = directory
        self._targets = targets
        self._process: subprocess.Popen[bytes] | None = None
        self._client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{free_port()}", timeout=10)

    def start(self) -> None:
        config = self._directory / "prometheus.yaml"
        every = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        jobs = [
            {"job_name": job, "static_configs": [{"targets": [target]}]}
            for job, target in self._targets.items()
        ]
        config.write_text(
            yaml.safe_dump(
                {"global": every, "rule_files": list(map(str, RULE_FILES)), "scrape_configs": jobs}
            ),
            encoding="utf-8",
        )
        with (self._directory / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    program("prometheus"),
                    f"--config.file={config}",
                    f"--storage.tsdb.path={self._directory / 'tsdb'}",
                    f"--web.listen-address={self._client.base_url.host}:{self._client.base_url.port}",
                    "--enable-feature=exemplar-storage",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    async def __aenter__(self) -> Self:
        self.start()
        await until(self._is_ready, "Prometheus is ready")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._client.aclose()
        assert self._process is not None
        self._process.kill()  # its data is the test's own
        await asyncio.to_thread(self._process.wait)

    async def ask(self, path: str, **parameters: str | float) -> Any:
        """What its HTTP API answers; a mistake in PromQL fails the test with its words."""
        answer = await self._client.post(f"/api/v1/{path}", data={k: str(v) for k, v in parameters.items()})
        body = answer.json()
        assert body["status"] == "success", (parameters, body)
        return body["data"]

    async def look(self, path: str) -> Any:
        return (await self._client.get(f"/api/v1/{path}")).json()["data"]

    async def values(self, promql: str) -> list[float]:
        """What an expression comes to now."""
        data = await self.ask("query", query=promql)
        found = [data] if data["resultType"] == "scalar" else [series["value"] for series in data["result"]]
        return [float(value[1]) for value in found]

    async def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._directory / "prometheus.log").read_text(encoding="utf-8")
        try:
            return (await self._client.get("/-/ready")).is_success
        except httpx.TransportError:
            return False
