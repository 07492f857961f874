-- locate: where events are, by their ids; `logged` says whether the log still has them
SELECT e.id AS event_id, e.seq, o.seq IS NOT NULL AS logged
  FROM unnest($1::uuid[]) AS wanted (id)
       -- The first byte of an id is its shard.
  JOIN hookline.events AS e ON e.shard = get_byte(uuid_send(wanted.id), 0) AND e.id = wanted.id
  LEFT JOIN hookline.outbox AS o ON o.shard = e.shard AND o.seq = e.seq
 ORDER BY e.seq;

-- bounds: the log without what was dropped: everything is above `position` and up to `until_seq`
SELECT coalesce(min(first.seq) - 1, (SELECT last_value FROM hookline.outbox_seq)) AS position,
       (SELECT last_value FROM hookline.outbox_seq) AS until_seq
  FROM generate_series(0, (SELECT shards - 1 FROM hookline.installation)) AS s (shard)
 CROSS JOIN LATERAL (SELECT seq FROM hookline.outbox AS o WHERE o.shard = s.shard ORDER BY o.seq LIMIT 1) AS first;

-- create: start a replay and hint to relays; answers nothing if there is no such subscription, or if events were dropped
WITH created AS (
    INSERT INTO hookline.replays
           (subscription, position, until_seq, max_rate, sources, types, start_time, end_time, event_ids, seqs, reason)
    SELECT s.name, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11
      FROM hookline.subscriptions AS s
     WHERE s.name = $1 AND s.deleted_at IS NULL
       -- Against a deletion at the same moment, which would not see the new row.
       FOR SHARE
    RETURNING id
)
SELECT id, pg_notify('hookline_control', '') FROM created;

-- find: one replay by its id
SELECT r.*, (SELECT count(*) FROM hookline.deliveries AS d
              WHERE d.replay = r.id AND d.replay <> 0 AND d.state <> 'dead') AS outstanding
  FROM hookline.replays AS r WHERE r.id = $1;

-- page: replays of a subscription ('' is all) below $2, the newest first; at most $3, and about $4 event ids
SELECT page.*, (SELECT count(*) FROM hookline.deliveries AS d
                 WHERE d.replay = page.id AND d.replay <> 0 AND d.state <> 'dead') AS outstanding
  FROM (
    SELECT newest.*, sum(coalesce(cardinality(newest.event_ids), 0)) OVER (ORDER BY newest.id DESC)
                     - coalesce(cardinality(newest.event_ids), 0) AS ids_before
      FROM (SELECT * FROM hookline.replays
             WHERE ($1::text = '' OR subscription = $1) AND id < $2
             ORDER BY id DESC
             LIMIT $3) AS newest
  ) AS page
 WHERE ids_before < $4
 ORDER BY id DESC;

-- cancel: stop a replay that makes deliveries or whose deliveries aren't all settled, and hint to relays
WITH cancelled AS (
    UPDATE hookline.replays AS r
       SET state = 'cancelled', ended_at = NULL, owner = '', epoch = r.epoch + 1, lease_until = '-infinity',
           next_at = clock_timestamp()
     WHERE r.id = $1 AND r.state <> 'cancelled'
       AND (r.state = 'running' OR EXISTS (
            SELECT FROM hookline.deliveries AS d WHERE d.replay = r.id AND d.replay <> 0 AND d.state <> 'dead'))
    RETURNING id
)
SELECT pg_notify('hookline_control', '') FROM cancelled;

-- withdraw: remove deliveries of a cancelled replay, at most $2; answers whether none are left
SELECT hookline.withdraw_replay($1, $2) AS done;

-- acquire: take the replay that has waited longest, if no live relay holds it; a new epoch shuts out the last owner
-- Materialized, because a planner that joins by nested loops would run a sub-select, and its limit, again for each row.
WITH free AS MATERIALIZED (
    SELECT id FROM hookline.replays
     WHERE ended_at IS NULL AND next_at <= clock_timestamp()
       AND (lease_until < clock_timestamp() OR owner = $1)
     ORDER BY next_at, id
     LIMIT 1
       FOR UPDATE SKIP LOCKED
)
UPDATE hookline.replays AS r
   SET owner = $1, epoch = r.epoch + 1, lease_until = clock_timestamp() + $2
  FROM free
 WHERE r.id = free.id
