-- Retention: segments of the log and days of the history are dropped whole, once they are old and nobody needs them.
-- Why it is done like this: docs/decisions/0015-retention.md.
--
-- These functions run as the owner of the tables: relays own none, and rights on a table don't reach its partitions. Who
-- calls them says how old is old; that nobody needs it they find out themselves.

-- The segments of the log and their seqs: from `from_seq` up to, and without, `until_seq`.
CREATE FUNCTION hookline.segment_bounds() RETURNS TABLE (segment text, from_seq bigint, until_seq bigint)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    -- As attached and not as named: the size of segments may have been changed.
    SELECT part.relname, part.seqs[1]::bigint, part.seqs[2]::bigint
      FROM (SELECT c.relname::text,
                   regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \(''(\d+)''\) TO \(''(\d+)''\)') AS seqs
              FROM pg_inherits AS i
              JOIN pg_class AS c ON c.oid = i.inhrelid
             WHERE i.inhparent = 'hookline.outbox'::regclass AND NOT i.inhdetachpending) AS part
     WHERE part.seqs IS NOT NULL
     ORDER BY part.seqs[1]::bigint
$$;

-- When the newest event of a segment was received; null if it has none.
CREATE FUNCTION hookline.segment_newest(of_segment text) RETURNS timestamptz
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    newest timestamptz;
BEGIN
    -- Within a shard seqs are drawn in the order of time: the last entry of the index for each of them.
    EXECUTE format('SELECT max(last.received_at)'
                   '  FROM generate_series(0, (SELECT shards - 1 FROM hookline.installation)) AS s (shard)'
                   ' CROSS JOIN LATERAL (SELECT o.received_at FROM hookline.%I AS o WHERE o.shard = s.shard::smallint'
                   '                      ORDER BY o.seq DESC LIMIT 1) AS last', of_segment)
       INTO newest;
    RETURN newest;
EXCEPTION WHEN undefined_table THEN
    RETURN NULL;  -- dropped by somebody else in this moment
END
$$;

