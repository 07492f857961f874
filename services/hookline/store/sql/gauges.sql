-- subscriptions: how far behind each subscription is, the oldest of them first; $1 rows of the log are looked at for each cursor
WITH subs AS (
    SELECT s.name, s.created_at,
           -- Globs as LIKE knows them; a set of characters as any one character, so that nothing is passed over that
           -- the relay would not pass over. The condition in CEL is left to the relay.
           (SELECT array_agg(replace(replace(regexp_replace(regexp_replace(g, '([\\%_])', '\\\1', 'g'),
                                                            '\[!?\]?[^]]*\]', '_', 'g'), '*', '%'), '?', '_'))
              FROM unnest(s.sources) AS g) AS sources,
           (SELECT array_agg(replace(replace(regexp_replace(regexp_replace(g, '([\\%_])', '\\\1', 'g'),
                                                            '\[!?\]?[^]]*\]', '_', 'g'), '*', '%'), '?', '_'))
              FROM unnest(s.types) AS g) AS types
      FROM hookline.subscriptions AS s
     WHERE s.deleted_at IS NULL
),
-- The end of each shard's log.
heads AS MATERIALIZED (
    SELECT n::smallint AS shard, head.seq
      FROM hookline.installation AS i
     CROSS JOIN LATERAL generate_series(0, i.shards - 1) AS n
     CROSS JOIN LATERAL (SELECT o.seq FROM hookline.outbox AS o
                          WHERE o.shard = n::smallint
                          ORDER BY o.seq DESC LIMIT 1) AS head
),
-- A cursor at the end of its shard's log has nothing above it, and costs nothing more.
behind AS MATERIALIZED (
    SELECT c.subscription, c.shard, c.position, h.seq AS head
      FROM hookline.cursors AS c
      JOIN heads AS h ON h.shard = c.shard AND h.seq > c.position
),
-- The first rows above a cursor; beyond them it goes on as among them.
above AS (
    SELECT c.subscription,
           CASE WHEN first.looked < $1 THEN first.wanted
                ELSE first.wanted + first.wanted::float8 / first.looked
                     * (c.head - first.last) * first.looked / greatest(first.last - c.position, 1)
           END AS events,
           -- If none of them is wanted, the next one may be.
           CASE WHEN first.wanted > 0 THEN first.oldest_wanted
                WHEN first.looked >= $1 THEN first.newest END AS oldest
      FROM behind AS c
      JOIN subs AS s ON s.name = c.subscription
     CROSS JOIN LATERAL (
        SELECT count(*) AS looked, max(o.seq) AS last, max(o.received_at) AS newest,
               count(*) FILTER (WHERE o.is_wanted) AS wanted, min(o.received_at) FILTER (WHERE o.is_wanted) AS oldest_wanted
          FROM (SELECT log.seq, log.received_at, log.source LIKE ANY (s.sources) AND log.type LIKE ANY (s.types) AS is_wanted
                  FROM hookline.outbox AS log
                 WHERE log.shard = c.shard AND log.seq > c.position
                 ORDER BY log.seq
                 LIMIT $1) AS o
     ) AS first
),
-- What was handed out below a cursor and isn't settled: in ascending order, so the first is the oldest.
pending AS (
    SELECT c.subscription, cardinality(c.pending) AS events, o.received_at AS oldest
      FROM hookline.cursors AS c
      LEFT JOIN LATERAL (SELECT received_at FROM hookline.outbox AS o
                          WHERE o.shard = c.shard AND o.seq = c.pending[1]) AS o ON true
     WHERE cardinality(c.pending) > 0
),
-- Deliveries in trouble, by shard.
troubled AS MATERIALIZED (
    SELECT d.subscription, d.shard,
           count(*) FILTER (WHERE d.state <> 'dead') AS events,
           count(*) FILTER (WHERE d.state = 'waiting' AND d.attempt > 0) AS retries_waiting,
           count(*) FILTER (WHERE d.state = 'dead') AS dead,
           -- A replay is of old events by its nature: that says nothing about being late.
           min(d.seq) FILTER (WHERE d.state <> 'dead' AND d.replay = 0) AS oldest_seq
      FROM hookline.deliveries AS d
     GROUP BY d.subscription, d.shard
),
blocked AS (
    SELECT subscription, count(*) AS keys
      FROM (SELECT DISTINCT d.subscription, d.shard, d.source, d.ordering_key
              FROM hookline.deliveries AS d
             WHERE d.state = 'blocked') AS k
     GROUP BY subscription
),
live AS (
    SELECT l.subscription, sum(l.events) AS events, min(l.oldest) AS oldest
      FROM (SELECT subscription, events, oldest FROM above
            UNION ALL
            SELECT subscription, events, oldest FROM pending
            UNION ALL
            SELECT t.subscription, t.events, o.received_at
              FROM troubled AS t
              LEFT JOIN LATERAL (SELECT received_at FROM hookline.outbox AS o
                                  WHERE o.shard = t.shard AND o.seq = t.oldest_seq) AS o ON true
             WHERE t.events > 0) AS l
     GROUP BY l.subscription
),
in_trouble AS (
    SELECT subscription, sum(retries_waiting) AS retries_waiting, sum(dead) AS dead FROM troubled GROUP BY subscription
)
SELECT s.name,
       coalesce(round(l.events), 0)::bigint AS backlog,
       coalesce(greatest(extract(epoch FROM clock_timestamp() - l.oldest), 0), 0)::float8 AS oldest_unacked_age,
       coalesce(t.retries_waiting, 0)::bigint AS retries_waiting,
       coalesce(b.keys, 0) AS keys_blocked,
       coalesce(t.dead, 0)::bigint AS dead
  FROM subs AS s
  LEFT JOIN live AS l ON l.subscription = s.name
  LEFT JOIN in_trouble AS t ON t.subscription = s.name
  LEFT JOIN blocked AS b ON b.subscription = s.name
 ORDER BY s.created_at, s.name;

-- database_size: bytes of the database on disk
SELECT pg_database_size(current_database()) AS bytes;
