-- ingest: write a batch; answers (place, seq, revision) of what was new
SELECT place, new_seq, is_revision
  FROM hookline.ingest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12);

-- ensure_segments: create the outbox segments that the coming events need
SELECT hookline.ensure_segments($1);

-- read_installation: what was fixed when the database was initialised
SELECT shards, segment_events FROM hookline.installation;

-- notify: tell listening relays that something was committed (a hint; polling is the contract)
-- This transaction holds nothing to lose, so the hint need not wait until it is on disk. No event is written in it.
SELECT set_config('synchronous_commit', 'off', true), pg_notify('hookline', '');
