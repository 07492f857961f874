-- live: what relays must know; how long each still counts is judged by the database's clock
SELECT id, role, subscriptions, secret_sha256, expires_at, expires_at - clock_timestamp() AS remaining
  FROM hookline.access_tokens
 WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp());

-- list: all there are, the newest last
SELECT id, name, role, subscriptions, created_at, expires_at, revoked_at,
       CASE WHEN revoked_at IS NOT NULL THEN 'revoked'
            WHEN expires_at <= clock_timestamp() THEN 'expired'
            ELSE 'live' END AS state
  FROM hookline.access_tokens
 ORDER BY created_at, id;

-- add: a new one; answers when it ends, and which of its subscriptions there are
WITH added AS (
    INSERT INTO hookline.access_tokens (id, name, role, subscriptions, secret_sha256, expires_at)
    VALUES ($1, $2, $3, $4::text[], $5, clock_timestamp() + $6::interval)
    RETURNING expires_at
)
SELECT expires_at, array(SELECT name FROM hookline.subscriptions WHERE name = ANY ($4::text[])) AS found
  FROM added;

-- revoke: end one now; answers since when it is, and whether that is new; no row if there is none of that id
WITH before AS (
    SELECT id, revoked_at FROM hookline.access_tokens WHERE id = $1 FOR UPDATE
)
UPDATE hookline.access_tokens AS t
   SET revoked_at = coalesce(t.revoked_at, clock_timestamp())
  FROM before
 WHERE t.id = before.id
RETURNING t.name, t.revoked_at, before.revoked_at IS NULL AS is_new;
