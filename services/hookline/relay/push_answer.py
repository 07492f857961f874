"""What a called consumer answered, set against what it was asked."""

from hookline.v1 import delivery_pb2 as pb
from hookline.v1.consumer_pb2 import DeliverRequest, DeliverResponse

_Reason = pb.SettlementFailureReason
_VOID = frozenset(
    {
        _Reason.SETTLEMENT_FAILURE_REASON_INVALID_TOKEN,
        _Reason.SETTLEMENT_FAILURE_REASON_NO_VERDICT,
        _Reason.SETTLEMENT_FAILURE_REASON_INVALID_VERDICT,
    }
)


class PushAnswer:
    """Sorts the verdicts. The first one of a delivery stands."""

    def __init__(self, request: DeliverRequest, response: DeliverResponse) -> None:
        self.tokens = [delivery.token for delivery in request.deliveries]
        """Of the call's deliveries, in its order."""
        self.foreign = 0
        """Settlements of something else."""
        asked = set(self.tokens)
        named: dict[bytes, pb.Settlement] = {}
        for settlement in response.settlements:
            if settlement.token not in asked:
                self.foreign += 1
            elif settlement.WhichOneof("verdict") not in {None, "extend"}:  # an ended call can't be extended
                named.setdefault(settlement.token, settlement)
        self.settlements = list(named.values())
        """What is to be committed."""
        self.unnamed = [token for token in self.tokens if token not in named]
        """Deliveries without a verdict."""

    @staticmethod
    def is_void(failure: pb.SettlementFailure) -> bool:
        """Whether the settlement failed of what it says, so that its delivery is still without a verdict."""
        return failure.reason in _VOID
