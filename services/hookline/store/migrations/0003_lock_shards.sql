-- Commit order. A reader that asks for `seq > position` must never miss a row that commits late, so a writer
-- holds its shards' locks from before it draws a seq until its commit. This file is all there is about the lock:
-- on a distributed Postgres a row lock can take its place.

CREATE FUNCTION hookline.lock_shards(shards smallint[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    -- Sorted, so that two writers can't wait for each other. 0x686f6f6b is "hook".
    PERFORM pg_advisory_xact_lock(x'686f6f6b'::integer, s)
       FROM (SELECT DISTINCT unnest(shards)::integer AS s ORDER BY s) AS sorted;
END
$$;
