"""Every metric that Hookline has: its name, unit, labels and meaning, once.

Names follow the semantic conventions where they know one (https://opentelemetry.io/docs/specs/semconv/). Prometheus
shows `hookline.dead_letters` as `hookline_dead_letters_total`: dots become underscores, the unit and `_total` follow.
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import Literal

Kind = Literal["counter", "updowncounter", "gauge", "histogram"]
"""An updowncounter is a level that adds up over processes; a gauge is one that doesn't."""
Process = Literal["edge", "relay", "both"]

_UNITS = {"s": "seconds", "By": "bytes"}
"""Units that Prometheus wants in the name. Those in braces only say what is counted."""
_NO_NAME = re.compile(r"[^a-zA-Z0-9_]+")


@dataclass(frozen=True, slots=True)
class Instrument:
    """One metric."""

    name: str
    kind: Kind
    unit: str
    """As UCUM writes it (https://ucum.org): "s", "By", or what is counted, in braces."""
    description: str
    process: Process
    labels: tuple[str, ...] = ()
    """Names of attributes; values are given in this order, always as text."""
    buckets: tuple[float, ...] = ()
    """Upper bounds of a histogram, each included."""

    @property
    def prometheus(self) -> str:
        """What one writes in PromQL; a histogram's is followed by `_bucket`, `_sum` or `_count`."""
        family, _ = family_of(self.name, self.unit)
        return f"{family}_total" if self.kind == "counter" else family


@cache
def label_of(name: str) -> str:
    """An attribute's or metric's name as Prometheus can have it."""
    return _NO_NAME.sub("_", name)


def family_of(name: str, unit: str) -> tuple[str, str]:
    """A metric's name in an exposition, without what its samples add, and its unit; "" for what is merely counted.

    https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/
    """
    family, unit = label_of(name), _UNITS.get(unit, "")
    return (f"{family}_{unit}" if unit and not family.endswith(f"_{unit}") else family), unit


SOURCE = "hookline.source"
SUBSCRIPTION = "hookline.subscription"
OUTCOME = "hookline.outcome"
CAUSE = "hookline.cause"

_REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""As the semantic conventions advise for HTTP."""
_COMMIT_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_LATENCY_SECONDS = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0,
)  # fmt: skip
_BATCH_EVENTS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0)


WEBHOOKS = Instrument(
    "hookline.webhooks", "counter", "{webhook}", "Requests to a source, by how they were answered.",
    "edge", (SOURCE, OUTCOME),
)  # fmt: skip
REQUEST_DURATION = Instrument(
    "http.server.request.duration", "histogram", "s", "Time to answer a webhook's request.",
    "edge", ("http.request.method", "http.route", "http.response.status_code"), _REQUEST_SECONDS,
)  # fmt: skip
VERIFICATION_FAILURES = Instrument(
    "hookline.verification.failures", "counter", "{webhook}", "Requests that did not verify, by cause.",
    "edge", (SOURCE, CAUSE),
)  # fmt: skip
COMMIT_BATCH_SIZE = Instrument(
    "hookline.commit.batch.size", "histogram", "{event}", "Events in one commit.", "edge", (), _BATCH_EVENTS
)
COMMIT_DURATION = Instrument(
    "hookline.commit.duration", "histogram", "s", "Time of one commit.", "edge", (), _COMMIT_SECONDS
)
QUEUE_EVENTS = Instrument(
    "hookline.intake.queue.events", "updowncounter", "{event}",
    "Events that wait for their commit or are being committed.", "edge",
)  # fmt: skip
QUEUE_BYTES = Instrument(
    "hookline.intake.queue.bytes", "updowncounter", "By", "Bytes of their bodies.", "edge"
)
CONNECTIONS = Instrument(
    "hookline.edge.connections", "updowncounter", "{connection}", "Open HTTP connections.", "edge"
)
CONNECTIONS_ENDED = Instrument(
    "hookline.edge.connections.ended", "counter", "{connection}",
    "Connections that the edge ended or answered before a request reached the application, by cause.",
    "edge", (CAUSE,),
)  # fmt: skip
REJECTIONS = Instrument(
    "hookline.rejections", "counter", "{rejection}",
    "Refused requests: written for people to look at, or only counted (dropped).",
    "edge", ("hookline.result",),
)  # fmt: skip
SCHEMA_FINDINGS = Instrument(
    "hookline.schema.findings", "counter", "{body}",
    "Bodies that a JSON Schema doesn't allow (schema), or that drifted from what was learned (new, type, vanished).",
    "edge", (SOURCE, "hookline.kind"),
)  # fmt: skip
SCHEMA_SKIPPED = Instrument(
    "hookline.schema.skipped", "counter", "{body}", "Bodies that schema watch had no time to look at.",
    "edge", (SOURCE,),
)  # fmt: skip

DELIVERY_LATENCY = Instrument(
    "hookline.delivery.latency", "histogram", "s",
    "Time from the receipt of an event to its committed ack; replays are left out.",
    "relay", (SUBSCRIPTION,), _LATENCY_SECONDS,
)  # fmt: skip
DELIVERY_ATTEMPTS = Instrument(
    "hookline.delivery.attempts", "counter", "{attempt}", "Attempts that ended, by how.",
    "relay", (SUBSCRIPTION, OUTCOME),
)  # fmt: skip
DEAD_LETTERS = Instrument(
    "hookline.dead_letters", "counter", "{delivery}", "Deliveries that died.", "relay", (SUBSCRIPTION,)
)
FILTER_FAILURES = Instrument(
    "hookline.filter.failures", "counter", "{event}",
    "Events for which a subscription's expression failed; they are delivered.", "relay", (SUBSCRIPTION,),
)  # fmt: skip
LEASE_LOSSES = Instrument(
    "hookline.lease.losses", "counter", "{shard}", "Shards that another relay took over before they were given up.",
    "relay", (SUBSCRIPTION,),
)  # fmt: skip
IN_FLIGHT = Instrument(
    "hookline.subscription.in_flight", "updowncounter", "{delivery}",
    "Deliveries in the hands of this relay's consumers.",
    "relay", (SUBSCRIPTION,),
)  # fmt: skip
CONSUMERS = Instrument(
    "hookline.subscription.consumers", "updowncounter", "{consumer}",
    "Consumers that this relay serves: streams, pulls that hold something, and those that it calls.",
    "relay", (SUBSCRIPTION,),
)  # fmt: skip
SHARDS_OWNED = Instrument(
    "hookline.subscription.shards_owned", "updowncounter", "{shard}", "Shards that this relay has the lease of.",
    "relay", (SUBSCRIPTION,),
)  # fmt: skip
BACKLOG = Instrument(
    "hookline.subscription.backlog", "gauge", "{event}",
    "Events that wait for a subscription or are in its consumers' hands; far behind it is an estimate.",
    "relay", (SUBSCRIPTION,),
)  # fmt: skip
OLDEST_UNACKED_AGE = Instrument(
    "hookline.subscription.oldest_unacked_age", "gauge", "s",
    "Time since the receipt of the oldest event that is not settled; 0 if there is none.",
    "relay", (SUBSCRIPTION,),
)  # fmt: skip
RETRIES_WAITING = Instrument(
    "hookline.subscription.retries_waiting", "gauge", "{delivery}",
    "Deliveries that failed and wait to be tried again.",
    "relay", (SUBSCRIPTION,),
)  # fmt: skip
KEYS_BLOCKED = Instrument(
    "hookline.subscription.keys_blocked", "gauge", "{key}",
    "Ordering keys of which events wait behind one that failed.", "relay", (SUBSCRIPTION,),
)  # fmt: skip
DEAD = Instrument(
    "hookline.subscription.dead",
    "gauge",
    "{delivery}",
    "Dead letters that are kept.",
    "relay",
    (SUBSCRIPTION,),
)
DATABASE_SIZE = Instrument(
    "hookline.database.size", "gauge", "By", "Bytes of the database on the server's disk.", "relay"
)
OUTBOX_SEGMENTS = Instrument(
    "hookline.outbox.segments", "gauge", "{segment}", "Segments of the log.", "relay"
)
OUTBOX_HELD_AGE = Instrument(
    "hookline.outbox.held_age", "gauge", "s",
    "Age of the oldest segment of the log that retention would drop, but that somebody needs; 0 if there is none.",
    "relay",
)  # fmt: skip

TELEMETRY_DROPPED = Instrument(
    "hookline.telemetry.dropped", "counter", "{item}", "Spans, metric points and log lines that were given up.",
    "both", ("hookline.signal",),
)  # fmt: skip
CERTIFICATE_EXPIRY = Instrument(
    "hookline.certificate.expiry", "gauge", "s",
    "Time until the certificate expires that a listener shows; negative afterwards.",
    "both", ("hookline.listener",),
)  # fmt: skip
CERTIFICATE_REFUSED = Instrument(
    "hookline.certificate.refused", "gauge", "{listener}",
    "1 while a listener's files hold what can't be used, so that it shows the certificate before; else 0.",
    "both", ("hookline.listener",),
)  # fmt: skip
DATABASE_CONNECTIONS = Instrument(
    "db.client.connection.count", "updowncounter", "{connection}", "Connections to Postgres, by what they do.",
    "both", ("db.client.connection.pool.name", "db.client.connection.state"),
)  # fmt: skip
DATABASE_LOSSES = Instrument(
    "hookline.database.losses", "counter", "{connection}",
    "Connections to Postgres that broke, or were closed because nobody knew what became of a statement.", "both",
)  # fmt: skip

ALL: tuple[Instrument, ...] = tuple(
    value for value in list(globals().values()) if isinstance(value, Instrument)
)
"""In the order of this file."""
