-- create: a new subscription and its cursors, from $11 (and $12) on; no row if there is one of that name
WITH created AS (
    INSERT INTO hookline.subscriptions
           (name, sources, types, expression, ordering, after_dead_letter, ack_deadline, retry, push,
            dead_letter_retention, created_at, updated_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, statement_timestamp(), statement_timestamp())
        ON CONFLICT DO NOTHING
    RETURNING *
),
placed AS (
    -- Above every epoch of a subscription that had this name before: tokens and relays of that one stay out.
    INSERT INTO hookline.cursors (subscription, shard, position, epoch)
    SELECT created.name, start.at_shard, start.at_position, (extract(epoch FROM clock_timestamp()) * 1000)::bigint
      FROM created CROSS JOIN hookline.start_positions($11::text, $12::timestamptz) AS start
        ON CONFLICT DO NOTHING
)
SELECT created.*, pg_notify('hookline_control', '') FROM created;

-- find: one subscription by name
SELECT * FROM hookline.subscriptions WHERE name = $1 AND deleted_at IS NULL;

-- list: those that come after a name
SELECT * FROM hookline.subscriptions WHERE name > $1 AND deleted_at IS NULL ORDER BY name LIMIT $2;

-- change: one subscription, if it is still the version that was seen; no row otherwise
UPDATE hookline.subscriptions
   SET sources = $2, types = $3, expression = $4, ordering = $5, after_dead_letter = $6, ack_deadline = $7, retry = $8,
       push = $9, dead_letter_retention = $10, version = version + 1, updated_at = clock_timestamp()
 WHERE name = $1 AND version = $11 AND created_at = $12 AND deleted_at IS NULL
RETURNING *, pg_notify('hookline_control', '');

-- set_paused: pause or resume; no row if there is nothing to change
UPDATE hookline.subscriptions
   SET paused = $2, version = version + 1, updated_at = clock_timestamp()
 WHERE name = $1 AND paused <> $2 AND deleted_at IS NULL
RETURNING *, pg_notify('hookline_control', '');

-- close: begin to delete; answers whether there is one of that version (0 is any)
SELECT hookline.close_subscription($1, $2) AS closed;

-- closed: those whose deletion has begun
SELECT name FROM hookline.subscriptions WHERE deleted_at IS NOT NULL ORDER BY name;

-- is_closed: whether the deletion of one has begun
SELECT FROM hookline.subscriptions WHERE name = $1 AND deleted_at IS NOT NULL;

-- shards: how many shards there are
SELECT shards FROM hookline.installation;

-- sweep_deliveries: delete about $4 rows of one shard above a seq; answers the last seq, null if there is no more
WITH bound AS (
    SELECT max(seq) AS seq
      FROM (SELECT d.seq FROM hookline.deliveries AS d
             WHERE d.shard = $2 AND d.subscription = $1 AND d.seq > $3 ORDER BY d.seq LIMIT $4) AS next
),
swept AS (
    DELETE FROM hookline.deliveries
     WHERE shard = $2 AND subscription = $1 AND seq > $3 AND seq <= (SELECT seq FROM bound)
)
SELECT seq FROM bound;

-- sweep_attempts: likewise, of the history
WITH bound AS (
    SELECT max(seq) AS seq
      FROM (SELECT a.seq FROM hookline.attempts AS a
             WHERE a.shard = $2 AND a.subscription = $1 AND a.seq > $3 ORDER BY a.seq LIMIT $4) AS next
),
swept AS (
    DELETE FROM hookline.attempts
     WHERE shard = $2 AND subscription = $1 AND seq > $3 AND seq <= (SELECT seq FROM bound)
)
SELECT seq FROM bound;

-- forget: end the deletion: the name is free
SELECT hookline.forget_subscription($1);
