-- Deliveries in trouble, and the history of attempts. A delivery that is acked the first time leaves no row here.

-- Rows of one key of an ordered subscription: the lowest live one (by seq, replay) is `waiting`, the others are
-- `blocked` until their turn. Whoever writes rows holds the cursor's row lock, so that this stays true.
CREATE TABLE hookline.deliveries (
    seq          bigint NOT NULL,
    replay       bigint NOT NULL DEFAULT 0,      -- hookline.replays.id; 0 is the normal course
    due_at       timestamptz NOT NULL,           -- not to be handed over before, if waiting
    first_at     timestamptz,                    -- first handed over
    changed_at   timestamptz NOT NULL,           -- when it came into its state
    event_id     uuid NOT NULL,
    attempt      integer NOT NULL DEFAULT 0,     -- attempts that failed
    portion      integer NOT NULL DEFAULT 0,     -- suspect of killing consumers: the most it is handed out with; 0 is not
    shard        smallint NOT NULL,
    subscription text NOT NULL,
    state        text NOT NULL CHECK (state IN ('waiting', 'blocked', 'dead')),
    source       text NOT NULL,
    ordering_key text NOT NULL,                  -- the key it waits in; '' where the subscription has no order
    reason       text NOT NULL DEFAULT '',
    PRIMARY KEY (shard, subscription, seq, replay)
) WITH (autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_scale_factor = 0.05);

CREATE INDEX deliveries_due ON hookline.deliveries (shard, subscription, due_at) WHERE state = 'waiting';
CREATE INDEX deliveries_key ON hookline.deliveries (shard, subscription, source, ordering_key, seq, replay)
    WHERE ordering_key <> '';
CREATE INDEX deliveries_turn ON hookline.deliveries (shard, subscription, source, ordering_key)
    WHERE ordering_key <> '' AND state = 'waiting';
CREATE INDEX deliveries_dead ON hookline.deliveries (subscription, changed_at, shard, seq, replay) WHERE state = 'dead';
CREATE INDEX deliveries_replay ON hookline.deliveries (replay) WHERE replay <> 0 AND state <> 'dead';

-- Deliveries whose time has come, with their events, those first that are due longest: at most `most`, and about
-- `most_bytes` of bodies; without those that the relay holds already.
CREATE FUNCTION hookline.read_due(
    of_subscription text, shards smallint[], held_seqs bigint[], held_replays bigint[], most integer, most_bytes bigint
) RETURNS TABLE (
    event_id uuid, seq bigint, received_at timestamptz, shard smallint, revision boolean, source text, type text,
    ordering_key text, traceparent text, tracestate text, headers json, body bytea,
    of_replay bigint, attempt integer, portion integer, first_at timestamptz
)
LANGUAGE plpgsql STABLE
-- By index, always: a plan that was made while there were few rows must not scan them all when there are many.
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
BEGIN
    RETURN QUERY
    SELECT b.event_id, b.seq, b.received_at, b.shard, b.revision, b.source, b.type, b.ordering_key, b.traceparent,
           b.tracestate, b.headers, b.body, b.due_replay, b.due_attempt, b.due_portion, b.due_first_at
      FROM (
        SELECT o.*, due.replay AS due_replay, due.attempt AS due_attempt, due.portion AS due_portion,
               due.first_at AS due_first_at, due.due_at,
               sum(octet_length(o.body)) OVER (ORDER BY due.due_at, due.seq, due.replay) - octet_length(o.body) AS before
          FROM (
            SELECT d.*
              FROM unnest(shards) AS mine (shard)
             CROSS JOIN LATERAL (
                SELECT *
                  FROM hookline.deliveries AS w
                 WHERE w.shard = mine.shard AND w.subscription = of_subscription AND w.state = 'waiting'
                   -- Not clock_timestamp(), which no index scan can be bounded by.
                   AND w.due_at <= statement_timestamp()
                   AND (w.seq, w.replay) NOT IN (SELECT * FROM unnest(held_seqs, held_replays))
                 ORDER BY w.due_at
                 LIMIT most
             ) AS d
             ORDER BY d.due_at, d.seq, d.replay
             LIMIT most
          ) AS due
          JOIN hookline.outbox AS o ON o.shard = due.shard AND o.seq = due.seq
      ) AS b
     WHERE b.before < most_bytes
     ORDER BY b.due_at, b.seq, b.due_replay;
