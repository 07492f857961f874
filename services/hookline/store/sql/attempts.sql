-- ensure_days: create the partitions that the coming days need, for the attempts and for the journal of acks
SELECT hookline.ensure_days('attempts', 'ended_at', $1), hookline.ensure_days('acks', 'acked_at', $1);
