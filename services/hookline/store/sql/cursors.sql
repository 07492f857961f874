-- acquire: take every free or expired cursor of a subscription for $3; a new epoch shuts out the last owner
UPDATE hookline.cursors AS c
   SET owner = $2, epoch = c.epoch + 1, lease_until = clock_timestamp() + $3
  FROM (SELECT shard FROM hookline.cursors
         WHERE subscription = $1 AND lease_until < clock_timestamp()
         ORDER BY shard
           FOR UPDATE SKIP LOCKED) AS free
 WHERE c.subscription = $1 AND c.shard = free.shard
RETURNING c.shard, c.epoch, c.position, c.pending;

-- advance: move cursors that are still ours and renew their leases; answers those that were
UPDATE hookline.cursors AS c
   SET position = m.position, pending = m.pending::bigint[], lease_until = clock_timestamp() + $6
  FROM unnest($2::smallint[], $3::bigint[], $4::bigint[], $5::text[]) AS m (shard, epoch, position, pending)
 WHERE c.subscription = $1 AND c.shard = m.shard AND c.epoch = m.epoch
RETURNING c.shard;

-- renew: keep leases that are still ours; answers those that were
UPDATE hookline.cursors AS c
   SET lease_until = clock_timestamp() + $4
  FROM unnest($2::smallint[], $3::bigint[]) AS m (shard, epoch)
 WHERE c.subscription = $1 AND c.shard = m.shard AND c.epoch = m.epoch
RETURNING c.shard;

-- release: give up leases, so that another relay need not wait for them to expire
UPDATE hookline.cursors AS c
   SET owner = '', lease_until = '-infinity'
  FROM unnest($2::smallint[], $3::bigint[]) AS m (shard, epoch)
 WHERE c.subscription = $1 AND c.shard = m.shard AND c.epoch = m.epoch;
