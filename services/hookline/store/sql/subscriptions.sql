-- declare: create or change a subscription as configured; one that is being deleted is left alone
INSERT INTO hookline.subscriptions AS s
       (name, sources, types, expression, ordering, after_dead_letter, ack_deadline, retry, push, dead_letter_retention,
        created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, statement_timestamp(), statement_timestamp())
    ON CONFLICT (name) DO UPDATE
   SET sources = excluded.sources, types = excluded.types, expression = excluded.expression,
       ordering = excluded.ordering, after_dead_letter = excluded.after_dead_letter,
       ack_deadline = excluded.ack_deadline, retry = excluded.retry, push = excluded.push,
       dead_letter_retention = excluded.dead_letter_retention,
       version = s.version + 1, updated_at = clock_timestamp()
 WHERE s.deleted_at IS NULL
   AND (s.sources, s.types, s.expression, s.ordering, s.after_dead_letter, s.ack_deadline, s.retry::text, s.push::text,
        s.dead_letter_retention)
       IS DISTINCT FROM
       (excluded.sources, excluded.types, excluded.expression, excluded.ordering, excluded.after_dead_letter,
        excluded.ack_deadline, excluded.retry::text, excluded.push::text, excluded.dead_letter_retention)
RETURNING pg_notify('hookline_control', '');

-- place_cursors: one cursor per shard, from $2 (and $3) on, where there is none
WITH declared AS (
    -- Locked, so that nobody ends its deletion meanwhile: the cursors would be nobody's.
    SELECT name FROM hookline.subscriptions WHERE name = $1 AND deleted_at IS NULL FOR SHARE
)
INSERT INTO hookline.cursors (subscription, shard, position, epoch)
-- Above every epoch of a subscription that had this name before: tokens and relays of that one stay out.
SELECT declared.name, start.at_shard, start.at_position, (extract(epoch FROM clock_timestamp()) * 1000)::bigint
  FROM declared CROSS JOIN hookline.start_positions($2::text, $3::timestamptz) AS start
    ON CONFLICT DO NOTHING;

-- find: one subscription by name
SELECT name, sources, types, expression, ordering, after_dead_letter, ack_deadline, retry, push, dead_letter_retention,
       paused, version
  FROM hookline.subscriptions WHERE name = $1 AND deleted_at IS NULL;

-- served: several subscriptions by name, and all whose consumers are called
SELECT name, sources, types, expression, ordering, after_dead_letter, ack_deadline, retry, push, dead_letter_retention,
       paused, version
  FROM hookline.subscriptions WHERE (name = ANY ($1) OR push IS NOT NULL) AND deleted_at IS NULL
 ORDER BY name;
