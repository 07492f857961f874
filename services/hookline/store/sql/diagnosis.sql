-- server: what the server is, and what our role gets there; NULL where this version has no such setting
SELECT current_setting('server_version') AS version,
       current_setting('server_version_num')::integer AS version_number,
       pg_is_in_recovery() AS in_recovery,
       pg_backend_pid() AS backend,
       current_user::text AS role,
       current_database()::text AS database,
       current_setting('fsync') AS fsync,
       current_setting('full_page_writes') AS full_page_writes,
       current_setting('synchronous_commit') AS synchronous_commit,
       current_setting('synchronous_standby_names') AS synchronous_standby_names,
       current_setting('wal_level') AS wal_level,
       current_setting('data_checksums') AS data_checksums,
       pg_database_size(current_database()) AS size,
       (SELECT jsonb_object_agg(name, setting::bigint)
          FROM pg_settings
         WHERE name IN ('statement_timeout', 'transaction_timeout', 'lock_timeout', 'idle_session_timeout'))::text
           AS timeouts;

-- connections: how many there may be for our role in this database, and who has them
SELECT current_setting('max_connections')::integer
           - CASE WHEN r.rolsuper THEN 0
                  ELSE current_setting('superuser_reserved_connections')::integer
                       + coalesce(current_setting('reserved_connections', true), '0')::integer
             END AS of_server,
       nullif(d.datconnlimit, -1) AS of_database,
       nullif(r.rolconnlimit, -1) AS of_role,
       (SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hookline edge wakeup'
           AND datname = current_database()) AS edges,
       (SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hookline relay wakeup'
           AND datname = current_database()) AS relays,
       -- Background processes belong to no database.
       (SELECT count(*) FROM pg_stat_activity
         WHERE datname IS NOT NULL AND application_name NOT LIKE 'hookline %' AND pid <> pg_backend_pid()) AS others
  FROM pg_roles AS r, pg_database AS d
 WHERE r.rolname = current_user AND d.datname = current_database();

-- clock: the time there
SELECT clock_timestamp() AS now;

-- migrations: what was applied
SELECT version, sha256 FROM hookline.migrations ORDER BY version;

-- has_schema: whether anything was applied at all
SELECT EXISTS (SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                WHERE n.nspname = 'hookline' AND c.relname = 'migrations') AS there;

-- segments: which outbox segment is being written, and the last that there is
SELECT s.last_value / i.segment_events AS current,
       (SELECT max(substring(c.relname FROM '^outbox_(\d+)$')::bigint)
          FROM pg_class AS c
         WHERE c.relnamespace = 'hookline'::regnamespace AND c.relname ~ '^outbox_\d+$') AS last
  FROM hookline.outbox_seq AS s, hookline.installation AS i;

-- installation: what was fixed
SELECT shards FROM hookline.installation;

-- subscriptions: their names
SELECT name FROM hookline.subscriptions WHERE deleted_at IS NULL;

-- rights: of these kinds ($1) and names ($2), with a privilege ($3) and perhaps a column ($4) each, what our role lacks; what isn't there yet is left out
SELECT wanted.kind, wanted.name, wanted.privilege, wanted.column_name AS column
  FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY
       AS wanted (kind, name, privilege, column_name, place)
  JOIN pg_namespace AS n ON n.nspname = 'hookline'
 WHERE CASE wanted.kind
       WHEN 'schema' THEN NOT has_schema_privilege(n.oid, wanted.privilege)
       WHEN 'function' THEN EXISTS (
            SELECT FROM pg_proc AS p
             WHERE p.pronamespace = n.oid AND p.proname = wanted.name AND NOT has_function_privilege(p.oid, wanted.privilege))
       ELSE EXISTS (
            SELECT FROM pg_class AS c
             WHERE c.relnamespace = n.oid AND c.relname = wanted.name
               AND NOT CASE
                   WHEN c.relkind = 'S' THEN has_sequence_privilege(c.oid, wanted.privilege)
                   WHEN wanted.column_name = '' THEN has_table_privilege(c.oid, wanted.privilege)
                   ELSE has_column_privilege(c.oid, (SELECT attnum FROM pg_attribute AS a
                                                      WHERE a.attrelid = c.oid AND a.attname = wanted.column_name),
                                             wanted.privilege)
               END)
       END
 ORDER BY wanted.place;
