-- A subscription's life, through everything that a relay's functions touch. Eight events of shard 0 are there.
INSERT INTO hookline.subscriptions (name, sources, types, ordering, ack_deadline)
VALUES ('all', '{*}', '{*}', 'key', '30s');

INSERT INTO hookline.cursors (subscription, shard, position)
SELECT 'all', at_shard, 0 FROM hookline.start_positions('earliest', NULL);

-- One event is dead, the next of its key waits, all others are acked.
SELECT hookline.settle(
    'all', '10s', '{0}', '{0}', '{8}', '{"{}"}', '[]',
    (SELECT json_agg(json_build_object(
                'seq', seq, 'replay', 0, 'delay', 0, 'event_id', event_id, 'attempt', 1, 'portion', 0, 'shard', 0,
                'state', CASE seq WHEN 1 THEN 'dead' ELSE 'blocked' END,
                'source', 'begini', 'ordering_key', 'k', 'reason', ''))
       FROM hookline.outbox WHERE seq < 3),
    '[{"ended_at": "2026-01-01T00:00:00Z", "started_at": "2026-01-01T00:00:00Z", "seq": 1, "replay": 0, "attempt": 1,
       "shard": 0, "outcome": "rejected", "consumer": "", "reason": ""}]',
    '[{"shard": 0, "source": "begini", "ordering_key": "k"}]');

SELECT hookline.next_due('all', '{0}'), hookline.read_due('all', '{0}', '{}', '{}', 10, 1000);

SELECT hookline.settle(
    'all', '10s', '{0}', '{0}', '{8}', '{"{}"}', '[{"shard": 0, "seq": 2, "replay": 0}]', '[]', '[]',
    '[{"shard": 0, "source": "begini", "ordering_key": "k"}]');

SELECT hookline.redrive('all', '{0}', '{1}', '{0}', now());

UPDATE hookline.deliveries SET state = 'dead';

SELECT hookline.delete_dead_letters('all', '{0}', '{1}', '{0}', now(), 'no');

INSERT INTO hookline.replays (subscription, position, until_seq, epoch) VALUES ('all', 0, 8, 1);

SELECT hookline.advance_replay(id, 1, 'all', '10s', 5, 5, '{0,0}', '{3,4}', '{0,1}', '{false,false}')
  FROM hookline.replays;

UPDATE hookline.subscriptions SET ordering = 'none';

UPDATE hookline.replays SET state = 'cancelled';

SELECT hookline.withdraw_replay(id, 1) FROM hookline.replays;

SELECT hookline.close_subscription('all', 0);

SELECT hookline.forget_subscription('all')
