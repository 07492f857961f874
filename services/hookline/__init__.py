"""Hookline: webhooks in over HTTP, durable in Postgres, out over gRPC.

Follow one webhook, hop by hop:

    edge.app            the HTTP routes
    edge.webhook        one request: limits, verification, keys, commit, answer
    edge.schemes        how each provider signs and names its events
    core.identity       who the event is: its id, computed and never drawn
    edge.intake         group commit: many requests, one transaction
    store.ingest        that transaction: ledger and outbox row, or neither
    store.log           the outbox read back, in commit order
    relay.ownership     which relay may move which cursor
    relay.dispatch      one subscription: read, filter, hand out within windows
    relay.stream        one consumer: a gRPC stream
    relay.settle        acks become cursor positions, then confirmations
    client.consumer     the other end of the stream

Beside the path: `config` (hookline.toml), `embedded` (the PostgreSQL that comes along), `telemetry` (traces and
logs), `cli` (the `hookline` command), `simulator` (a provider to try it with).
"""

__version__ = "0.1.0"
