CREATE TABLE events (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dedup_key     text NOT NULL UNIQUE,
    source        text NOT NULL,
    type          text NOT NULL,
    ordering_key  text NOT NULL,
    received_at   timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE outbox (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id      bigint NOT NULL,
    headers       json NOT NULL,
    body          bytea NOT NULL,
    delivered_at  timestamptz
);

-- What the relay looks for.
CREATE INDEX outbox_undelivered ON outbox (id) WHERE delivered_at IS NULL;
