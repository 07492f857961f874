-- A subscription is a filter and a set of cursors, one per shard.

CREATE TABLE hookline.subscriptions (
    name         text PRIMARY KEY CHECK (name ~ '^[a-z0-9]([a-z0-9_-]{0,62})$'),
    sources      text[] NOT NULL,
    types        text[] NOT NULL,       -- globs
    ordering     text NOT NULL CHECK (ordering IN ('none', 'key')),
    ack_deadline interval NOT NULL CHECK (ack_deadline > interval '0'),
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Everything at or below `position` is settled, except `pending`: what was handed out before `position` and
-- isn't settled yet. Both move in one write, so a confirmed settlement survives any crash.
--
-- owner, epoch and lease_until say which relay may move the cursor; every write names the epoch.
CREATE TABLE hookline.cursors (
    position     bigint NOT NULL DEFAULT 0,
    epoch        bigint NOT NULL DEFAULT 0,
    lease_until  timestamptz NOT NULL DEFAULT '-infinity',
    shard        smallint NOT NULL,
    subscription text NOT NULL,
    owner        text NOT NULL DEFAULT '',
    pending      bigint[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (subscription, shard)
) WITH (fillfactor = 40, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0);
-- Written once per settled batch: no index on any column that changes, so every update is HOT.
