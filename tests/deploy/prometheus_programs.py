"""Prometheus' own programs."""

import shutil
from pathlib import Path


def program(name: str) -> Path:
    """Where `prometheus` or `promtool` is. Without them nothing is proven, so that is a failure and no skip."""
    found = shutil.which(name)
    assert found, (
        f"{name} is not installed. On Debian: apt-get install -y --no-install-recommends prometheus"
        " (.ci/run does it when it may); elsewhere: https://prometheus.io/download"
    )
    return Path(found)
