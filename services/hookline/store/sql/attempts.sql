-- ensure_days: create the partitions that the coming days need
SELECT hookline.ensure_attempt_days($1);
