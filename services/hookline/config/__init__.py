"""What `hookline.toml` and the environment say.

Values come from, first wins: command line, environment (`HOOKLINE_DATABASE_URL`, `HOOKLINE_EDGE__HTTP`, …),
`hookline.toml`, defaults. A mistake in any of them is a `ConfigError` that names the key, the value and the fix.

    file            reads hookline.toml
    settings        everything that it can say; a module for each table:
    source (secrets), scheme (signature, event_keys, handshake, answer; presets), subscription (retry, push, start),
    database, secrets, edge, rejections, relay, retention, telemetry
    selector        where in a request something is
    mistake         a wrong value, explained
"""

from hookline.config.answer import Answer
from hookline.config.database import Database
from hookline.config.edge import Edge
from hookline.config.event_keys import EventKeys
from hookline.config.file import DEFAULT_FILE, load
from hookline.config.handshake import Handshake
from hookline.config.push import PushCall, PushTls
from hookline.config.rejections import Rejections
from hookline.config.relay import Relay
from hookline.config.retention import Retention
from hookline.config.retry import Retry
from hookline.config.scheme import Scheme
from hookline.config.secrets import Secrets
from hookline.config.settings import Settings
from hookline.config.signature import Signature
from hookline.config.source import Source
from hookline.config.subscription import Subscription
from hookline.config.telemetry import Telemetry
from hookline.config.tls import EdgeTls, RelayTls

__all__ = [
    "DEFAULT_FILE",
    "Answer",
    "Database",
    "Edge",
    "EdgeTls",
    "EventKeys",
    "Handshake",
    "PushCall",
    "PushTls",
    "Rejections",
    "Relay",
    "RelayTls",
    "Retention",
    "Retry",
    "Scheme",
    "Secrets",
    "Settings",
    "Signature",
    "Source",
    "Subscription",
    "Telemetry",
    "load",
]
