-- read_due: deliveries whose time has come, with their events, at most $6 together and about $7 bytes of bodies; without
-- those that the relay holds already ($3 to $5)
SELECT event_id, seq, received_at, shard, revision, source, type, ordering_key, traceparent, tracestate, headers, body,
       of_replay, attempt, portion, first_at
  FROM (
    SELECT o.*, due.replay AS of_replay, due.attempt, due.portion, due.first_at, due.due_at,
           sum(octet_length(o.body)) OVER (ORDER BY due.due_at, due.seq, due.replay) - octet_length(o.body) AS bytes_before
      FROM (
        SELECT d.*
          FROM unnest($2::smallint[]) AS mine (shard)
         CROSS JOIN LATERAL (
            SELECT * FROM hookline.deliveries AS d
             WHERE d.shard = mine.shard AND d.subscription = $1 AND d.state = 'waiting'
               -- Not clock_timestamp(), which no index scan can be bounded by.
               AND d.due_at <= statement_timestamp()
               AND (d.shard, d.seq, d.replay) NOT IN (
                   SELECT h.shard, h.seq, h.replay
                     FROM unnest($3::smallint[], $4::bigint[], $5::bigint[]) AS h (shard, seq, replay))
             ORDER BY d.due_at, d.seq, d.replay
             LIMIT $6
         ) AS d
         ORDER BY d.due_at, d.seq, d.replay
         LIMIT $6
      ) AS due
      JOIN hookline.outbox AS o ON o.shard = due.shard AND o.seq = due.seq
  ) AS bounded
 WHERE bytes_before < $7
 ORDER BY due_at, seq, of_replay;

-- next_due: how long until the next delivery is due
SELECT min(d.due_at) - statement_timestamp() AS wait
  FROM unnest($2::smallint[]) AS mine (shard)
 CROSS JOIN LATERAL (
    SELECT due_at FROM hookline.deliveries AS d
     WHERE d.shard = mine.shard AND d.subscription = $1 AND d.state = 'waiting' AND d.due_at > statement_timestamp()
     ORDER BY d.due_at
     LIMIT 1
 ) AS d;

-- keys_with_rows: the lowest row of each key that later events have to wait for
SELECT DISTINCT ON (d.shard, d.source, d.ordering_key) d.shard, d.source, d.ordering_key, d.seq, d.replay, d.state
  FROM hookline.deliveries AS d
 WHERE d.subscription = $1 AND d.shard = ANY ($2::smallint[]) AND d.ordering_key <> ''
   AND (d.state <> 'dead'
        OR (SELECT s.after_dead_letter FROM hookline.subscriptions AS s WHERE s.name = $1) = 'block')
 ORDER BY d.shard, d.source, d.ordering_key, d.seq, d.replay;
