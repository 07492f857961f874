-- Replays: events of the past on their way to one subscription once more. A replay never moves a cursor.

-- Whoever writes delivery rows takes the cursors' locks first and the replay's after them.
CREATE TABLE hookline.replays (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    position     bigint NOT NULL,                -- every event up to this seq was looked at
    until_seq    bigint NOT NULL,                -- the last one that is
    scanned      bigint NOT NULL DEFAULT 0,
    created      bigint NOT NULL DEFAULT 0,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at     timestamptz,                    -- null: there is work to do
    start_time   timestamptz,
    end_time     timestamptz,
    next_at      timestamptz NOT NULL DEFAULT clock_timestamp(),  -- not to be worked on before; the longest due is first
    paid_until   timestamptz NOT NULL DEFAULT clock_timestamp(),  -- when the rate allows the next delivery
    lease_until  timestamptz NOT NULL DEFAULT '-infinity',
    max_rate     double precision NOT NULL DEFAULT 0 CHECK (max_rate >= 0),  -- deliveries a second; 0 is no limit
    epoch        bigint NOT NULL DEFAULT 0,      -- every write of a relay names it
    subscription text NOT NULL,
    state        text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'completed', 'cancelled', 'failed')),
    owner        text NOT NULL DEFAULT '',
    reason       text NOT NULL DEFAULT '',
    sources      text[] NOT NULL DEFAULT '{*}',
    types        text[] NOT NULL DEFAULT '{*}',
    event_ids    uuid[],                         -- null: by filter
    seqs         bigint[],                       -- theirs, in ascending order
    CHECK (cardinality(event_ids) = cardinality(seqs)),
    CHECK ((event_ids IS NULL) = (seqs IS NULL))
) WITH (fillfactor = 50);

CREATE INDEX replays_at_work ON hookline.replays (next_at) WHERE ended_at IS NULL;
CREATE INDEX replays_of_subscription ON hookline.replays (subscription, id);

-- Makes deliveries out of events, for anyone but the shard's owner, who has `settle`; answers how many.
-- Takes the cursor's lock, so that nobody judges whose turn it is in a key at the same moment. One shard at a time, or
-- shards in ascending order.
--
-- What isn't settled in the normal course is left out: it comes anyway, and an earlier event of its key may not have.
CREATE FUNCTION hookline.add_deliveries(of_subscription text, of_shard smallint, of_replay bigint, of_seqs bigint[])
RETURNS bigint
LANGUAGE plpgsql
-- By index, always: a plan that was made while there were few rows must not scan them all when there are many.
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    passed   bigint;
    unacked  bigint[];
    ordered  boolean;
    keys     json;
    added    bigint;
BEGIN
    SELECT position, pending INTO passed, unacked
      FROM hookline.cursors WHERE subscription = of_subscription AND shard = of_shard FOR UPDATE;
    -- Only now: the order may have been changed while this call waited for the lock.
    ordered := (SELECT ordering = 'key' FROM hookline.subscriptions WHERE name = of_subscription);

    -- The first of a key waits, unless it is found below that the key has other rows.
    WITH new AS (
        INSERT INTO hookline.deliveries
               (seq, replay, due_at, changed_at, event_id, shard, subscription, state, source, ordering_key)
        SELECT o.seq, of_replay, clock_timestamp(), clock_timestamp(), o.event_id, of_shard, of_subscription,
               CASE WHEN ordered AND o.ordering_key <> ''
                         AND row_number() OVER (PARTITION BY o.source, o.ordering_key ORDER BY o.seq) > 1
                    THEN 'blocked' ELSE 'waiting' END,
               o.source, CASE WHEN ordered THEN o.ordering_key ELSE '' END
          FROM unnest(of_seqs) AS wanted (seq)
          JOIN hookline.outbox AS o ON o.shard = of_shard AND o.seq = wanted.seq
         WHERE o.seq <= passed AND o.seq <> ALL (unacked)
           AND NOT EXISTS (SELECT FROM hookline.deliveries AS d
                            WHERE d.shard = of_shard AND d.subscription = of_subscription AND d.seq = o.seq
                              AND d.replay = 0 AND d.state <> 'dead')
            ON CONFLICT DO NOTHING
        RETURNING source, ordering_key
    )
    SELECT count(*),
           json_agg(DISTINCT jsonb_build_object('shard', of_shard, 'source', new.source,
                                                'ordering_key', new.ordering_key))
               FILTER (WHERE new.ordering_key <> '')
      INTO added, keys
      FROM new;
    IF keys IS NOT NULL THEN
        PERFORM hookline.take_turns(of_subscription, keys);
    END IF;
    RETURN added;
