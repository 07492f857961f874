-- read_due: deliveries whose time has come, with their events; without those that the relay holds already
SELECT event_id, seq, received_at, shard, revision, source, type, ordering_key, traceparent, tracestate, headers, body,
       of_replay, attempt, portion, first_at,
       (SELECT d.reason <> '' FROM hookline.deliveries AS d
         WHERE d.shard = due.shard AND d.subscription = $1 AND d.seq = due.seq AND d.replay = due.of_replay) IS TRUE AS failed_before
  FROM hookline.read_due($1, $2, $3, $4, $5, $6) AS due;

-- next_due: how long until the next delivery is due
SELECT hookline.next_due($1, $2) AS wait;

-- keys_with_rows: the lowest row of each key that later events have to wait for
SELECT DISTINCT ON (d.shard, d.source, d.ordering_key) d.shard, d.source, d.ordering_key, d.seq, d.replay, d.state
  FROM hookline.deliveries AS d
 WHERE d.subscription = $1 AND d.shard = ANY ($2::smallint[]) AND d.ordering_key <> ''
   AND (d.state <> 'dead'
        OR (SELECT s.after_dead_letter FROM hookline.subscriptions AS s WHERE s.name = $1) = 'block')
 ORDER BY d.shard, d.source, d.ordering_key, d.seq, d.replay;
