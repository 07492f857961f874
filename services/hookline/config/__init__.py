"""What `hookline.toml` and the environment say.

Values come from, first wins: command line, environment (`HOOKLINE_DATABASE_URL`, `HOOKLINE_EDGE__HTTP`, …),
`hookline.toml`, defaults. A mistake in any of them is a `ConfigError` that names the key, the value and the fix.

    file            reads hookline.toml
    settings        everything that it can say; a module for each table:
    source, subscription (retry, push, start), database, edge, relay, telemetry
    mistake         a wrong value, explained
"""

from hookline.config.database import Database
from hookline.config.edge import Edge
from hookline.config.file import DEFAULT_FILE, load
from hookline.config.push import PushCall, PushTls
from hookline.config.relay import Relay
from hookline.config.retry import Retry
from hookline.config.settings import Settings
from hookline.config.source import Source
from hookline.config.subscription import Subscription
from hookline.config.telemetry import Telemetry

__all__ = [
    "DEFAULT_FILE",
    "Database",
    "Edge",
    "PushCall",
    "PushTls",
    "Relay",
    "Retry",
    "Settings",
    "Source",
    "Subscription",
    "Telemetry",
    "load",
]
