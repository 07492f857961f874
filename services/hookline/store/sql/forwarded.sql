-- post: leave settlements for the owners of their shards
WITH input AS (
    SELECT * FROM unnest($2::smallint[], $3::bytea[]) WITH ORDINALITY AS i (shard, settlement, place)
),
told AS (SELECT pg_notify('hookline_control', 'forwarded'))
INSERT INTO hookline.forwarded_settlements (shard, subscription, settlement)
SELECT i.shard, $1, i.settlement FROM input AS i WHERE EXISTS (SELECT FROM told) ORDER BY i.place
RETURNING id;

-- take: what waits for the owner of these shards
SELECT f.id, f.shard, f.subscription, f.settlement
  FROM unnest($1::text[], $2::smallint[]) AS mine (subscription, shard)
  JOIN hookline.forwarded_settlements AS f ON f.shard = mine.shard AND f.subscription = mine.subscription
 WHERE f.answer IS NULL
 ORDER BY f.id
 LIMIT 5000;

-- answer: say what became of settlements; what nobody came to collect goes
WITH told AS (SELECT pg_notify('hookline_control', 'forwarded')),
given AS (
    UPDATE hookline.forwarded_settlements AS f
       SET answer = a.answer
      FROM unnest($1::smallint[], $2::text[], $3::bigint[], $4::smallint[]) AS a (shard, subscription, id, answer)
     WHERE f.shard = a.shard AND f.subscription = a.subscription AND f.id = a.id AND EXISTS (SELECT FROM told)
)
DELETE FROM hookline.forwarded_settlements AS f
 USING unnest($1::smallint[], $2::text[]) AS a (shard, subscription)
 WHERE f.shard = a.shard AND f.subscription = a.subscription AND f.created_at < clock_timestamp() - interval '10 minutes'
   AND f.answer IS NOT NULL;

-- collect: take answers; with $4 also what has none
DELETE FROM hookline.forwarded_settlements AS f
 USING unnest($2::smallint[], $3::bigint[]) AS posted (shard, id)
 WHERE f.shard = posted.shard AND f.subscription = $1 AND f.id = posted.id AND (f.answer IS NOT NULL OR $4)
RETURNING f.id, f.answer;
