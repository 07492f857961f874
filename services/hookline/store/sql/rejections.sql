-- keep: write a batch of rejections, each source of it within its bounds; what had to go for it
SELECT hookline.keep_rejections($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) AS removed;

-- sources: those that have rejections
SELECT source FROM hookline.rejection_totals WHERE rejections > 0 ORDER BY source;

-- trim: bring a source within its bounds
SELECT hookline.trim_rejections($1, $2, $3, $4) AS removed;

-- find_newest: rejections that fit a filter ($1 to $4), the newest first, after a place in that order
SELECT id, received_at, source, cause, method, target, status, size, headers, omitted, bytes, admitted_at, event_id
  FROM hookline.rejections
 WHERE ($1 = '' OR source = $1) AND ($2 = '' OR cause = $2) AND received_at >= $3 AND received_at < $4
   AND (received_at, id) < ($5, $6)
 ORDER BY received_at DESC, id DESC
 LIMIT $7;

-- find_oldest: rejections that fit a filter ($1 to $4) and are still to be admitted, the oldest first, after a place
SELECT id, received_at, source, cause, method, target, status, size, headers, omitted, bytes, admitted_at, event_id
  FROM hookline.rejections
 WHERE ($1 = '' OR source = $1) AND ($2 = '' OR cause = $2) AND received_at >= $3 AND received_at < $4
   AND admitted_at IS NULL AND (received_at, id) > ($5, $6)
 ORDER BY received_at, id
 LIMIT $7;

-- count: how many rejections fit a filter ($1 to $4) and are still to be admitted
SELECT count(*) AS rejections
  FROM hookline.rejections
 WHERE ($1 = '' OR source = $1) AND ($2 = '' OR cause = $2) AND received_at >= $3 AND received_at < $4
   AND admitted_at IS NULL;

-- find: these, the oldest first
SELECT id, received_at, source, cause, method, target, status, size, headers, omitted, bytes, admitted_at, event_id
  FROM hookline.rejections
 WHERE id = ANY ($1)
 ORDER BY received_at, id;

-- originals: the requests as they were, sealed
SELECT id, original FROM hookline.rejections WHERE id = ANY ($1) AND original IS NOT NULL;

-- mark_admitted: note which events they became; who was first stays
-- In one order, so that two operators wait for each other and not in a circle.
WITH named AS (
    SELECT r.id, e.event_id
      FROM hookline.rejections AS r
      JOIN unnest($1::uuid[], $2::uuid[]) AS e (id, event_id) ON r.id = e.id
     WHERE r.admitted_at IS NULL
     ORDER BY r.id
       FOR UPDATE OF r
)
UPDATE hookline.rejections AS r
   SET admitted_at = clock_timestamp(), event_id = named.event_id
  FROM named
 WHERE r.id = named.id
RETURNING r.id;
