-- of_seq: rows of the journal that may hold an ack ($2, packed) of a block of seqs, unless it is of a shard that was lost
SELECT subscription, acked_at, consumers, entries
  FROM hookline.acks
 WHERE block = $1 AND position($2::bytea IN entries) > 0 AND acked_at >= $4
   AND ($3::smallint = ANY (lost)) IS NOT TRUE
 ORDER BY acked_at;
