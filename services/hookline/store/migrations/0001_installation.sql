-- What is fixed when the database is initialised.

-- One row. The number of shards can't change later: it decides where an event lives.
CREATE TABLE hookline.installation (
    only_row       boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    shards         smallint NOT NULL CHECK (shards BETWEEN 1 AND 256),
    segment_events bigint NOT NULL CHECK (segment_events > 0),
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);
