-- subscriptions: all of them, and how far each has come past an event: `read`, and `held` where it isn't settled
SELECT s.name, s.sources, s.types, s.expression, s.ordering, s.after_dead_letter, s.ack_deadline, s.retry, s.push,
       s.dead_letter_retention, s.paused, s.version, s.created_at,
       c.position >= $2 AS read, $2 = ANY (c.pending) AS held
  FROM hookline.subscriptions AS s
  JOIN hookline.cursors AS c ON c.subscription = s.name AND c.shard = $1
 WHERE s.deleted_at IS NULL
 ORDER BY s.name;

-- rows: an event's deliveries in trouble
SELECT s.name AS subscription, d.replay, d.state, d.due_at, d.changed_at, d.reason
  FROM hookline.subscriptions AS s
 CROSS JOIN LATERAL (
    SELECT * FROM hookline.deliveries AS row
     WHERE row.shard = $1 AND row.subscription = s.name AND row.seq = $2
     ORDER BY row.shard, row.subscription, row.seq, row.replay
           -- No limit at all, but a planner that sees one looks into the primary key.
     LIMIT 1000000
 ) AS d
 WHERE s.deleted_at IS NULL;

-- attempts: an event's attempts, in order
SELECT subscription, replay, attempt, outcome, reason, consumer, started_at, ended_at, traceparent
  FROM hookline.attempts
 WHERE shard = $1 AND seq = $2 AND ended_at >= $3
 ORDER BY ended_at, attempt;
