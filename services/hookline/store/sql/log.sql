-- read_log: the next events of several shards, at most $4 each, $5 together and about $6 bytes of bodies
SELECT event_id, seq, received_at, shard, revision, source, type, ordering_key, traceparent, tracestate, headers, body
  FROM (
    SELECT o.*, sum(octet_length(o.body)) OVER (ROWS UNBOUNDED PRECEDING) - octet_length(o.body) AS bytes_before
      FROM unnest($1::smallint[], $2::bigint[]) AS cursor (shard, position)
           -- $3 is the lowest position: it lets the planner skip old segments before the loop starts
     CROSS JOIN LATERAL (
        SELECT * FROM hookline.outbox AS log
         WHERE log.shard = cursor.shard AND log.seq > cursor.position AND log.seq > $3
         ORDER BY log.seq
         LIMIT $4
     ) AS o
     LIMIT $5
  ) AS bounded
 WHERE bytes_before < $6;

-- read_pending: single events, by shard and seq, about $3 bytes of bodies
SELECT event_id, seq, received_at, shard, revision, source, type, ordering_key, traceparent, tracestate, headers, body
  FROM (
    SELECT o.*, sum(octet_length(o.body)) OVER (ORDER BY o.seq) - octet_length(o.body) AS bytes_before
      FROM unnest($1::smallint[], $2::bigint[]) AS pending (shard, seq)
      JOIN hookline.outbox AS o ON o.shard = pending.shard AND o.seq = pending.seq
  ) AS bounded
 WHERE bytes_before < $3
 ORDER BY seq;

-- backlog: how many events wait for a subscription, up to 10,000: above its positions, pending, and in rows
SELECT least(10000,
             (SELECT count(*)
                FROM (SELECT FROM hookline.cursors AS c
                       CROSS JOIN LATERAL (SELECT FROM hookline.outbox AS o
                                            WHERE o.shard = c.shard AND o.seq > c.position
                                            LIMIT 10000) AS above
                       WHERE c.subscription = $1
                       LIMIT 10000) AS unread)
             + (SELECT coalesce(sum(cardinality(pending)), 0) FROM hookline.cursors WHERE subscription = $1)
             + (SELECT count(*)
                  FROM (SELECT FROM hookline.cursors AS c
                         CROSS JOIN LATERAL (SELECT FROM hookline.deliveries AS d
                                              WHERE d.shard = c.shard AND d.subscription = $1 AND d.state <> 'dead'
                                              LIMIT 10000) AS troubled
                         WHERE c.subscription = $1
                         LIMIT 10000) AS waiting))::bigint AS events;
