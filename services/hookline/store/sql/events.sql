-- find: one event of the ledger; `logged` says whether the log still has it
SELECT e.id AS event_id, e.seq, e.received_at, e.shard, e.revision, e.source, e.type, e.traceparent, e.size, e.committed_at,
       e.lineage, EXISTS (SELECT FROM hookline.outbox AS o WHERE o.shard = e.shard AND o.seq = e.seq) AS logged
  FROM hookline.events AS e
       -- The first byte of an id is its shard.
 WHERE e.shard = get_byte(uuid_send($1::uuid), 0) AND e.id = $1;

-- revisions: the other events of a lineage, in the order of the log; their ids lie between $2 and $3
SELECT e.id AS event_id
  FROM hookline.events AS e
 WHERE e.shard = get_byte(uuid_send($1::uuid), 0) AND e.id BETWEEN $2 AND $3 AND e.lineage = $2 AND e.id <> $1
 ORDER BY e.seq;

-- look: of the log above $1 and up to $2, what fits a filter ($3 to $6), the newest first, at most $7; `newest` is when the last one there was committed
WITH seen AS MATERIALIZED (
    SELECT o.*
      FROM generate_series(0, (SELECT shards - 1 FROM hookline.installation)) AS s (shard)
     CROSS JOIN LATERAL (
        SELECT log.event_id, log.seq, log.received_at, log.shard, log.revision, log.source, log.type, log.traceparent,
               octet_length(log.body) AS size
          FROM hookline.outbox AS log
         WHERE log.shard = s.shard AND log.seq > $1 AND log.seq <= $2
         ORDER BY log.seq DESC
               -- No limit at all, but a planner that sees one reads each shard by its index.
         LIMIT $2 - $1
     ) AS o
),
found AS (
    SELECT * FROM seen
     WHERE received_at >= $3 AND received_at < $4 AND source ~ $5 AND type ~ $6
     ORDER BY seq DESC
     LIMIT $7
)
SELECT last.newest, found.*
  FROM (SELECT max(coalesce(e.committed_at, e.received_at)) AS newest
          FROM (SELECT shard, event_id FROM seen ORDER BY seq DESC LIMIT 1) AS top
          JOIN hookline.events AS e ON e.shard = top.shard AND e.id = top.event_id) AS last
  LEFT JOIN found ON true
 ORDER BY found.seq DESC;