END
$$;

-- Restores the order of the keys of rows that were just added. Call it under the cursor's lock.
CREATE FUNCTION hookline.take_turns(of_subscription text, of_shard smallint, of_seqs bigint[], of_replay bigint)
RETURNS void
LANGUAGE plpgsql
-- By index, always: a plan that was made while there were few rows must not scan them all when there are many.
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    keys json;
BEGIN
    SELECT json_agg(DISTINCT jsonb_build_object('shard', of_shard, 'source', d.source, 'ordering_key', d.ordering_key))
      INTO keys
      FROM unnest(of_seqs) AS added (seq)
      JOIN hookline.deliveries AS d
        ON d.shard = of_shard AND d.subscription = of_subscription AND d.seq = added.seq AND d.replay = of_replay
     WHERE d.ordering_key <> '';
    IF keys IS NOT NULL THEN
        PERFORM hookline.take_turns(of_subscription, keys);
    END IF;
END
$$;

-- The first of the wanted events that can't be added yet, or null:
-- * one that doesn't come by itself (`awaited`) and that the cursor hasn't passed;
-- * in an ordered subscription, one of whose key an earlier event is in a consumer's hands and has no row that this
--   one could be blocked by: the subscription's filter didn't want this one when the cursor passed it.
-- Call it under the cursors' locks.
CREATE FUNCTION hookline.first_held(
    of_subscription text, shards smallint[], of_seqs bigint[], awaited boolean[]
) RETURNS bigint
LANGUAGE sql AS $$
    SELECT min(held.seq)
      FROM (
        SELECT w.seq
          FROM unnest(shards, of_seqs, awaited) AS w (shard, seq, awaited)
          JOIN hookline.cursors AS c ON c.subscription = of_subscription AND c.shard = w.shard
         WHERE w.awaited AND w.seq > c.position
        UNION ALL
        SELECT w.seq
          FROM (SELECT c.shard, in_hand.seq
                  FROM hookline.cursors AS c
                 CROSS JOIN unnest(c.pending) AS in_hand (seq)
                 WHERE c.subscription = of_subscription AND c.shard = ANY (shards)
                   AND in_hand.seq < (SELECT max(s) FROM unnest(of_seqs) AS s)
                   AND EXISTS (SELECT FROM hookline.subscriptions
                                WHERE name = of_subscription AND ordering = 'key')) AS pending
          JOIN hookline.outbox AS earlier ON earlier.shard = pending.shard AND earlier.seq = pending.seq
          JOIN unnest(shards, of_seqs) AS w (shard, seq) ON w.shard = earlier.shard AND w.seq > earlier.seq
          JOIN hookline.outbox AS o ON o.shard = w.shard AND o.seq = w.seq
         WHERE o.source = earlier.source AND o.ordering_key = earlier.ordering_key AND o.ordering_key <> ''
           -- In somebody's hands itself: it isn't added at all.
           AND NOT EXISTS (SELECT FROM hookline.cursors AS c
                            WHERE c.subscription = of_subscription AND c.shard = w.shard AND w.seq = ANY (c.pending))
      ) AS held
$$;

-- One step of a replay: makes deliveries of the wanted events and notes how far it has come, all or nothing, under the
-- epoch. Answers nothing if the replay isn't the caller's any more.
CREATE FUNCTION hookline.advance_replay(
    of_replay bigint, of_epoch bigint, of_subscription text, lease interval,
    upto bigint,           -- every event up to this seq was looked at,
    looked bigint,         -- so many
    shards smallint[], of_seqs bigint[],  -- the wanted ones of these, in ascending order
    before bigint[],       -- how many were looked at before each of them
    awaited boolean[]      -- whether it doesn't come by itself
) RETURNS TABLE (at_position bigint, of_state text, added bigint, outstanding bigint, wait interval, is_held boolean)
LANGUAGE plpgsql AS $$
DECLARE
    replay hookline.replays;
    held   bigint;
    part   record;
    paid   timestamptz;
