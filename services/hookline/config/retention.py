"""`[retention]`: how long the log and the histories are kept."""

from datetime import timedelta

from hookline.config.duration import Duration
from hookline.config.section import Section


class Retention(Section):
    """`[retention]`. The least that is kept: nothing goes that somebody still needs, whatever its age."""

    outbox: Duration = timedelta(days=7)
    """Events with their bodies, for replays and for looking at them. The ledger of events is kept for ever."""
    attempts: Duration = timedelta(days=30)
    """The history of attempts, by whole days."""
    acks: Duration = timedelta(days=30)
    """The journal of acks, by whole days: what a timeline of an event knows of deliveries that went well."""
