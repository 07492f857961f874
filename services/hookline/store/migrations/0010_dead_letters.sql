-- What operators do: redrive and delete dead letters, and change and delete subscriptions that are being delivered.

-- Set while it is being deleted: nothing is delivered any more, and the name isn't free yet.
ALTER TABLE hookline.subscriptions ADD COLUMN deleted_at timestamptz;

-- Where each shard's cursor begins: at the start of the log ('earliest'), at its end ('latest'), or before the first
-- event received at or after a time ('time').
CREATE FUNCTION hookline.start_positions(start text, start_time timestamptz)
RETURNS TABLE (at_shard smallint, at_position bigint)
LANGUAGE sql STABLE AS $$
    SELECT n::smallint,
           CASE start
               WHEN 'earliest' THEN 0
               WHEN 'time' THEN coalesce(
                   (SELECT min(seq) - 1 FROM hookline.outbox AS o WHERE o.shard = n AND o.received_at >= start_time),
                   (SELECT max(seq) FROM hookline.outbox AS o WHERE o.shard = n), 0)
               ELSE coalesce((SELECT max(seq) FROM hookline.outbox AS o WHERE o.shard = n), 0)
           END
      FROM generate_series(0, (SELECT shards - 1 FROM hookline.installation)) AS n
$$;

-- Delivers dead letters again, with all attempts before them. Those that died after `until` are left alone: they were
-- redriven by somebody else already, and died once more. Answers how many there were.
CREATE FUNCTION hookline.redrive(
    of_subscription text, shards smallint[], seqs bigint[], replays bigint[], until timestamptz
) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    redriven bigint;
    keys     json;
BEGIN
    PERFORM hookline.lock_cursors(of_subscription, shards);

    -- Those with a key are blocked at first; their keys' turns are judged below. A portion is kept: what killed
    -- consumers may do it again.
    WITH again AS (
        UPDATE hookline.deliveries AS d
           SET state = CASE WHEN d.ordering_key <> '' THEN 'blocked' ELSE 'waiting' END,
               attempt = 0, first_at = NULL, due_at = clock_timestamp(), changed_at = clock_timestamp()
          FROM unnest(shards, seqs, replays) AS letter (shard, seq, replay)
         WHERE d.shard = letter.shard AND d.subscription = of_subscription AND d.seq = letter.seq
           AND d.replay = letter.replay AND d.state = 'dead' AND d.changed_at <= until
        RETURNING d.shard, d.source, d.ordering_key
    )
    SELECT count(*),
           json_agg(json_build_object('shard', again.shard, 'source', again.source, 'ordering_key', again.ordering_key))
               FILTER (WHERE again.ordering_key <> '')
      INTO redriven, keys
      FROM again;

    IF keys IS NOT NULL THEN
        PERFORM hookline.take_turns(of_subscription, keys);
    END IF;
    PERFORM pg_notify('hookline_control', '');
    RETURN redriven;
END
$$;

-- Gives dead letters up, and lets go on what waited for them. Those that died after `until` are left alone. Answers
-- how many there were.
CREATE FUNCTION hookline.delete_dead_letters(
    of_subscription text, shards smallint[], seqs bigint[], replays bigint[], until timestamptz, why text
) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    deleted bigint;
    keys    json;
BEGIN
    PERFORM hookline.lock_cursors(of_subscription, shards);

    WITH gone AS (
        DELETE FROM hookline.deliveries AS d
         USING unnest(shards, seqs, replays) AS letter (shard, seq, replay)
         WHERE d.shard = letter.shard AND d.subscription = of_subscription AND d.seq = letter.seq
           AND d.replay = letter.replay AND d.state = 'dead' AND d.changed_at <= until
        RETURNING d.shard, d.seq, d.replay, d.attempt, d.source, d.ordering_key
    ),
    kept AS (
        INSERT INTO hookline.attempts
               (ended_at, started_at, seq, replay, attempt, shard, subscription, outcome, consumer, reason)
        SELECT clock_timestamp(), clock_timestamp(), gone.seq, gone.replay, gone.attempt, gone.shard, of_subscription,
               'deleted', '', why
          FROM gone
    )
    SELECT count(*),
           json_agg(json_build_object('shard', gone.shard, 'source', gone.source, 'ordering_key', gone.ordering_key))
               FILTER (WHERE gone.ordering_key <> '')
      INTO deleted, keys
      FROM gone;

    IF keys IS NOT NULL THEN
        PERFORM hookline.take_turns(of_subscription, keys);
    END IF;
    PERFORM pg_notify('hookline_control', '');
    RETURN deleted;