-- Who needs an event of a segment: nobody if there is no row.
--
-- One statement, because a settlement that moves a cursor past an event and leaves a row for it must be seen as a whole.
CREATE FUNCTION hookline.segment_needs(of_segment text, from_seq bigint, until_seq bigint)
RETURNS TABLE (kind text, subscription text, replay bigint, shards bigint, deliveries bigint, first_seq bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
-- By index, always: a plan that was made while there were few rows must not scan them all when there are many.
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    RETURN QUERY EXECUTE format($query$
        -- What a cursor has yet to read. A shard without further events needs nothing, wherever its cursor stands.
        SELECT 'unread', c.subscription, 0::bigint, count(*), NULL::bigint, min(o.seq)
          FROM hookline.cursors AS c
         CROSS JOIN LATERAL (SELECT log.seq FROM hookline.%I AS log
                              WHERE log.shard = c.shard AND log.seq > c.position
                              ORDER BY log.seq LIMIT 1) AS o
         GROUP BY c.subscription
        UNION ALL
        -- What was handed out and isn't settled.
        SELECT 'pending', c.subscription, 0, count(DISTINCT c.shard), count(*), min(p.seq)
          FROM hookline.cursors AS c
         CROSS JOIN unnest(c.pending) AS p (seq)
         WHERE p.seq >= $1 AND p.seq < $2
         GROUP BY c.subscription
        UNION ALL
        -- Deliveries in trouble: waiting, blocked, dead.
        SELECT d.state, d.subscription, 0, count(DISTINCT d.shard), count(*), min(d.seq)
          FROM hookline.cursors AS c
          JOIN hookline.deliveries AS d
            ON d.shard = c.shard AND d.subscription = c.subscription AND d.seq >= $1 AND d.seq < $2
         GROUP BY d.state, d.subscription
        UNION ALL
        -- What a replay has yet to look at.
        SELECT 'replay', r.subscription, r.id, NULL, NULL, greatest(r.position + 1, $1)
          FROM hookline.replays AS r
         WHERE r.ended_at IS NULL AND r.state = 'running' AND r.position < r.until_seq
           AND CASE WHEN r.seqs IS NULL THEN r.position < $2 - 1 AND r.until_seq >= $1
                    ELSE EXISTS (SELECT FROM unnest(r.seqs) AS s (seq)
                                  WHERE s.seq > r.position AND s.seq >= $1 AND s.seq < $2) END
        $query$, of_segment) USING from_seq, until_seq;
EXCEPTION WHEN undefined_table THEN
    RETURN;  -- dropped by somebody else in this moment
END
$$;

-- The lock of whoever drops something: one at a time, and never while a replay is being created. Answers whether it is ours.
CREATE FUNCTION hookline.try_lock_retention() RETURNS boolean
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT pg_try_advisory_xact_lock(hashtextextended('hookline.retention', 0))
$$;

-- Drops one segment of the log if it is complete, its newest event is older than `keep`, and nobody needs it. Answers
-- `dropped`, or why not: `written`, `young`, `needed`, `gone`; `elsewhere`: somebody else is dropping something; `busy`: the
-- locks were not to be had within `patience`.
CREATE FUNCTION hookline.drop_segment(of_segment text, keep interval, patience interval) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    bounds record;
BEGIN
    -- What is checked under the locks must be what is committed by then.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'drop_segment needs isolation level read committed';
    END IF;
    IF NOT hookline.try_lock_retention() THEN
        RETURN 'elsewhere';
    END IF;
    SELECT * INTO bounds FROM hookline.segment_bounds() AS b WHERE b.segment = of_segment;
    IF NOT FOUND THEN
        RETURN 'gone';
    ELSIF (SELECT last_value FROM hookline.outbox_seq) < bounds.until_seq THEN
        RETURN 'written';
    ELSIF hookline.segment_newest(of_segment) > clock_timestamp() - keep THEN
        RETURN 'young';
    ELSIF EXISTS (SELECT FROM hookline.segment_needs(of_segment, bounds.from_seq, bounds.until_seq)) THEN
        RETURN 'needed';
    END IF;

    -- A synchronous standby isn't waited for, as everybody would wait for us meanwhile.
    PERFORM set_config('synchronous_commit', 'off', true),
            set_config('lock_timeout', (extract(epoch FROM patience) * 1000)::integer::text, true);
    -- Whoever comes while we wait for a lock waits behind us: so not for long, and never for somebody's report.
    LOCK TABLE ONLY hookline.outbox IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('LOCK TABLE hookline.%I IN ACCESS EXCLUSIVE MODE', of_segment);
    -- Once more: until now there were writers, and relays that settled.
    IF hookline.segment_newest(of_segment) > clock_timestamp() - keep THEN
        RETURN 'young';
    ELSIF EXISTS (SELECT FROM hookline.segment_needs(of_segment, bounds.from_seq, bounds.until_seq)) THEN
        RETURN 'needed';
    END IF;
    EXECUTE format('DROP TABLE hookline.%I', of_segment);
    RETURN 'dropped';
EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
    RETURN 'busy';
END
$$;

-- The days of a history (`attempts` or `acks`) that are over for longer than `keep`.
CREATE FUNCTION hookline.old_days(of_table text, keep interval) RETURNS TABLE (day text, until_time timestamptz, bytes bigint)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO' SET timezone = 'UTC' AS $$
    -- Materialized: else the planner may read the bounds of all tables as times, and those of the log are numbers.
    WITH part AS MATERIALIZED (
        SELECT c.oid, c.relname::text, regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO \(''([^'']+)''\)') AS ends
          FROM pg_inherits AS i
          JOIN pg_class AS c ON c.oid = i.inhrelid
         WHERE i.inhparent = to_regclass('hookline.' || quote_ident(of_table))
           AND of_table IN ('attempts', 'acks')
    )
    SELECT part.relname, part.ends[1]::timestamptz, pg_total_relation_size(part.oid)
      FROM part
     WHERE part.ends[1]::timestamptz <= clock_timestamp() - keep
     ORDER BY part.ends[1]::timestamptz
$$;

-- Drops one day of a history that is over for longer than `keep`; answers as `drop_segment`.
CREATE FUNCTION hookline.drop_day(of_table text, of_day text, keep interval, patience interval) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
BEGIN
    IF NOT hookline.try_lock_retention() THEN
        RETURN 'elsewhere';
    END IF;
    PERFORM FROM hookline.old_days(of_table, keep) AS d WHERE d.day = of_day;
    IF NOT FOUND THEN
        RETURN 'gone';
    END IF;
    PERFORM set_config('synchronous_commit', 'off', true),
            set_config('lock_timeout', (extract(epoch FROM patience) * 1000)::integer::text, true);
    EXECUTE format('LOCK TABLE ONLY hookline.%I IN ACCESS EXCLUSIVE MODE', of_table);
    EXECUTE format('DROP TABLE hookline.%I', of_day);
    RETURN 'dropped';
EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
    RETURN 'busy';
END
$$;

-- Deletes at most `most` rows older than `keep` of a history that had no day to go to; answers how many there were.
CREATE FUNCTION hookline.expire_default(of_table text, keep interval, most bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    expired bigint;
BEGIN
    IF of_table NOT IN ('attempts', 'acks') THEN
        RAISE EXCEPTION 'no history: %', of_table;
    END IF;
    EXECUTE format('DELETE FROM hookline.%1$I WHERE ctid = ANY (ARRAY('
                   'SELECT ctid FROM hookline.%1$I WHERE %2$I < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))',
                   of_table || '_default', CASE of_table WHEN 'attempts' THEN 'ended_at' ELSE 'acked_at' END)
      USING clock_timestamp() - keep, most;
    GET DIAGNOSTICS expired = ROW_COUNT;
    RETURN expired;
END
$$;

-- Deletes what relays that died have left: settlements that nobody waits for any more, and members. Answers how many rows.
CREATE FUNCTION hookline.sweep_leftovers() RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH settlements AS (
        DELETE FROM hookline.forwarded_settlements WHERE created_at < clock_timestamp() - interval '1 hour' RETURNING 1
    ),
    members AS (
        DELETE FROM hookline.members WHERE alive_until < clock_timestamp() - interval '1 hour' RETURNING 1
    )
    SELECT (SELECT count(*) FROM settlements) + (SELECT count(*) FROM members)
$$;

-- How many segments the log has, and when the newest event of the oldest one was received that is older than `keep` and
-- that somebody needs; null if there is none.
CREATE FUNCTION hookline.held_log(keep interval) RETURNS TABLE (segments bigint, held_since timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    part   record;
    newest timestamptz;
BEGIN
    segments := (SELECT count(*) FROM hookline.segment_bounds());
    FOR part IN
        SELECT * FROM hookline.segment_bounds() AS b
         WHERE b.until_seq <= (SELECT last_value FROM hookline.outbox_seq)
    LOOP
        newest := hookline.segment_newest(part.segment);
        EXIT WHEN newest > clock_timestamp() - keep;
        IF newest IS NOT NULL
           AND EXISTS (SELECT FROM hookline.segment_needs(part.segment, part.from_seq, part.until_seq)) THEN
            held_since := newest;
            EXIT;
        END IF;
    END LOOP;
    RETURN NEXT;
END
$$;

-- Since when the log is complete: events received before may have been dropped. Null if nothing ever was.
CREATE FUNCTION hookline.log_complete_since() RETURNS timestamptz
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
SET enable_seqscan = off SET enable_bitmapscan = off AS $$
    -- After the last gap between segments; the first one began at 0.
    WITH whole AS (
        SELECT max(b.from_seq) AS seq
          FROM (SELECT from_seq, lag(until_seq, 1, 0::bigint) OVER (ORDER BY from_seq) AS before
                  FROM hookline.segment_bounds()) AS b
         WHERE b.from_seq <> b.before
    )
    SELECT coalesce(min(first.received_at), clock_timestamp())
      FROM whole
      LEFT JOIN LATERAL (
        SELECT o.received_at
          FROM generate_series(0, (SELECT shards - 1 FROM hookline.installation)) AS s (shard)
         CROSS JOIN LATERAL (SELECT log.received_at FROM hookline.outbox AS log
                              WHERE log.shard = s.shard::smallint AND log.seq >= whole.seq
                              ORDER BY log.seq LIMIT 1) AS o) AS first ON true
     WHERE whole.seq IS NOT NULL
    HAVING count(*) > 0
$$;

-- A replay of single events is not created if one of them isn't in the log any more. It may have been dropped since
-- somebody looked, but not from here on, as the replay is there to be seen.
CREATE FUNCTION hookline.check_replayed() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('hookline.retention', 0));
    IF EXISTS (SELECT FROM unnest(NEW.event_ids, NEW.seqs) AS wanted (id, seq)
                -- The first byte of an id is its shard.
                WHERE NOT EXISTS (SELECT FROM hookline.outbox AS o
                                   WHERE o.shard = get_byte(uuid_send(wanted.id), 0)::smallint AND o.seq = wanted.seq)) THEN
        RETURN NULL;
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER replays_logged BEFORE INSERT ON hookline.replays
    FOR EACH ROW EXECUTE FUNCTION hookline.check_replayed();