BEGIN
    PERFORM hookline.lock_cursors(of_subscription, shards);
    SELECT * INTO replay FROM hookline.replays AS r
     WHERE r.id = of_replay AND r.epoch = of_epoch AND r.subscription = of_subscription AND r.state = 'running'
       FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;

    held := hookline.first_held(of_subscription, shards, of_seqs, awaited);
    IF held IS NOT NULL THEN
        looked := before[array_position(of_seqs, held)];
        upto := held - 1;
    END IF;

    added := 0;
    FOR part IN
        SELECT w.shard, array_agg(w.seq ORDER BY w.seq) AS seqs
          FROM unnest(shards, of_seqs) AS w (shard, seq)
         WHERE w.seq <= upto
         GROUP BY w.shard
         ORDER BY w.shard
    LOOP
        added := added + hookline.add_deliveries(of_subscription, part.shard, of_replay, part.seqs);
    END LOOP;
    IF added > 0 THEN
        PERFORM pg_notify('hookline_control', '');
    END IF;

    -- Each delivery takes its part of a second. What a late relay didn't use is caught up with, but for a second only.
    paid := CASE WHEN replay.max_rate > 0
                 THEN greatest(replay.paid_until, clock_timestamp() - interval '1 second')
                      + make_interval(secs => added / replay.max_rate)
                 ELSE clock_timestamp() END;
    UPDATE hookline.replays AS r
       SET position = upto, scanned = r.scanned + looked, created = r.created + added, paid_until = paid,
           lease_until = clock_timestamp() + lease,
           state = CASE WHEN upto >= r.until_seq THEN 'completed' ELSE r.state END,
           ended_at = CASE WHEN upto >= r.until_seq THEN clock_timestamp() END
     WHERE r.id = of_replay
    RETURNING r.state INTO of_state;

    at_position := upto;
    outstanding := (SELECT count(*) FROM hookline.deliveries AS d WHERE d.replay = of_replay AND d.state <> 'dead');
    wait := greatest(paid - clock_timestamp(), interval '0');
    is_held := held IS NOT NULL;
    RETURN NEXT;
END
$$;

-- Removes at most `most` deliveries of a cancelled replay that aren't dead, and lets go on what waited for them. Once
-- there are none, the replay has ended; answers whether it has.
CREATE FUNCTION hookline.withdraw_replay(of_replay bigint, most bigint) RETURNS boolean
LANGUAGE plpgsql
-- By index, always: a plan that was made while there were few rows must not scan them all when there are many.
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    of_subscription text := (SELECT subscription FROM hookline.replays WHERE id = of_replay);
    affected smallint[];
    keys     json;
BEGIN
    SELECT array_agg(DISTINCT d.shard) INTO affected
      FROM (SELECT shard FROM hookline.deliveries WHERE replay = of_replay AND state <> 'dead' LIMIT most) AS d;
    PERFORM hookline.lock_cursors(of_subscription, affected);
    PERFORM FROM hookline.replays WHERE id = of_replay AND state = 'cancelled' FOR UPDATE;
    IF NOT FOUND THEN
        RETURN true;
    END IF;

    WITH chosen AS (
        SELECT d.shard, d.subscription, d.seq FROM hookline.deliveries AS d
         WHERE d.replay = of_replay AND d.state <> 'dead' AND d.shard = ANY (affected)
         LIMIT most
    ),
    gone AS (
        DELETE FROM hookline.deliveries AS d
         USING chosen
         WHERE d.shard = chosen.shard AND d.subscription = chosen.subscription AND d.seq = chosen.seq
           AND d.replay = of_replay
        RETURNING d.shard, d.source, d.ordering_key
    )
    SELECT json_agg(DISTINCT jsonb_build_object('shard', gone.shard, 'source', gone.source,
                                                'ordering_key', gone.ordering_key))
      INTO keys
      FROM gone
     WHERE gone.ordering_key <> '';
    IF keys IS NOT NULL THEN
        PERFORM hookline.take_turns(of_subscription, keys);
        PERFORM pg_notify('hookline_control', '');
    END IF;

    IF EXISTS (SELECT FROM hookline.deliveries WHERE replay = of_replay AND state <> 'dead') THEN
        RETURN false;
    END IF;
    UPDATE hookline.replays SET ended_at = clock_timestamp() WHERE id = of_replay AND ended_at IS NULL;
    RETURN true;
END
$$;
