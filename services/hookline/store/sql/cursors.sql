-- join: say that a relay has consumers, if it has ($4); answers who else has, how many shards there are, and how many of them are free
WITH joined AS (
    INSERT INTO hookline.members AS m (subscription, owner, alive_until)
    SELECT $1, $2, clock_timestamp() + $3 FROM hookline.subscriptions WHERE name = $1 AND $4
        ON CONFLICT (subscription, owner) DO UPDATE SET alive_until = excluded.alive_until
    RETURNING (xmax = 0) AS is_new
),
others AS (
    SELECT owner FROM hookline.members WHERE subscription = $1 AND owner <> $2 AND alive_until > clock_timestamp()
),
-- Whoever has more than a share now should look at once; so should one that has shards and no consumers.
told AS (
    SELECT pg_notify('hookline_control', 'members') FROM joined WHERE is_new
)
SELECT ARRAY(SELECT owner FROM others) AS members,
       (SELECT count(*)::integer FROM hookline.cursors WHERE subscription = $1) AS shards,
       (SELECT count(*)::integer FROM hookline.cursors
         WHERE subscription = $1 AND lease_until < clock_timestamp()) AS free,
       (SELECT count(*) FROM told) AS told;

-- leave: stop sharing; members that are long dead go too
WITH told AS (SELECT pg_notify('hookline_control', 'members'))
DELETE FROM hookline.members
 WHERE subscription = $1 AND (owner = $2 OR alive_until < clock_timestamp() - interval '1 hour')
   AND EXISTS (SELECT FROM told);

-- acquire: take up to $4 free or expired cursors of a subscription for $3; a new epoch shuts out the last owner
-- Materialized, because a planner that joins by nested loops would run a sub-select, and its limit, again for each row.
WITH free AS MATERIALIZED (
    SELECT shard FROM hookline.cursors
     WHERE subscription = $1 AND lease_until < clock_timestamp()
     ORDER BY shard
     LIMIT $4
       FOR UPDATE SKIP LOCKED
)
UPDATE hookline.cursors AS c
   SET owner = $2, epoch = c.epoch + 1, lease_until = clock_timestamp() + $3
  FROM free
 WHERE c.subscription = $1 AND c.shard = free.shard
RETURNING c.shard, c.epoch, c.position, c.pending;

-- advance: move cursors that are still ours, renew their leases, and write down what was acked ($7 to $9); answers those that were
WITH moved AS (
    UPDATE hookline.cursors AS c
       SET position = m.position, pending = m.pending::bigint[], lease_until = clock_timestamp() + $6
      FROM unnest($2::smallint[], $3::bigint[], $4::bigint[], $5::text[]) AS m (shard, epoch, position, pending)
     WHERE c.subscription = $1 AND c.shard = m.shard AND c.epoch = m.epoch
    RETURNING c.shard
),
journal AS (
    INSERT INTO hookline.acks (acked_at, block, subscription, lost, consumers, entries)
    SELECT statement_timestamp(), a.block, $1,
           -- Instead of leaving out their entries, one by one, for a case that is rare.
           nullif(ARRAY(SELECT s FROM unnest($2::smallint[]) AS s WHERE s NOT IN (SELECT shard FROM moved)), '{}'),
           $9::text[], a.entries
      FROM unnest($7::bigint[], $8::bytea[]) AS a (block, entries)
     WHERE EXISTS (SELECT FROM moved)
)
SELECT shard FROM moved;

-- renew: keep leases that are still ours; answers those that were
UPDATE hookline.cursors AS c
   SET lease_until = clock_timestamp() + $4
  FROM unnest($2::smallint[], $3::bigint[]) AS m (shard, epoch)
 WHERE c.subscription = $1 AND c.shard = m.shard AND c.epoch = m.epoch
RETURNING c.shard;

-- release: give up leases, so that another relay need not wait for them to expire
WITH told AS (SELECT pg_notify('hookline_control', 'members'))
UPDATE hookline.cursors AS c
   SET owner = '', lease_until = '-infinity'
  FROM unnest($2::smallint[], $3::bigint[]) AS m (shard, epoch)
 WHERE c.subscription = $1 AND c.shard = m.shard AND c.epoch = m.epoch
   AND EXISTS (SELECT FROM told);
