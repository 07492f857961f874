-- The ledger (one small row per event ever accepted) and the outbox (the log that is delivered).

-- Columns run from wide to narrow so that no byte is lost to alignment.
CREATE TABLE hookline.events (
    id           uuid NOT NULL,         -- computed from source and dedup key: the primary key is the dedup
    lineage      uuid NOT NULL,         -- shared by all revisions of one key
    seq          bigint NOT NULL,       -- its place in the outbox
    received_at  timestamptz NOT NULL,
    size         integer NOT NULL CHECK (size >= 0),  -- bytes of the body
    shard        smallint NOT NULL,
    revision     boolean NOT NULL,      -- an earlier event of this lineage has another body
    body_sha256  bytea NOT NULL CHECK (octet_length(body_sha256) = 32),
    source       text NOT NULL,
    type         text NOT NULL,
    ordering_key text NOT NULL,         -- '' where the source has none
    traceparent  text NOT NULL,
    tracestate   text NOT NULL,
    PRIMARY KEY (shard, id)
);

-- Drawn only while the shard's lock is held, so within a shard seq order is commit order.
CREATE SEQUENCE hookline.outbox_seq AS bigint;

-- Partitioned by seq into segments, so that retention is a DROP and never a DELETE.
CREATE TABLE hookline.outbox (
    event_id     uuid NOT NULL,
    seq          bigint NOT NULL,
    received_at  timestamptz NOT NULL,
    shard        smallint NOT NULL,
    revision     boolean NOT NULL,
    source       text NOT NULL,
    type         text NOT NULL,
    ordering_key text NOT NULL,
    traceparent  text NOT NULL,
    tracestate   text NOT NULL,
    headers      json NOT NULL,         -- [[name, value], ...] in order of arrival
    body         bytea NOT NULL,        -- byte for byte as received: jsonb would reorder, and refuse \u0000
    PRIMARY KEY (shard, seq)
) PARTITION BY RANGE (seq);

-- Creates the segment that is being written and `ahead` more. Safe to call from anywhere, at any time.
CREATE FUNCTION hookline.ensure_segments(ahead integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    span     bigint := (SELECT segment_events FROM hookline.installation);
    current  bigint := (SELECT last_value FROM hookline.outbox_seq) / span;
    created  integer := 0;
    segment  text;
BEGIN
    FOR n IN current .. current + ahead LOOP
        segment := format('outbox_%s', lpad(n::text, 8, '0'));
        CONTINUE WHEN EXISTS (SELECT FROM pg_class
                               WHERE relname = segment AND relnamespace = 'hookline'::regnamespace);
        -- Two callers must not create the same segment: checked again under the lock, and in the catalog itself,
        -- because to_regclass may answer from a cache that is older than the lock.
        PERFORM pg_advisory_xact_lock(hashtextextended('hookline.ensure_segments', 0));
        CONTINUE WHEN EXISTS (SELECT FROM pg_class
                               WHERE relname = segment AND relnamespace = 'hookline'::regnamespace);
        -- CREATE and ATTACH, not CREATE … PARTITION OF, which would lock out every writer and reader.
        EXECUTE format('CREATE TABLE hookline.%I (LIKE hookline.outbox INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', segment);
        EXECUTE format('ALTER TABLE hookline.outbox ATTACH PARTITION hookline.%I FOR VALUES FROM (%s) TO (%s)',
                       segment, n * span, (n + 1) * span);
        created := created + 1;
    END LOOP;
    RETURN created;
END
$$;
