-- Settles a batch: moves cursors, writes and deletes delivery rows, appends attempts, all under the epochs.
--
-- Functions, because each statement in them takes a fresh snapshot: whose turn it is in a key must be judged after
-- waiting for the cursors' locks, which everyone holds who writes rows.

-- Takes the locks of cursors, which everyone holds who writes their rows: in order, so that two writers can't wait for
-- each other.
CREATE FUNCTION hookline.lock_cursors(of_subscription text, shards smallint[]) RETURNS void
LANGUAGE plpgsql
-- By index, always: a plan that was made while there were few rows must not scan them all when there are many.
SET enable_seqscan = off
AS $$
BEGIN
    PERFORM FROM hookline.cursors AS c
      WHERE c.subscription = of_subscription AND c.shard = ANY (shards)
      ORDER BY c.shard
        FOR UPDATE;
END
$$;

-- Restores the order of keys: the lowest live row waits, all others are blocked. Answers each key's lowest row, or
-- nulls. With after_dead_letter = 'block', a dead row is live. Call it under the cursors' locks.
CREATE FUNCTION hookline.take_turns(of_subscription text, keys json)
RETURNS TABLE (key_shard smallint, key_source text, key_name text, lowest_seq bigint, lowest_replay bigint)
LANGUAGE plpgsql
-- One key at a time, by index: a plan that was made while there were few rows must not scan them all when there are many.
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off
AS $$
DECLARE
    dead_blocks boolean := (SELECT after_dead_letter = 'block' FROM hookline.subscriptions WHERE name = of_subscription);
    k      record;
    lowest record;
BEGIN
    FOR k IN SELECT DISTINCT j.shard, j.source, j.ordering_key
               FROM json_to_recordset(keys) AS j (shard smallint, source text, ordering_key text)
    LOOP
        SELECT d.seq, d.replay, d.state INTO lowest
          FROM hookline.deliveries AS d
         WHERE d.shard = k.shard AND d.subscription = of_subscription
           AND d.source = k.source AND d.ordering_key = k.ordering_key AND d.ordering_key <> ''
           AND (d.state <> 'dead' OR dead_blocks)
         ORDER BY d.source, d.ordering_key, d.seq, d.replay
         LIMIT 1;
        IF lowest.seq IS NOT NULL THEN
            -- A row that waited behind none may be behind one now. It keeps its due time for when its turn comes.
            UPDATE hookline.deliveries AS d
               SET state = 'blocked', changed_at = clock_timestamp()
             WHERE d.shard = k.shard AND d.subscription = of_subscription AND d.source = k.source
               AND d.ordering_key = k.ordering_key AND d.ordering_key <> '' AND d.state = 'waiting'
               AND (d.seq, d.replay) > (lowest.seq, lowest.replay);
            IF lowest.state = 'blocked' THEN
                UPDATE hookline.deliveries AS d
                   SET state = 'waiting', due_at = greatest(d.due_at, clock_timestamp()), changed_at = clock_timestamp()
                 WHERE d.shard = k.shard AND d.subscription = of_subscription AND d.seq = lowest.seq
                   AND d.replay = lowest.replay;
            END IF;
        END IF;
        key_shard := k.shard; key_source := k.source; key_name := k.ordering_key;
        lowest_seq := lowest.seq; lowest_replay := lowest.replay;
        RETURN NEXT;
    END LOOP;
END
$$;

