"""A consumer in another language, with another OpenTelemetry SDK, continues the trace and hands it back."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest

from conformance import packages
from conformance.test_javascript import PROTO
from path.rig.collector import PROTOCOLS, Collector, Protocol, ids, links, told
from path.rig.events import append, event
from path.rig.process import RelayProcess, free_port, write_config

SAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
STATE = "vendor=opaque,another@one=2"
SOON = {"wait": "fixed", "delay": "100ms"}


async def consume(target: str, endpoint: str, port: int, *, count: int) -> None:
    """Run the consumer to its end."""
    directory = await asyncio.to_thread(packages.install)
    script = Path(__file__).parent / "traced.mjs"
    process = await asyncio.create_subprocess_exec(
        packages.node(),
        *(str(script), target, str(PROTO), endpoint, str(port), str(count)),
        cwd=directory,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()


def hops(collector: Collector, subscription: str, event_id: str) -> list[tuple[Any, Any, Any]]:
    """`deliver`, `process` and `settle` of each attempt, the oldest first.

    Without what was taken back before anybody saw it: the relay looks for the pushed one's consumer at once.
    """
    found = collector.about(event_id)
    spans = [span for span in found if told(span).get("hookline.outcome") != "consumer_out_of_reach"]
    by_name = [
        [span for span in spans if span.name == f"{hop} {subscription}"]
        for hop in ("deliver", "process", "settle")
    ]
    return list(zip(*by_name, strict=True))


@pytest.mark.timeout(200)  # the first run installs packages
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_javascript_consumer_continues_the_trace_and_hands_it_back(
    database: str, tmp_path: Path, protocol: Protocol
) -> None:
    fine, again = [
        event(body, traceparent=SAMPLED)._replace(tracestate=STATE) for body in (b"fine", b"retry")
    ]
    quiet = event(b"fine")
    await append(database, [fine, again, quiet])
    port = free_port()
    async with Collector() as collector:
        tables = {
            "relay": {"poll": "50ms"},
            "subscriptions.stream": {"start": "earliest"},
            "subscriptions.stream.retry": SOON,
            "subscriptions.push": {"start": "earliest", "push": f"127.0.0.1:{port}"},
            "subscriptions.push.retry": SOON,
            "telemetry": collector.settings(protocol),
        }
        config = write_config(tmp_path / "hookline.toml", tables)
        async with RelayProcess(database, config) as relay:
            await consume(relay.target, collector.http_endpoint + "/v1/traces", port, count=4)
            relay.signal(signal.SIGTERM)
            assert await relay.ended() == 0
    assert ("hookline-relay", protocol) in collector.spoken
    services = {span.span_id: service for service, _, span in collector.spans}
    assert collector.about(str(quiet.event_id)) == []
    for subscription in ("stream", "push"):
        [usual] = hops(collector, subscription, str(fine.event_id))
        [first, second] = hops(collector, subscription, str(again.event_id))
        for deliver, process, settle in (usual, first, second):
            assert process.parent_span_id == deliver.span_id
            assert settle.parent_span_id == process.span_id
            assert deliver.trace_id == process.trace_id == settle.trace_id
            assert services[process.span_id] == "javascript"
            assert services[deliver.span_id] == services[settle.span_id] == "hookline-relay"
            assert deliver.trace_state == process.trace_state == settle.trace_state
        for deliver, *_ in (usual, first):
            assert f"{deliver.trace_id.hex()}-{deliver.parent_span_id.hex()}" == ids(SAMPLED)
            assert deliver.trace_state == STATE
        assert (second[0].parent_span_id, links(second[0])) == (b"", [ids(SAMPLED)])
        assert second[0].trace_state == ""
        verdicts = [told(settle)["messaging.operation.name"] for *_, settle in (usual, first, second)]
        assert verdicts == ["ack", "retry", "ack"]
