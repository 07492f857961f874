-- Requests that the edge refused, kept for people to look at and to admit later. Bounded for each source by count,
-- bytes and age, whoever writes: the totals are kept in the transaction that changes them.

CREATE TABLE hookline.rejections (
    id          uuid PRIMARY KEY,       -- drawn by the edge: what is sealed is bound to it
    event_id    uuid,                   -- the event that it became
    received_at timestamptz NOT NULL,
    admitted_at timestamptz CHECK ((admitted_at IS NULL) = (event_id IS NULL)),
    size        bigint NOT NULL CHECK (size >= 0),   -- bytes of the body, as far as they were read or announced
    bytes       bigint NOT NULL CHECK (bytes >= 0),  -- what the row counts for
    status      smallint NOT NULL,      -- the answer
    source      text NOT NULL,
    cause       text NOT NULL,
    method      text NOT NULL,
    target      text NOT NULL,          -- path and query, masked
    omitted     text NOT NULL CHECK ((omitted = '') = (original IS NOT NULL)),  -- why the original isn't here
    headers     json NOT NULL,          -- [[name, value], ...], masked and cut: for people
    original    bytea                   -- method, URL, headers and body, sealed: nothing of a body is here in clear
);
-- Noise already; compressing it costs time and gains nothing.
ALTER TABLE hookline.rejections ALTER COLUMN original SET STORAGE EXTERNAL;
CREATE INDEX rejections_in_time ON hookline.rejections (received_at, id);
CREATE INDEX rejections_of_source ON hookline.rejections (source, received_at, id);

-- How much of each source there is. Its row is also the lock: who changes a source's rejections holds it.
CREATE TABLE hookline.rejection_totals (
    source     text PRIMARY KEY,
    rejections bigint NOT NULL DEFAULT 0 CHECK (rejections >= 0),
    bytes      bigint NOT NULL DEFAULT 0 CHECK (bytes >= 0),
    oldest     timestamptz NOT NULL DEFAULT 'infinity'  -- none was received before
) WITH (fillfactor = 50);

-- Removes a source's oldest rejections until it is within its bounds; answers how many.
-- Costs what it removes: it walks an index from the oldest and stops at the first that may stay.
CREATE FUNCTION hookline.trim_rejections(of_source text, max_count bigint, max_bytes bigint, max_age interval)
RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    total   hookline.rejection_totals;
    next    record;
    last_id uuid := '00000000-0000-0000-0000-000000000000';
    removed bigint := 0;
BEGIN
    SELECT * INTO total FROM hookline.rejection_totals AS t WHERE t.source = of_source FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    LOOP
        -- From where the last one was found, also by an earlier call: what is removed stays in the index until it is
        -- vacuumed, and would be passed over again and again.
        SELECT r.id, r.bytes, r.received_at INTO next
          FROM hookline.rejections AS r
         WHERE r.source = of_source AND (r.received_at, r.id) >= (total.oldest, last_id)
         ORDER BY r.received_at, r.id
         LIMIT 1;
        total.oldest := coalesce(next.received_at, 'infinity');
        EXIT WHEN next.id IS NULL;
        EXIT WHEN total.rejections <= max_count AND total.bytes <= max_bytes
              AND next.received_at >= statement_timestamp() - max_age;
        DELETE FROM hookline.rejections AS r WHERE r.id = next.id;
        last_id := next.id;
        total.rejections := total.rejections - 1;
        total.bytes := total.bytes - next.bytes;
        removed := removed + 1;
    END LOOP;
    UPDATE hookline.rejection_totals AS t
       SET rejections = total.rejections, bytes = total.bytes, oldest = total.oldest
     WHERE t.source = of_source AND (removed > 0 OR t.oldest <> total.oldest);
    RETURN removed;
END
$$;

-- Writes a batch of rejections and keeps each source of it within its bounds; answers how many had to go.
-- What was written before is passed over, so a batch may be written again when its commit was doubtful.
CREATE FUNCTION hookline.keep_rejections(
    ids uuid[], received_ats timestamptz[], sizes bigint[], statuses smallint[], sources text[], causes text[],
    methods text[], targets text[], omitteds text[], headerses json[], originals bytea[],
    bounded text[], max_counts bigint[], max_byteses bigint[], max_ages interval[]
) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    removed bigint;
BEGIN
    -- Before anything is counted, and sorted, so that two edges wait for each other and not in a circle.
    INSERT INTO hookline.rejection_totals (source)
    SELECT source FROM (SELECT DISTINCT unnest(sources) AS source) AS s ORDER BY source
        ON CONFLICT DO NOTHING;
    PERFORM FROM hookline.rejection_totals AS t WHERE t.source = ANY (sources) ORDER BY t.source FOR UPDATE;

    WITH kept AS (
        INSERT INTO hookline.rejections AS r
               (id, received_at, size, bytes, status, source, cause, method, target, omitted, headers, original)
        SELECT i.id, i.received_at, i.size,
               -- A hundred bytes for the row itself.
               100 + octet_length(i.source) + octet_length(i.target) + octet_length(i.headers::text)
                   + coalesce(octet_length(i.original), 0),
               i.status, i.source, i.cause, i.method, i.target, i.omitted, i.headers, i.original
          FROM unnest(ids, received_ats, sizes, statuses, sources, causes, methods, targets, omitteds, headerses,
                      originals)
               AS i (id, received_at, size, status, source, cause, method, target, omitted, headers, original)
            ON CONFLICT DO NOTHING
        RETURNING r.source, r.bytes, r.received_at
    )
    UPDATE hookline.rejection_totals AS t
       SET rejections = t.rejections + k.rejections, bytes = t.bytes + k.bytes, oldest = least(t.oldest, k.oldest)
      FROM (SELECT source, count(*) AS rejections, sum(bytes) AS bytes, min(received_at) AS oldest
              FROM kept GROUP BY source) AS k
     WHERE t.source = k.source;

    SELECT sum(hookline.trim_rejections(b.source, b.max_count, b.max_bytes, b.max_age)) INTO removed
      FROM unnest(bounded, max_counts, max_byteses, max_ages) AS b (source, max_count, max_bytes, max_age);
    RETURN coalesce(removed, 0);
END
$$;
