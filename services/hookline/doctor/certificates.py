"""The certificates that our listeners show: can they be used, and for how long?"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from hookline.config import Settings
from hookline.doctor.finding import Finding, of_error, ok, warning
from hookline.errors import ConfigError
from hookline.tls.pair import PairFiles

_SOON = timedelta(days=14)


def look(settings: Settings) -> Iterator[Finding]:
    """Read them as edge and relay do; one that has expired is an error there, too."""
    for table, tls in (("edge.tls", settings.edge.tls), ("relay.tls", settings.relay.tls)):
        if tls is None:
            continue
        now = datetime.now(UTC)
        try:
            expires_at = PairFiles(table, tls).read(now).expires_at
        except ConfigError as error:
            yield of_error(table, error)
            continue
        found = f"{tls.certificate}: belongs to its key, and expires on {expires_at:%Y-%m-%d}"
        if expires_at - now < _SOON:
            days = (expires_at - now).days
            fix = "renew it; new files count within seconds, without a restart"
            yield warning(table, f"{found}, in {days} day{'s' * (days != 1)}", fix)
        else:
            yield ok(table, found)
