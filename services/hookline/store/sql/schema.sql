-- newest_migration: how far the schema has come
SELECT max(version) AS version FROM hookline.migrations;

-- blockers: whom a server process ($1) waits for; without pg_monitor, of other roles' sessions only names are seen
SELECT DISTINCT b.pid, coalesce(a.usename, '') AS role, coalesce(a.application_name, '') AS application,
       coalesce(a.state, '') AS state, clock_timestamp() - a.xact_start AS age
  FROM unnest(pg_blocking_pids($1)) AS b (pid)
  LEFT JOIN pg_stat_activity AS a ON a.pid = b.pid
 ORDER BY b.pid;
