-- read: the shapes of these sources
SELECT source, type, version, shape FROM hookline.shapes WHERE source = ANY ($1) ORDER BY source, type;

-- read_some: the shapes of these sources and types
SELECT s.source, s.type, s.version, s.shape
  FROM hookline.shapes AS s
  JOIN unnest($1::text[], $2::text[]) AS wanted (source, type) ON s.source = wanted.source AND s.type = wanted.type;

-- write: shapes ($1 to $4) where nobody else was first, with their drift ($5 to $11), maps ($12 to $14) and findings ($15 to $21); answers those
-- Given twice it changes nothing the second time: the version is no longer the one that follows.
WITH offered AS (
    SELECT o.*, row_number() OVER (PARTITION BY o.source, o.version = 1) AS nth
      FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[]) AS o (source, type, version, shape)
),
written AS (
    INSERT INTO hookline.shapes AS s (source, type, version, shape, updated_at)
    SELECT o.source, o.type, o.version, o.shape::json, clock_timestamp()
      FROM offered AS o
     WHERE o.version > 1
        OR o.type = '*'                 -- those beyond the bound
        OR o.nth + (SELECT count(*) FROM hookline.shapes AS h WHERE h.source = o.source) <= $22
     ORDER BY o.source, o.type          -- everybody locks in the same order
        ON CONFLICT (source, type) DO UPDATE
       SET version = excluded.version, shape = excluded.shape, updated_at = excluded.updated_at
     WHERE s.version = excluded.version - 1
    RETURNING s.source, s.type
),
drifted AS (
    INSERT INTO hookline.drift AS d (source, type, path, kind, was, now, count, first_seen, last_seen)
    SELECT n.*, clock_timestamp(), clock_timestamp()
      FROM unnest($5::text[], $6::text[], $7::text[], $8::text[], $9::smallint[], $10::smallint[], $11::bigint[])
           AS n (source, type, path, kind, was, now, count)
      JOIN written AS w ON w.source = n.source AND w.type = n.type
        ON CONFLICT (source, type, path, kind) DO UPDATE
       SET was = excluded.was, now = d.now | excluded.now, count = d.count + excluded.count,
           last_seen = excluded.last_seen
),
-- Keys of what turned out to be a map are nobody's to read.
forgotten AS (
    DELETE FROM hookline.drift AS d
     USING unnest($12::text[], $13::text[], $14::text[]) AS m (source, type, path), written AS w
     WHERE d.source = m.source AND d.type = m.type AND w.source = m.source AND w.type = m.type
       AND (starts_with(d.path, m.path || '["')
            OR starts_with(d.path, m.path || '.') AND NOT starts_with(d.path, m.path || '.*'))
),
found AS (
    INSERT INTO hookline.schema_findings AS f
           (source, type, keyword, schema_path, path, event_id, count, first_seen, last_seen)
    SELECT n.*, clock_timestamp(), clock_timestamp()
      FROM unnest($15::text[], $16::text[], $17::text[], $18::text[], $19::text[], $20::uuid[], $21::bigint[])
           AS n (source, type, keyword, schema_path, path, event_id, count)
      JOIN written AS w ON w.source = n.source AND w.type = n.type
     WHERE (SELECT count(*) FROM hookline.schema_findings AS h WHERE h.source = n.source AND h.type = n.type) < $23
        ON CONFLICT (source, type, keyword, schema_path, path) DO UPDATE
       SET count = f.count + excluded.count, event_id = coalesce(excluded.event_id, f.event_id),
           last_seen = excluded.last_seen
)
SELECT source, type FROM written;

-- accept: make shapes ($1 to $4) the known ones where nobody else was first, and forget the drift at $5 (NULL: all of it); answers those
WITH written AS (
    UPDATE hookline.shapes AS s
       SET version = s.version + 1, shape = o.shape::json, updated_at = clock_timestamp()
      FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[]) AS o (source, type, version, shape)
     WHERE s.source = o.source AND s.type = o.type AND s.version = o.version
    RETURNING s.source, s.type
),
forgotten AS (
    DELETE FROM hookline.drift AS d USING written AS w
     WHERE d.source = w.source AND d.type = w.type AND ($5::text[] IS NULL OR d.path = ANY ($5))
),
cleared AS (
    DELETE FROM hookline.schema_findings AS f USING written AS w
     WHERE f.source = w.source AND f.type = w.type AND ($5::text[] IS NULL OR f.path = ANY ($5))
)
SELECT source, type FROM written;

-- drift: what has drifted of a source ($1, NULL: any) and type ($2, NULL: any) since $3, the latest first
SELECT source, type, path, kind, was, now, count, first_seen, last_seen
  FROM hookline.drift
 WHERE ($1::text IS NULL OR source = $1) AND ($2::text IS NULL OR type = $2) AND last_seen >= $3
 ORDER BY last_seen DESC, source COLLATE "C", type COLLATE "C", path COLLATE "C", kind COLLATE "C";

-- findings: what schemas didn't allow, likewise
SELECT source, type, keyword, schema_path, path, count, event_id, first_seen, last_seen
  FROM hookline.schema_findings
 WHERE ($1::text IS NULL OR source = $1) AND ($2::text IS NULL OR type = $2) AND last_seen >= $3
 ORDER BY last_seen DESC, source COLLATE "C", type COLLATE "C", path COLLATE "C", keyword, schema_path;
