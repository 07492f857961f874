"""The bench's end of a load generator."""

from bench.loadgen.messages import Offer, Outcome, Plan, Ready
from bench.process import Process


class RefusedError(Exception):
    """Some webhooks were not answered with 200, so what was measured isn't what was meant."""


class Generator:
    """A load generator with its requests made and its connections open."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @classmethod
    async def prepare(cls, process: Process, plan: Plan) -> "Generator":
        """Hand over the plan and wait until it is ready."""
        await process.ask(plan, Ready)
        return cls(process)

    async def closed(self, seconds: float) -> Outcome:
        """Each connection sends as soon as its last request is answered."""
        return await self._offer(Offer(kind="closed", seconds=seconds))

    async def open(self, seconds: float, per_second: int) -> Outcome:
        """Requests leave at a fixed rate."""
        return await self._offer(Offer(kind="open", seconds=seconds, per_second=per_second))

    async def _offer(self, offer: Offer) -> Outcome:
        outcome = await self._process.ask(offer, Outcome)
        if outcome.ok != outcome.sent:
            raise RefusedError(f"{outcome.sent} webhooks sent, answered with {outcome.statuses}")
        return outcome
