-- Hookline's ledger and outbox: the same columns and keys, without partitions and functions.
CREATE TABLE events (
    id           uuid NOT NULL,
    lineage      uuid NOT NULL,
    seq          bigint NOT NULL,
    received_at  timestamptz NOT NULL,
    size         integer NOT NULL,
    shard        smallint NOT NULL,
    revision     boolean NOT NULL,
    body_sha256  bytea NOT NULL,
    source       text NOT NULL,
    type         text NOT NULL,
    ordering_key text NOT NULL,
    traceparent  text NOT NULL,
    tracestate   text NOT NULL,
    PRIMARY KEY (shard, id)
);

CREATE SEQUENCE outbox_seq AS bigint;

CREATE TABLE outbox (
    event_id     uuid NOT NULL,
    seq          bigint NOT NULL,
    received_at  timestamptz NOT NULL,
    shard        smallint NOT NULL,
    revision     boolean NOT NULL,
    source       text NOT NULL,
    type         text NOT NULL,
    ordering_key text NOT NULL,
    traceparent  text NOT NULL,
    tracestate   text NOT NULL,
    headers      json NOT NULL,
    body         bytea NOT NULL,
    PRIMARY KEY (shard, seq)
);
