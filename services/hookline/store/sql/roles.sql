-- newest: the last migration that was applied
SELECT max(version) AS version FROM hookline.migrations;

-- objects: everything that rights may be granted on, as GRANT names it
SELECT 'schema' AS kind, nspname::text AS name, 'hookline' AS target
  FROM pg_namespace WHERE nspname = 'hookline'
UNION ALL
SELECT CASE relkind WHEN 'S' THEN 'sequence' ELSE 'table' END, relname::text, format('hookline.%I', relname)
  FROM pg_class WHERE relnamespace = 'hookline'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
UNION ALL
SELECT 'function', proname::text, format('hookline.%I(%s)', proname, pg_get_function_identity_arguments(oid))
  FROM pg_proc WHERE pronamespace = 'hookline'::regnamespace;

-- held: what a role ('' is everybody) was granted by its own name, or owns
WITH role AS (
    SELECT coalesce((SELECT oid FROM pg_roles WHERE rolname = $1), 0::oid) AS oid
),
object AS (
    SELECT 'schema' AS kind, 'hookline' AS target, NULL::text AS column_name, nspowner AS owner, nspacl AS acl
      FROM pg_namespace WHERE nspname = 'hookline'
    UNION ALL
    SELECT CASE relkind WHEN 'S' THEN 'sequence' ELSE 'table' END, format('hookline.%I', relname), NULL, relowner, relacl
      FROM pg_class WHERE relnamespace = 'hookline'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    UNION ALL
    SELECT 'table', format('hookline.%I', c.relname), a.attname::text, NULL, a.attacl
      FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
     WHERE c.relnamespace = 'hookline'::regnamespace AND a.attacl IS NOT NULL AND NOT a.attisdropped
    UNION ALL
    SELECT 'function', format('hookline.%I(%s)', proname, pg_get_function_identity_arguments(oid)), NULL, proowner,
           -- A function that nobody was granted is everybody's.
           coalesce(proacl, acldefault('f', proowner))
      FROM pg_proc WHERE pronamespace = 'hookline'::regnamespace
)
SELECT o.kind, o.target, coalesce(o.column_name, '') AS column_name, given.privilege
  FROM role
 CROSS JOIN object AS o
 CROSS JOIN LATERAL (
    SELECT a.privilege_type AS privilege FROM aclexplode(o.acl) AS a WHERE a.grantee = role.oid AND o.owner IS DISTINCT FROM role.oid
    UNION ALL
    SELECT 'GRANT OPTION FOR ' || a.privilege_type FROM aclexplode(o.acl) AS a
     WHERE a.grantee = role.oid AND a.is_grantable AND o.owner IS DISTINCT FROM role.oid
    UNION ALL
    SELECT 'OWNER' WHERE o.owner = role.oid
 ) AS given;

-- roles: what is known of these roles
SELECT r.rolname::text AS name, r.rolcanlogin AS can_login,
       array_remove(ARRAY[CASE WHEN r.rolsuper THEN 'SUPERUSER' END, CASE WHEN r.rolcreaterole THEN 'CREATEROLE' END,
                          CASE WHEN r.rolcreatedb THEN 'CREATEDB' END, CASE WHEN r.rolreplication THEN 'REPLICATION' END,
                          CASE WHEN r.rolbypassrls THEN 'BYPASSRLS' END], NULL) AS attributes,
       ARRAY(SELECT g.rolname::text FROM pg_auth_members AS m JOIN pg_roles AS g ON g.oid = m.roleid
              WHERE m.member = r.oid ORDER BY 1) AS member_of,
       ARRAY(SELECT g.rolname::text FROM pg_auth_members AS m JOIN pg_roles AS g ON g.oid = m.member
              WHERE m.roleid = r.oid AND (to_jsonb(m) ->> 'inherit_option')::boolean IS NOT FALSE ORDER BY 1) AS members
  FROM pg_roles AS r
 WHERE r.rolname = ANY ($1::text[])
 ORDER BY array_position($1::text[], r.rolname::text);

-- registered: the roles that do the work of a duty, of those that there are
SELECT d.role, d.duty
  FROM hookline.duty_roles AS d JOIN pg_roles AS r ON r.rolname = d.role
 ORDER BY array_position(ARRAY['edge', 'relay', 'operator'], d.duty), d.role;

-- register: keep in mind what a role does
INSERT INTO hookline.duty_roles (role, duty) VALUES ($1, $2)
    ON CONFLICT (role) DO UPDATE SET duty = excluded.duty;
