-- Writes a batch of verified webhooks: event and outbox row, or nothing where the event is known already.
-- Answers one row per *new* event: its place in the batch (from 1), its seq and whether it is a revision.
--
-- A function, because each statement in it takes a fresh snapshot: the search for earlier revisions must see
-- what was committed while this call waited for the locks.
CREATE FUNCTION hookline.ingest(
    shards smallint[], ids uuid[], lineages uuid[],
    sources text[], types text[], ordering_keys text[], received_ats timestamptz[],
    traceparents text[], tracestates text[], body_sha256s bytea[], headerses json[], bodies bytea[]
) RETURNS TABLE (place bigint, new_seq bigint, is_revision boolean)
LANGUAGE plpgsql AS $$
DECLARE
    new_events bigint;
BEGIN
    -- A 2xx promises durability, whatever the role's or the database's default is.
    IF current_setting('synchronous_commit') IN ('off', 'local', 'remote_write') THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;

    PERFORM hookline.lock_shards(shards);

    RETURN QUERY
    -- The batch as rows.
    WITH input AS MATERIALIZED (
        SELECT *
          FROM unnest(shards, ids, lineages, sources, types, ordering_keys,
                      received_ats, traceparents, tracestates, body_sha256s, headerses, bodies)
               WITH ORDINALITY AS i (shard, id, lineage, source, type, ordering_key,
                                     received_at, traceparent, tracestate, body_sha256, headers, body, place)
    ),
    -- The ledger decides what is new. Rows are numbered in order of arrival.
    new AS (
        INSERT INTO hookline.events AS e
               (id, lineage, seq, received_at, size, shard, revision, body_sha256, source, type, ordering_key,
                traceparent, tracestate)
        SELECT i.id, i.lineage, nextval('hookline.outbox_seq'), i.received_at, octet_length(i.body), i.shard,
               -- A lineage is the lowest id of its events: the next entry of the primary key tells.
               EXISTS (
                   SELECT
                     FROM (SELECT earlier.lineage FROM hookline.events AS earlier
                            WHERE earlier.shard = i.shard AND earlier.id >= i.lineage
                            ORDER BY earlier.id
                            LIMIT 1) AS next
                    WHERE next.lineage = i.lineage),
               i.body_sha256, i.source, i.type, i.ordering_key, i.traceparent, i.tracestate
          FROM input AS i
         ORDER BY i.place
            ON CONFLICT DO NOTHING
        RETURNING e.shard, e.id, e.seq, e.revision
    ),
    -- What is new goes into the log.
    logged AS (
        INSERT INTO hookline.outbox
               (event_id, seq, received_at, shard, revision, source, type, ordering_key, traceparent, tracestate,
                headers, body)
        SELECT new.id, new.seq, i.received_at, new.shard, new.revision, i.source, i.type, i.ordering_key,
               i.traceparent, i.tracestate, i.headers, i.body
          FROM new JOIN input AS i ON i.shard = new.shard AND i.id = new.id
    )
    SELECT i.place, new.seq, new.revision
      FROM new JOIN input AS i ON i.shard = new.shard AND i.id = new.id;

    -- A transaction that writes nothing doesn't wait for a synchronous standby. A batch of nothing but duplicates
    -- has to: what it repeats may be committed here and not there. So it writes the smallest thing there is.
    GET DIAGNOSTICS new_events = ROW_COUNT;
    IF new_events = 0 THEN
        PERFORM pg_logical_emit_message(true, 'hookline', '');
    END IF;
END
$$;
