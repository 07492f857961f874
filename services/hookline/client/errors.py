"""What a consumer can be told."""


class ConsumerError(Exception):
    """Anything that a consumer reports on purpose."""


class SubscriptionRefused(ConsumerError):
    """The relay won't serve this subscription, now or later: its name or the request is wrong."""


class SettlementFailed(ConsumerError):
    """A settlement had no effect; the event will be delivered again."""


class NoTransaction(ConsumerError):
    """`once` needs an open transaction: its row and the effect must be committed together, or not at all."""
