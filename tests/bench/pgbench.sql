-- What Hookline writes for one webhook, as plainly as SQL can: one event row and one outbox row, one statement,
-- one transaction.
\set shard random(0, 31)
WITH event AS (
    INSERT INTO events (id, lineage, seq, received_at, size, shard, revision, body_sha256, source, type,
                        ordering_key, traceparent, tracestate)
    VALUES (gen_random_uuid(), gen_random_uuid(), nextval('outbox_seq'), clock_timestamp(), :size, :shard, false,
            :sha256::bytea, 'begini', :type, :ordering_key, :traceparent, '')
        ON CONFLICT DO NOTHING
    RETURNING *
)
INSERT INTO outbox (event_id, seq, received_at, shard, revision, source, type, ordering_key, traceparent,
                    tracestate, headers, body)
SELECT id, seq, received_at, shard, revision, source, type, ordering_key, traceparent, tracestate,
       :headers::json, :body::bytea
  FROM event;
