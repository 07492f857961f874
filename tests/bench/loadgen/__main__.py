"""The load generator's process: a `Plan` and then `Offer`s on stdin, what came of them on stdout."""

import gc
import itertools
import sys
import time
from collections.abc import Iterator

import msgspec

from bench.loadgen import closed_loop, open_loop, webhooks
from bench.loadgen.connections import Connections
from bench.loadgen.messages import Offer, Outcome, Plan, Ready


def _percentile(ordered: list[int], share: float) -> int:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0


def _offer(offer: Offer, connections: Connections, requests: Iterator[bytes], first: int) -> Outcome:
    connections.statuses.clear()
    cpu, started = time.process_time(), time.monotonic_ns()
    late: list[int] = []
    send_times: list[int] = []
    if offer.kind == "closed":
        sent, latencies = closed_loop.run(connections, requests, offer.seconds)
    else:
        done = open_loop.run(connections, requests, offer.seconds, offer.per_second)
        sent, latencies, send_times, late = (
            len(done.send_times),
            done.latencies,
            done.send_times,
            done.lateness,
        )
    ended = time.monotonic_ns()
    latencies.sort()
    late.sort()
    return Outcome(
        first=first,
        sent=sent,
        statuses=dict(connections.statuses),
        started=started,
        ended=ended,
        latency_p50=_percentile(latencies, 0.50),
        latency_p99=_percentile(latencies, 0.99),
        latency_max=_percentile(latencies, 1.0),
        cpu_seconds=time.process_time() - cpu,
        send_times=send_times,
        late_p99=_percentile(late, 0.99),
    )


def _say(message: Ready | Outcome) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(message) + b"\n")
    sys.stdout.buffer.flush()


def main() -> None:
    plan = msgspec.json.decode(sys.stdin.buffer.readline(), type=Plan)
    made = webhooks.requests(
        path=plan.path,
        host=f"127.0.0.1:{plan.port}",
        api_key=plan.api_key,
        run=plan.run,
        count=plan.requests,
        keys=plan.keys,
    )
    connections = Connections(plan.port, plan.connections)
    # Nothing here makes cycles, and a collection over all these requests would be a pause in the load.
    gc.disable()
    requests = itertools.cycle(made) if plan.repeat else iter(made)
    _say(Ready(requests=len(made)))
    first = 0
    for line in sys.stdin.buffer:
        outcome = _offer(msgspec.json.decode(line, type=Offer), connections, requests, first)
        first += outcome.sent
        _say(outcome)


if __name__ == "__main__":
    main()
