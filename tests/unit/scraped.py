"""What an exposition says, read by Prometheus' own parser."""

from typing import Any

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from hookline.telemetry.metrics import Metrics


class Scraped:
    """The samples of one scrape."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self._samples = [sample for family in self.families.values() for sample in family.samples]

    @classmethod
    def of(cls, metrics: Metrics) -> "Scraped":
        body, media_type = metrics.exposition()
        assert media_type == "application/openmetrics-text; version=1.0.0; charset=utf-8"
        return cls(body.decode())

    def value(self, name: str, *values: str) -> float:
        """The one sample of that name with these label values, in the order of its labels."""
        [value] = [s.value for s in self._samples if s.name == name and tuple(s.labels.values()) == values]
        return float(value)

    def values(self, name: str) -> dict[tuple[str, ...], float]:
        """All samples of that name, by their label values."""
        return {tuple(s.labels.values()): s.value for s in self._samples if s.name == name}

    def exemplars(self, name: str) -> list[Any]:
        return [s.exemplar for s in self._samples if s.name == name and s.exemplar]
