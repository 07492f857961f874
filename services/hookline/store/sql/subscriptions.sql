-- declare: create or change a subscription as configured; answers whether it is new
INSERT INTO hookline.subscriptions AS s (name, sources, types, ordering, ack_deadline)
VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (name) DO UPDATE
   SET sources = excluded.sources, types = excluded.types, ordering = excluded.ordering,
       ack_deadline = excluded.ack_deadline, updated_at = clock_timestamp()
 WHERE (s.sources, s.types, s.ordering, s.ack_deadline)
       IS DISTINCT FROM (excluded.sources, excluded.types, excluded.ordering, excluded.ack_deadline)
RETURNING (xmax = 0) AS created;

-- place_cursors: one cursor per shard, at the start ($2 = 'earliest') or the end ('latest') of the log
INSERT INTO hookline.cursors (subscription, shard, position)
SELECT $1, shard::smallint,
       CASE $2 WHEN 'earliest' THEN 0
               ELSE coalesce((SELECT max(seq) FROM hookline.outbox AS o WHERE o.shard = s.shard), 0) END
  FROM generate_series(0, (SELECT shards - 1 FROM hookline.installation)) AS s (shard)
    ON CONFLICT DO NOTHING;

-- find: one subscription by name
SELECT name, sources, types, ordering, ack_deadline FROM hookline.subscriptions WHERE name = $1;
