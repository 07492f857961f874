"""A ledger that has grown: rows put into it directly, so that it takes minutes and not days."""

from bench import hookline_service
from bench.rig import Rig

# Ids as Hookline's are: the first byte is the shard, the rest is spread evenly. Written in random order, as
# webhooks come, so the primary key's pages are as full as they would be.
_FILL = """
INSERT INTO hookline.events (id, lineage, seq, received_at, size, shard, revision, body_sha256, source, type,
                             ordering_key, traceparent, tracestate)
SELECT id, id, 0, now() - number * interval '1 second', 600, get_byte(uuid_send(id), 0), false,
       sha256(uuid_send(id)), 'begini', 'psychometric_score.complete',
       '36:8f14e45f-ceea-467f-a9b1-0a6c5b6ed5d8,20:' || left(md5(number::text), 20) || ',',
       '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00', ''
  FROM (
    SELECT number,
           set_byte(uuid_send(gen_random_uuid()), 0, number % (SELECT shards FROM hookline.installation))
      FROM generate_series(1, $1::integer) AS number
  ) AS drawn (number, raw),
  LATERAL (SELECT encode(raw, 'hex')::uuid AS id) AS made
"""
_TOUCHED = 0.02
"""About three rows for each page of the primary key."""


async def fill(rig: Rig, database: str) -> None:
    """Put the rows into a database that Hookline has not seen yet, and bring it to an ordinary moment.

    Right after a checkpoint the first write to each page logs the whole page. The checkpoints of a busy server are
    minutes apart and this is over in seconds, so it isn't what the figure is about: the last rows are written
    after the checkpoint, and touch nearly all pages.
    """
    await hookline_service.migrate(rig, database)
    touched = int(rig.ledger_rows * _TOUCHED)
    await rig.server.execute(_FILL, database, rig.ledger_rows - touched)
    await rig.server.execute("VACUUM (ANALYZE) hookline.events", database)
    await rig.server.settle()
    await rig.server.execute(_FILL, database, touched)
