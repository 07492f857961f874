-- clock: the database's clock, and the last seq that was drawn
SELECT clock_timestamp() AS now, (SELECT last_value FROM hookline.outbox_seq) AS last_seq;

-- segments: the log, the oldest segment first
SELECT b.segment, b.from_seq, b.until_seq,
       coalesce(pg_total_relation_size(to_regclass('hookline.' || quote_ident(b.segment))), 0) AS bytes,
       hookline.segment_newest(b.segment) AS newest_at
  FROM hookline.segment_bounds() AS b
 ORDER BY b.from_seq;

-- needs: who needs an event of a segment
SELECT kind, subscription, replay, shards, deliveries, first_seq
  FROM hookline.segment_needs($1, $2, $3)
 ORDER BY kind DESC, subscription, replay;

-- drop_segment: drop a segment that nobody needs; answers what became of it
SELECT hookline.drop_segment($1, $2, $3) AS outcome;

-- old_days: days of a history that are over for longer than $2
SELECT day, until_time, coalesce(bytes, 0) AS bytes FROM hookline.old_days($1, $2);

-- drop_day: drop such a day; answers what became of it
SELECT hookline.drop_day($1, $2, $3, $4) AS outcome;

-- expire_default: delete rows of a history that had no day to go to
SELECT hookline.expire_default($1, $2, $3) AS expired;

-- transactions: which other transactions have one of these tables in use
SELECT DISTINCT l.virtualtransaction AS id, l.pid
  FROM pg_locks AS l
 WHERE l.locktype = 'relation' AND l.granted AND l.pid IS DISTINCT FROM pg_backend_pid()
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND l.relation = ANY (SELECT to_regclass('hookline.' || quote_ident(t)) FROM unnest($1::text[]) AS t);

-- sweep_leftovers: delete what relays that died have left; answers how many rows
SELECT hookline.sweep_leftovers() AS swept;

-- held: how many segments the log has, and for how long the oldest is held that is older than $1
SELECT h.segments, extract(epoch FROM clock_timestamp() - h.held_since)::float8 AS held_age
  FROM hookline.held_log($1) AS h;

-- complete_since: since when nothing was dropped from the log; null if nothing ever was
SELECT hookline.log_complete_since() AS since;
