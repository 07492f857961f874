"""Which roles may call what. A method that isn't here is nobody's."""

from collections.abc import Mapping

from hookline.core.access_token import ROLES, Role

OPEN = frozenset(
    {
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/List",
        "/grpc.health.v1.Health/Watch",
    }
)
"""For load balancers and probes, which have no token: says whether a relay serves, and nothing else."""
_CONSUMERS: frozenset[Role] = frozenset({"consumer", "operator"})
"""Each for its own subscriptions: which one a call is about is known from its first message alone."""
_READERS: frozenset[Role] = frozenset({"reader", "operator"})
_OPERATORS: frozenset[Role] = frozenset({"operator"})

METHODS: Mapping[str, frozenset[Role]] = {
    "/hookline.v1.DeliveryService/Subscribe": _CONSUMERS,
    "/hookline.v1.DeliveryService/Pull": _CONSUMERS,
    "/hookline.v1.DeliveryService/Settle": _CONSUMERS,
    "/hookline.v1.SubscriptionService/CreateSubscription": _OPERATORS,
    "/hookline.v1.SubscriptionService/GetSubscription": _READERS,
    "/hookline.v1.SubscriptionService/ListSubscriptions": _READERS,
    "/hookline.v1.SubscriptionService/UpdateSubscription": _OPERATORS,
    "/hookline.v1.SubscriptionService/DeleteSubscription": _OPERATORS,
    "/hookline.v1.SubscriptionService/PauseSubscription": _OPERATORS,
    "/hookline.v1.SubscriptionService/ResumeSubscription": _OPERATORS,
    "/hookline.v1.DeadLetterService/ListDeadLetters": _READERS,
    "/hookline.v1.DeadLetterService/GetDeadLetter": _READERS,
    "/hookline.v1.DeadLetterService/RedriveDeadLetters": _OPERATORS,
    "/hookline.v1.DeadLetterService/DeleteDeadLetters": _OPERATORS,
    "/hookline.v1.EventService/GetEvent": _READERS,
    "/hookline.v1.EventService/ListEvents": _READERS,
    "/hookline.v1.ReplayService/CreateReplay": _OPERATORS,
    "/hookline.v1.ReplayService/GetReplay": _READERS,
    "/hookline.v1.ReplayService/ListReplays": _READERS,
    "/hookline.v1.ReplayService/CancelReplay": _OPERATORS,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": frozenset(ROLES),
}
