-- When an event was committed, handed over and acked, and in which trace: what the timeline of an event is made of.

-- By the database's clock, a moment before the commit; null for what was accepted before this migration. A default that
-- comes after the column rewrites nothing.
ALTER TABLE hookline.events ADD COLUMN committed_at timestamptz;
ALTER TABLE hookline.events ALTER COLUMN committed_at SET DEFAULT clock_timestamp();

-- The context that the consumer was given; '' is the one that is stored with the event.
ALTER TABLE hookline.attempts ADD COLUMN traceparent text NOT NULL DEFAULT '';

-- The journal of acks: a row or two for each transaction that settles, not one for each delivery. Here is what leaves no row
-- in `attempts`. A write that is repeated because its outcome was unknown may be here twice: the first one counts.
--
-- A row holds acks of one block of 4096 seqs, so that a seq is looked for in 4096 rows of a subscription at the most,
-- however far from each other the events are that were acked together.
CREATE TABLE hookline.acks (
    acked_at     timestamptz NOT NULL,           -- when the relay's write arrived
    block        bigint NOT NULL,                -- seq >> 12
    subscription text NOT NULL,
    lost         smallint[],                     -- shards that were another relay's by then: not acked; null is none
    consumers    text[] NOT NULL,                -- whom they were handed to
    entries      bytea NOT NULL                  -- see hookline.store.acks: packed, because it is written for every event
) PARTITION BY RANGE (acked_at);

CREATE INDEX acks_block ON hookline.acks (block);

-- Where a day's partition is missing, its acks go here rather than nowhere.
CREATE TABLE hookline.acks_default PARTITION OF hookline.acks DEFAULT;

-- Creates the partitions of today and `ahead` more days, in UTC. Safe to call from anywhere, at any time.
CREATE FUNCTION hookline.ensure_days(of_table text, of_column text, ahead integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    today   date := (clock_timestamp() AT TIME ZONE 'UTC')::date;
    created integer := 0;
    begun   boolean;
    part    text;
    starts  timestamptz;
    ends    timestamptz;
BEGIN
    FOR n IN 0 .. ahead LOOP
        part := of_table || '_' || to_char(today + n, 'YYYYMMDD');
        starts := (today + n)::timestamp AT TIME ZONE 'UTC';
        ends := (today + n + 1)::timestamp AT TIME ZONE 'UTC';
        CONTINUE WHEN EXISTS (SELECT FROM pg_class WHERE relname = part AND relnamespace = 'hookline'::regnamespace);
        PERFORM pg_advisory_xact_lock(hashtextextended('hookline.ensure_days', 0));
        CONTINUE WHEN EXISTS (SELECT FROM pg_class WHERE relname = part AND relnamespace = 'hookline'::regnamespace);
        -- A day that has begun without its partition stays in the default one.
        EXECUTE format('SELECT EXISTS (SELECT FROM hookline.%I WHERE %I >= $1 AND %2$I < $2)', of_table || '_default', of_column)
           INTO begun USING starts, ends;
        CONTINUE WHEN begun;
        -- CREATE and ATTACH, not CREATE … PARTITION OF, which would lock out every writer. No row is cut up or compressed:
        -- it has its page to itself sooner.
        EXECUTE format('CREATE TABLE hookline.%I (LIKE hookline.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)'
                       ' WITH (toast_tuple_target = 8160)', part, of_table);
        EXECUTE format('ALTER TABLE hookline.%I ATTACH PARTITION hookline.%I FOR VALUES FROM (%L) TO (%L)', of_table, part,
                       starts, ends);
        created := created + 1;
    END LOOP;
    RETURN created;
END
$$;

CREATE OR REPLACE FUNCTION hookline.ensure_attempt_days(ahead integer) RETURNS integer
LANGUAGE sql AS $$
    SELECT hookline.ensure_days('attempts', 'ended_at', ahead)
$$;

SELECT hookline.ensure_days('acks', 'acked_at', 7);

-- As in 0008, and two things more: attempts have their traceparent, which a relay of before doesn't name; and an ack of a
-- hand-over that had ended (`done` with an `event`) is written down where it deletes a row.
--
-- The signature is the old one, so that relays of before go on.
CREATE OR REPLACE FUNCTION hookline.settle(
    of_subscription text, lease interval,
    shards smallint[], epochs bigint[], positions bigint[], pendings text[],
    done json,      -- [{shard, seq, replay, event}]: settled for good, whether or not there is a row; with the end of the
                    -- event's id if the row must be compared with it
    troubled json,  -- [{shard, seq, replay, delay, first_at, event_id, attempt, portion, state, source, ordering_key, reason}]
    tried json,     -- [{ended_at, started_at, seq, replay, attempt, shard, outcome, consumer, reason, traceparent}]
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
        RETURNING d.shard, d.seq, d.replay, d.source, d.ordering_key, d.attempt, s.event IS NOT NULL AS is_late
    ),
    late AS (
        INSERT INTO hookline.attempts
               (ended_at, started_at, seq, replay, attempt, shard, subscription, outcome, consumer, reason)
        SELECT clock_timestamp(), clock_timestamp(), gone.seq, gone.replay, gone.attempt, gone.shard, of_subscription,
               'acked', '', 'acked after its hand-over had ended'
          FROM gone
         WHERE gone.is_late
    )
    SELECT 'done', gone.shard, gone.seq, gone.replay, gone.source, gone.ordering_key FROM gone;

    INSERT INTO hookline.attempts
           (ended_at, started_at, seq, replay, attempt, shard, subscription, outcome, consumer, reason, traceparent)
    SELECT a.ended_at, a.started_at, a.seq, a.replay, a.attempt, a.shard, of_subscription, a.outcome, a.consumer,
           a.reason, coalesce(a.traceparent, '')
      FROM json_to_recordset(tried) AS a
           (ended_at timestamptz, started_at timestamptz, seq bigint, replay bigint, attempt integer, shard smallint,
            outcome text, consumer text, reason text, traceparent text)
     WHERE a.shard = ANY (kept)
        ON CONFLICT DO NOTHING;

    RETURN QUERY
    SELECT 'turn', t.key_shard, t.lowest_seq, t.lowest_replay, t.key_source, t.key_name
      FROM hookline.take_turns(of_subscription,
                               (SELECT coalesce(json_agg(j), '[]') FROM json_array_elements(turns) AS j
                                 WHERE (j ->> 'shard')::smallint = ANY (kept))) AS t;
END
$$;
