-- current: what edges must know of these sources; a secret that is over by the database's clock is over everywhere
SELECT source, id, sealed, valid_from, valid_until, created_at
  FROM hookline.secrets
 WHERE source = ANY ($1::text[]) AND (valid_until IS NULL OR valid_until > clock_timestamp())
 ORDER BY source, id;

-- list: all of one source, or all there are, the newest last
SELECT *, clock_timestamp() AS now
  FROM hookline.secrets
 WHERE source = $1 OR $1 IS NULL
 ORDER BY source, coalesce(valid_from, created_at), id;

-- add: a new secret; no row if there is one of that name
INSERT INTO hookline.secrets (source, id, sealed, valid_from, valid_until)
VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT DO NOTHING
RETURNING id;

-- rotate: a new secret, and what is live ends after $4; no row if there is one of that name
WITH added AS (
    INSERT INTO hookline.secrets (source, id, sealed)
    VALUES ($1, $2, $3)
        ON CONFLICT DO NOTHING
    RETURNING source
),
ended AS (
    -- Those that end sooner do so, and those that are still to come are as planned.
    UPDATE hookline.secrets AS s
       SET valid_until = least(s.valid_until, clock_timestamp() + $4::interval)
      FROM added
     WHERE s.source = added.source AND s.id <> $2
       AND (s.valid_from IS NULL OR s.valid_from < clock_timestamp())
       AND (s.valid_until IS NULL OR s.valid_until > clock_timestamp())
    RETURNING s.id, s.valid_until
)
SELECT array(SELECT id FROM ended ORDER BY id) AS ended FROM added;

-- expire: end one at $3, or now; no row if there is none of that name, it is over, or would end before it begins
UPDATE hookline.secrets
   SET valid_until = coalesce($3::timestamptz, clock_timestamp())
 WHERE source = $1 AND id = $2
   AND (valid_until IS NULL OR valid_until > clock_timestamp())
   AND (valid_from IS NULL OR valid_from < coalesce($3::timestamptz, clock_timestamp()))
RETURNING valid_until;

-- remove: forget one; no row if there is none of that name
DELETE FROM hookline.secrets WHERE source = $1 AND id = $2 RETURNING id;

-- reseal: each that is still as it was read; answers how many
WITH resealed AS (
    UPDATE hookline.secrets AS s
       SET sealed = new.sealed
      FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bytea[]) AS new (source, id, before, sealed)
     WHERE s.source = new.source AND s.id = new.id AND s.sealed = new.before
    RETURNING s.id
)
SELECT count(*) AS resealed FROM resealed;