RETURNING r.*, (SELECT count(*) FROM hookline.deliveries AS d
                 WHERE d.replay = r.id AND d.replay <> 0 AND d.state <> 'dead') AS outstanding;

-- next_due: how long until there is a replay to work on
SELECT min(greatest(next_at, CASE WHEN owner = $1 THEN next_at ELSE lease_until END)) - clock_timestamp() AS wait
  FROM hookline.replays
 WHERE ended_at IS NULL;

-- advance: make deliveries and note how far the replay has come; answers nothing if it isn't ours any more
SELECT at_position, of_state, added, outstanding, wait, is_held
  FROM hookline.advance_replay($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);

-- release: let others work on it, after $3
UPDATE hookline.replays
   SET owner = '', lease_until = '-infinity', next_at = clock_timestamp() + $3
 WHERE id = $1 AND epoch = $2;

-- fail: it can't go on
UPDATE hookline.replays
   SET state = 'failed', reason = $3, ended_at = clock_timestamp()
 WHERE id = $1 AND epoch = $2 AND state = 'running';

-- scan: what the log has between two places, without headers and bodies, and whether the cursor has passed it
SELECT o.seq, o.shard, o.source, o.type, o.seq <= c.position AS passed, true AS logged
  FROM hookline.cursors AS c
 CROSS JOIN LATERAL (
    SELECT * FROM hookline.outbox AS log
     WHERE log.shard = c.shard AND log.seq > $2 AND log.seq <= $3
       AND log.received_at >= coalesce($4, '-infinity'::timestamptz)
       AND log.received_at < coalesce($5, 'infinity'::timestamptz)
 ) AS o
 WHERE c.subscription = $1
 ORDER BY o.seq;

-- read: events by shard and seq, about $3 bytes of bodies
SELECT event_id, seq, received_at, shard, revision, source, type, ordering_key, traceparent, tracestate, headers, body
  FROM (
    SELECT o.*, sum(octet_length(o.body)) OVER (ORDER BY o.seq) - octet_length(o.body) AS bytes_before
      FROM unnest($1::smallint[], $2::bigint[]) AS wanted (shard, seq)
      JOIN hookline.outbox AS o ON o.shard = wanted.shard AND o.seq = wanted.seq
  ) AS bounded
 WHERE bytes_before < $3
 ORDER BY seq;

-- scan_ids: a replay's next events, by their ids; `logged` says whether the log still has them
SELECT wanted.seq, get_byte(uuid_send(wanted.id), 0) AS shard, coalesce(o.source, ''), coalesce(o.type, ''),
       coalesce(o.seq <= c.position, false) AS passed, o.seq IS NOT NULL AS logged
  FROM (SELECT ids.id, ids.seq
          FROM unnest($2::uuid[], $3::bigint[]) AS ids (id, seq)
         WHERE ids.seq > $4
         ORDER BY ids.seq
         LIMIT $5) AS wanted
  LEFT JOIN hookline.outbox AS o ON o.shard = get_byte(uuid_send(wanted.id), 0) AND o.seq = wanted.seq
  LEFT JOIN hookline.cursors AS c ON c.subscription = $1 AND c.shard = o.shard
 ORDER BY wanted.seq;

-- count: by source and type, the events between two places that the subscription's cursors have passed
SELECT o.source, o.type, count(*) AS events
  FROM hookline.outbox AS o
  JOIN hookline.cursors AS c ON c.subscription = $1 AND c.shard = o.shard AND o.seq <= c.position
 WHERE o.seq > $2 AND o.seq <= $3
   AND o.received_at >= coalesce($4, '-infinity'::timestamptz) AND o.received_at < coalesce($5, 'infinity'::timestamptz)
 GROUP BY o.source, o.type;
