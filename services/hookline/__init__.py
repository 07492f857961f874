"""Hookline: webhooks in over HTTP, durable in Postgres, out over gRPC.

Follow one webhook, hop by hop:

    edge.front          the sockets: what may not even become a request
    edge.app            the HTTP routes
    edge.webhook        one request: limits, body, judgement, commit, answer
    edge.judgement      what it is: verified, read, refused
    edge.schemes        how each provider signs and names its events, out of a declaration
    core.identity       who the event is: its id, computed and never drawn
    edge.intake         group commit: many requests, one transaction
    store.ingest        that transaction: ledger and outbox row, or neither
    store.log           the outbox read back, in commit order
    relay.ownership     which relay may move which cursor
    relay.dispatch      one subscription, and all that works for it:
    relay.arrivals      read ahead: rows that are due, what former owners left, the log
    relay.inventory     what is in memory, and whose turn it is among it (core.turns)
    relay.leases        hand out within the consumers' windows (relay.ready), take back
    relay.stream        one consumer: a gRPC stream; or relay.pull, or relay.push
    relay.received      a consumer's settlements, judged one by one
    relay.failures      what failed: the retry policy (core.retry), suspects, dead letters
    relay.settle        what was decided becomes durable, and is then confirmed
    client.consumer     the other end of the stream

Beside the path: `edge.rejections` (what was refused), `edge.secrets` (live secrets), `edge.watch` (shapes of bodies),
`sealing` (what is stored encrypted), `relay.access` (who may call), `admin` (gRPC for operators), `relay.replayer`
(events of the past once more), `store.acks` and `store.timeline` (what happened to one event), `config`
(hookline.toml), `embedded` (the PostgreSQL that comes along), `telemetry` (traces, metrics, logs), `edge.observation`
and `relay.observation` (where the path tells them), `status` (`/metrics`, `/healthz`, `/readyz`), `tls` (certificates
that are renewed while they serve), `doctor` (what is wrong with a deployment), `cli` (the `hookline` command),
`simulator` (a provider to try it with).
"""

__version__ = "0.1.0"