END
$$;

-- Puts every key of a subscription in order anew, because the rules changed. New epochs, because what relays hold and
-- know was arranged by the old ones.
CREATE FUNCTION hookline.reorder() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    keys json;
BEGIN
    PERFORM FROM hookline.cursors WHERE subscription = NEW.name ORDER BY shard FOR UPDATE;
    UPDATE hookline.cursors
       SET owner = '', epoch = epoch + 1, lease_until = '-infinity'
     WHERE subscription = NEW.name;

    UPDATE hookline.deliveries AS d
       SET ordering_key = CASE WHEN NEW.ordering = 'none' THEN ''
                               ELSE coalesce((SELECT o.ordering_key FROM hookline.outbox AS o
                                               WHERE o.shard = d.shard AND o.seq = d.seq), '') END,
           state = CASE WHEN NEW.ordering = 'none' AND d.state = 'blocked' THEN 'waiting' ELSE d.state END
     WHERE d.subscription = NEW.name AND NEW.ordering <> OLD.ordering;

    SELECT json_agg(DISTINCT jsonb_build_object('shard', d.shard, 'source', d.source, 'ordering_key', d.ordering_key))
      INTO keys
      FROM hookline.deliveries AS d
     WHERE d.subscription = NEW.name AND d.ordering_key <> '';
    IF keys IS NOT NULL THEN
        PERFORM hookline.take_turns(NEW.name, keys);
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER subscriptions_reorder
    AFTER UPDATE ON hookline.subscriptions
    FOR EACH ROW
    WHEN ((OLD.ordering, OLD.after_dead_letter) IS DISTINCT FROM (NEW.ordering, NEW.after_dead_letter)
          AND NEW.deleted_at IS NULL)
    EXECUTE FUNCTION hookline.reorder();

-- Begins to delete a subscription: from here on no relay can take or move its cursors, and nothing is replayed to it.
-- `of_version` 0 is any. Answers whether there is one of that version, or one whose deletion has begun.
CREATE FUNCTION hookline.close_subscription(of_subscription text, of_version bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE hookline.subscriptions
       SET deleted_at = coalesce(deleted_at, clock_timestamp()), paused = true, version = version + 1,
           updated_at = clock_timestamp()
     WHERE name = of_subscription AND (of_version IN (0, version) OR deleted_at IS NOT NULL);
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM FROM hookline.cursors WHERE subscription = of_subscription ORDER BY shard FOR UPDATE;
    UPDATE hookline.cursors
       SET owner = '', epoch = epoch + 1, lease_until = 'infinity'
     WHERE subscription = of_subscription;
    DELETE FROM hookline.replays WHERE subscription = of_subscription;
    PERFORM pg_notify('hookline_control', '');
    RETURN true;
END
$$;

-- Ends it: removes what is left, and the name is free. Once the cursors are gone, whoever waited for them finds none.
CREATE FUNCTION hookline.forget_subscription(of_subscription text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM hookline.subscriptions WHERE name = of_subscription AND deleted_at IS NOT NULL FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;  -- somebody else ended it, and this may be a new one of the same name
    END IF;
    PERFORM FROM hookline.cursors WHERE subscription = of_subscription ORDER BY shard FOR UPDATE;
    DELETE FROM hookline.deliveries WHERE subscription = of_subscription
       AND shard = ANY (SELECT shard FROM hookline.cursors WHERE subscription = of_subscription);
    DELETE FROM hookline.forwarded_settlements WHERE subscription = of_subscription;
    DELETE FROM hookline.members WHERE subscription = of_subscription;
    DELETE FROM hookline.replays WHERE subscription = of_subscription;
    DELETE FROM hookline.cursors WHERE subscription = of_subscription;
    DELETE FROM hookline.subscriptions WHERE name = of_subscription;
    PERFORM pg_notify('hookline_control', '');
END
$$;
