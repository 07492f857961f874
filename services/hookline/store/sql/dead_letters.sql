-- now: the database's clock
SELECT clock_timestamp() AS now;

-- find_newest: dead letters that fit a filter ($2 to $6), the most recently dead first, after a place in that order
SELECT d.shard, d.seq, d.replay, d.event_id, d.source, d.attempt, d.reason, d.first_at, d.changed_at, e.type, e.received_at
  FROM hookline.deliveries AS d
  LEFT JOIN LATERAL (
       SELECT o.type, o.received_at FROM hookline.outbox AS o WHERE o.shard = d.shard AND o.seq = d.seq LIMIT 1) AS e ON true
 WHERE d.subscription = $1 AND d.state = 'dead' AND d.changed_at >= $5 AND d.changed_at < $6
   AND d.source ~ $2 AND ($3 = '' OR e.type ~ $3) AND strpos(d.reason, $4) > 0
   AND (d.changed_at, d.shard, d.seq, d.replay) < ($7, $8, $9, $10)
 ORDER BY d.changed_at DESC, d.shard DESC, d.seq DESC, d.replay DESC
 LIMIT $11;

-- pick_oldest: dead letters that fit a filter ($2 to $6), the longest dead first, after a place in that order
SELECT d.shard, d.seq, d.replay, d.changed_at
  FROM hookline.deliveries AS d
  LEFT JOIN LATERAL (
       SELECT o.type FROM hookline.outbox AS o
        WHERE $3 <> '' AND o.shard = d.shard AND o.seq = d.seq LIMIT 1) AS e ON true
 WHERE d.subscription = $1 AND d.state = 'dead' AND d.changed_at >= $5 AND d.changed_at < $6
   AND d.source ~ $2 AND ($3 = '' OR e.type ~ $3) AND strpos(d.reason, $4) > 0
   AND (d.changed_at, d.shard, d.seq, d.replay) > ($7, $8, $9, $10)
 ORDER BY d.changed_at, d.shard, d.seq, d.replay
 LIMIT $11;

-- count: how many dead letters fit a filter ($2 to $6)
SELECT count(*) AS letters
  FROM hookline.deliveries AS d
  LEFT JOIN LATERAL (
       SELECT o.type FROM hookline.outbox AS o
        WHERE $3 <> '' AND o.shard = d.shard AND o.seq = d.seq LIMIT 1) AS e ON true
 WHERE d.subscription = $1 AND d.state = 'dead' AND d.changed_at >= $5 AND d.changed_at < $6
   AND d.source ~ $2 AND ($3 = '' OR e.type ~ $3) AND strpos(d.reason, $4) > 0;

-- count_named: how many of these deliveries are dead
SELECT count(*) AS letters
  FROM hookline.deliveries AS d
  JOIN unnest($2::smallint[], $3::bigint[], $4::bigint[]) AS letter (shard, seq, replay)
    ON d.shard = letter.shard AND d.seq = letter.seq AND d.replay = letter.replay
 WHERE d.subscription = $1 AND d.state = 'dead';

-- find: one dead letter
SELECT d.shard, d.seq, d.replay, d.event_id, d.source, d.attempt, d.reason, d.first_at, d.changed_at, e.type, e.received_at
  FROM hookline.deliveries AS d
  LEFT JOIN LATERAL (
       SELECT o.type, o.received_at FROM hookline.outbox AS o WHERE o.shard = d.shard AND o.seq = d.seq LIMIT 1) AS e ON true
 WHERE d.shard = $2 AND d.subscription = $1 AND d.seq = $3 AND d.replay = $4 AND d.state = 'dead';

-- attempts: the attempts of one delivery, in order
SELECT attempt, outcome, reason, consumer, started_at, ended_at
  FROM hookline.attempts
 WHERE shard = $2 AND seq = $3 AND subscription = $1 AND replay = $4
 ORDER BY ended_at, attempt;

-- content: what the provider sent
SELECT headers, body FROM hookline.outbox WHERE shard = $1 AND seq = $2;

-- redrive: deliver dead letters again
SELECT hookline.redrive($1, $2, $3, $4, $5) AS letters;

-- delete: give dead letters up
SELECT hookline.delete_dead_letters($1, $2, $3, $4, $5, $6) AS letters;

-- expired: up to $1 dead letters of each subscription that are older than it keeps them
SELECT s.name AS subscription, d.shard, d.seq, d.replay, d.changed_at
  FROM hookline.subscriptions AS s
 CROSS JOIN LATERAL (
       SELECT * FROM hookline.deliveries AS d
        WHERE d.subscription = s.name AND d.state = 'dead'
          AND d.changed_at < statement_timestamp() - s.dead_letter_retention
        ORDER BY d.changed_at, d.shard, d.seq, d.replay
        LIMIT $1) AS d
 WHERE s.deleted_at IS NULL;
