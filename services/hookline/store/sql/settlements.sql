-- settle: move cursors, write and delete delivery rows, append attempts, write down what was acked ($11 to $13); answers what was kept, done and whose turn it is
WITH settled AS MATERIALIZED (
    SELECT kind, at_shard, at_seq, at_replay, of_source, of_key
      FROM hookline.settle($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
),
journal AS (
    INSERT INTO hookline.acks (acked_at, block, subscription, lost, consumers, entries)
    SELECT statement_timestamp(), a.block, $1,
           nullif(ARRAY(SELECT s FROM unnest($3::smallint[]) AS s
                         WHERE s NOT IN (SELECT at_shard FROM settled WHERE kind = 'kept')), '{}'),
           $13::text[], a.entries
      FROM unnest($11::bigint[], $12::bytea[]) AS a (block, entries)
     WHERE EXISTS (SELECT FROM settled)
)
SELECT kind, at_shard, at_seq, at_replay, of_source, of_key FROM settled;