-- Answers, by `kind`: 'kept', shards that are still ours; 'done', rows that were deleted, and their keys; 'turn', the
-- lowest row of each key of `turns`, or nulls where there is none.
CREATE FUNCTION hookline.settle(
    of_subscription text, lease interval,
    shards smallint[], epochs bigint[], positions bigint[], pendings text[],
    done json,      -- [{shard, seq, replay, event}]: settled for good, whether or not there is a row; with the end of the
                    -- event's id if the row must be compared with it
    troubled json,  -- [{shard, seq, replay, delay, first_at, event_id, attempt, portion, state, source, ordering_key, reason}]
    tried json,     -- [{ended_at, started_at, seq, replay, attempt, shard, outcome, consumer, reason}]
    turns json      -- [{shard, source, ordering_key}]: keys whose order may have changed
) RETURNS TABLE (kind text, at_shard smallint, at_seq bigint, at_replay bigint, of_source text, of_key text)
LANGUAGE plpgsql
-- By index, always: a plan that was made while there were few rows must not scan them all when there are many.
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    kept smallint[];
BEGIN
    PERFORM hookline.lock_cursors(of_subscription, shards);

    WITH moved AS (
        UPDATE hookline.cursors AS c
           SET position = m.position, pending = m.pending::bigint[], lease_until = clock_timestamp() + lease
          FROM unnest(shards, epochs, positions, pendings) AS m (shard, epoch, position, pending)
         WHERE c.subscription = of_subscription AND c.shard = m.shard AND c.epoch = m.epoch
        RETURNING c.shard
    )
    SELECT array_agg(moved.shard) INTO kept FROM moved;
    IF kept IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY SELECT 'kept', k, NULL::bigint, NULL::bigint, NULL::text, NULL::text FROM unnest(kept) AS k;

    INSERT INTO hookline.deliveries AS d
           (seq, replay, due_at, first_at, changed_at, event_id, attempt, portion, shard, subscription, state, source,
            ordering_key, reason)
    SELECT t.seq, t.replay, clock_timestamp() + make_interval(secs => t.delay), t.first_at, clock_timestamp(),
           t.event_id, t.attempt, t.portion, t.shard, of_subscription, t.state, t.source, t.ordering_key, t.reason
      FROM json_to_recordset(troubled) AS t
           (seq bigint, replay bigint, delay double precision, first_at timestamptz, event_id uuid, attempt integer,
            portion integer, shard smallint, state text, source text, ordering_key text, reason text)
     WHERE t.shard = ANY (kept)
        ON CONFLICT (shard, subscription, seq, replay) DO UPDATE
       SET due_at = excluded.due_at, first_at = coalesce(d.first_at, excluded.first_at),
           changed_at = excluded.changed_at, attempt = excluded.attempt, portion = excluded.portion,
           state = excluded.state, reason = excluded.reason;

    -- After the rows were written: a delivery may come into trouble and be acked in one batch, and then the ack counts.
    RETURN QUERY
    WITH gone AS (
        DELETE FROM hookline.deliveries AS d
         USING json_to_recordset(done) AS s (shard smallint, seq bigint, replay bigint, event text)
         WHERE s.shard = ANY (kept)
           AND d.shard = s.shard AND d.subscription = of_subscription AND d.seq = s.seq AND d.replay = s.replay
           AND (s.event IS NULL OR right(d.event_id::text, 8) = s.event)
        RETURNING d.shard, d.seq, d.replay, d.source, d.ordering_key
    )
    SELECT 'done', gone.shard, gone.seq, gone.replay, gone.source, gone.ordering_key FROM gone;

    INSERT INTO hookline.attempts
           (ended_at, started_at, seq, replay, attempt, shard, subscription, outcome, consumer, reason)
    SELECT a.ended_at, a.started_at, a.seq, a.replay, a.attempt, a.shard, of_subscription, a.outcome, a.consumer,
           a.reason
      FROM json_to_recordset(tried) AS a
           (ended_at timestamptz, started_at timestamptz, seq bigint, replay bigint, attempt integer, shard smallint,
            outcome text, consumer text, reason text)
     WHERE a.shard = ANY (kept)
        ON CONFLICT DO NOTHING;

    RETURN QUERY
    SELECT 'turn', t.key_shard, t.lowest_seq, t.lowest_replay, t.key_source, t.key_name
      FROM hookline.take_turns(of_subscription,
                               (SELECT coalesce(json_agg(j), '[]') FROM json_array_elements(turns) AS j
                                 WHERE (j ->> 'shard')::smallint = ANY (kept))) AS t;
END
$$;
