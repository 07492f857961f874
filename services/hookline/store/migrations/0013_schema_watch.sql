-- What edges have learned of the shape of bodies. Paths, types and counts; never a value, never a key that is data.

-- One row for each source and type, written with the version that was read: who comes second reads again.
CREATE TABLE hookline.shapes (
    version    bigint NOT NULL CHECK (version > 0),
    updated_at timestamptz NOT NULL,
    source     text NOT NULL,
    type       text NOT NULL,
    shape      json NOT NULL,           -- hookline.core.shape.Shape
    PRIMARY KEY (source, type)
) WITH (fillfactor = 50);

-- Where bodies are no longer as they were learned; until somebody accepts it. Types are sets of bits
-- (hookline.core.shape_types.Types).
CREATE TABLE hookline.drift (
    first_seen timestamptz NOT NULL,
    last_seen  timestamptz NOT NULL,
    count      bigint NOT NULL CHECK (count > 0),   -- bodies
    was        smallint NOT NULL,
    now        smallint NOT NULL,
    source     text NOT NULL,
    type       text NOT NULL,
    path       text NOT NULL,
    kind       text NOT NULL CHECK (kind IN ('new', 'type', 'vanished')),
    PRIMARY KEY (source, type, path, kind)
) WITH (fillfactor = 50);

-- What a JSON Schema didn't allow, by the place in the schema.
CREATE TABLE hookline.schema_findings (
    first_seen  timestamptz NOT NULL,
    last_seen   timestamptz NOT NULL,
    count       bigint NOT NULL CHECK (count > 0),  -- bodies
    event_id    uuid,                               -- the last one; none for a body that was refused
    source      text NOT NULL,
    type        text NOT NULL,
    keyword     text NOT NULL,
    schema_path text NOT NULL,
    path        text NOT NULL,
    PRIMARY KEY (source, type, keyword, schema_path, path)
) WITH (fillfactor = 50);
