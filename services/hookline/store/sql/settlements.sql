-- settle: move cursors, write and delete delivery rows, append attempts; answers what was kept, done and whose turn it is
SELECT kind, at_shard, at_seq, at_replay, of_source, of_key
  FROM hookline.settle($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);