END
$$;

-- How long until the next delivery is due that isn't yet; null if there is none.
CREATE FUNCTION hookline.next_due(of_subscription text, shards smallint[]) RETURNS interval
LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_bitmapscan = off
AS $$
BEGIN
    RETURN (
        SELECT min(d.due_at) - statement_timestamp()
          FROM unnest(shards) AS mine (shard)
         CROSS JOIN LATERAL (
            SELECT w.due_at
              FROM hookline.deliveries AS w
             WHERE w.shard = mine.shard AND w.subscription = of_subscription AND w.state = 'waiting'
               AND w.due_at > statement_timestamp()
             ORDER BY w.due_at
             LIMIT 1
         ) AS d);
END
$$;

-- Appended with the settlement that ends an attempt; an ack only after failures, or of a replay.
CREATE TABLE hookline.attempts (
    ended_at     timestamptz NOT NULL,
    started_at   timestamptz NOT NULL,
    seq          bigint NOT NULL,
    replay       bigint NOT NULL,
    attempt      integer NOT NULL,
    shard        smallint NOT NULL,
    subscription text NOT NULL,
    outcome      text NOT NULL CHECK (outcome IN ('acked', 'retried', 'rejected', 'expired', 'lost', 'failed', 'deleted')),
    consumer     text NOT NULL,
    reason       text NOT NULL,
    -- The time is the relay's, taken once: a write that is repeated because its outcome is unknown adds nothing.
    PRIMARY KEY (shard, seq, subscription, replay, attempt, ended_at)
) PARTITION BY RANGE (ended_at);

-- Where a day's partition is missing, its attempts go here rather than nowhere.
CREATE TABLE hookline.attempts_default PARTITION OF hookline.attempts DEFAULT;

-- Creates the partitions of today and `ahead` more days. Safe to call from anywhere, at any time.
CREATE FUNCTION hookline.ensure_attempt_days(ahead integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    today   date := (clock_timestamp() AT TIME ZONE 'UTC')::date;
    created integer := 0;
    day     date;
    part    text;
BEGIN
    FOR n IN 0 .. ahead LOOP
        day := today + n;
        part := 'attempts_' || to_char(day, 'YYYYMMDD');
        CONTINUE WHEN EXISTS (SELECT FROM pg_class WHERE relname = part AND relnamespace = 'hookline'::regnamespace);
        PERFORM pg_advisory_xact_lock(hashtextextended('hookline.ensure_attempt_days', 0));
        CONTINUE WHEN EXISTS (SELECT FROM pg_class WHERE relname = part AND relnamespace = 'hookline'::regnamespace);
        -- A day that has begun without its partition stays in the default one.
        CONTINUE WHEN EXISTS (SELECT FROM hookline.attempts_default
                               WHERE ended_at >= day::timestamp AT TIME ZONE 'UTC'
                                 AND ended_at < (day + 1)::timestamp AT TIME ZONE 'UTC');
        EXECUTE format('CREATE TABLE hookline.%I PARTITION OF hookline.attempts FOR VALUES FROM (%L) TO (%L)', part,
                       day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
        created := created + 1;
    END LOOP;
    RETURN created;
END
$$;

SELECT hookline.ensure_attempt_days(7);

-- Settlements that reached a relay which doesn't own the shard. The owner carries them out and answers here.
CREATE TABLE hookline.forwarded_settlements (
    id           bigint GENERATED ALWAYS AS IDENTITY,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    shard        smallint NOT NULL,
    answer       smallint,                       -- hookline.v1.SettlementFailureReason; 0 is success; null is none yet
    subscription text NOT NULL,
    settlement   bytea NOT NULL,                 -- a hookline.v1.Settlement
    PRIMARY KEY (shard, subscription, id)
) WITH (autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);
