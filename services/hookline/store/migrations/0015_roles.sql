-- Least rights: nobody but the owner has any by default, and what adds partitions does it with the owner's.
--
-- What each duty needs is declared in hookline.store.rights and granted by `hookline roles create`.

REVOKE ALL ON SCHEMA hookline FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA hookline FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA hookline FROM PUBLIC;
-- PostgreSQL lets everybody execute a new function; `hookline migrate` revokes that after each migration.
REVOKE ALL ON ALL ROUTINES IN SCHEMA hookline FROM PUBLIC;

-- Roles that do the work of a duty: `hookline migrate` grants them what later versions need.
CREATE TABLE hookline.duty_roles (
    role text PRIMARY KEY,
    duty text NOT NULL CHECK (duty IN ('edge', 'relay', 'operator'))
);

-- As in 0002, with the owner's rights, and so with a bound to what a caller may ask for.
CREATE OR REPLACE FUNCTION hookline.ensure_segments(ahead integer) RETURNS integer
LANGUAGE plpgsql
-- The caller chooses nothing that is looked up here: temporary tables come last, where they hide nothing.
SECURITY DEFINER SET search_path = pg_catalog, hookline, pg_temp
AS $$
DECLARE
    span     bigint := (SELECT segment_events FROM hookline.installation);
    current  bigint := (SELECT last_value FROM hookline.outbox_seq) / span;
    created  integer := 0;
    segment  text;
BEGIN
    IF ahead NOT BETWEEN 0 AND 100 THEN
        RAISE 'from 0 to 100 segments ahead' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOR n IN current .. current + ahead LOOP
        segment := format('outbox_%s', lpad(n::text, 8, '0'));
        CONTINUE WHEN EXISTS (SELECT FROM pg_class
                               WHERE relname = segment AND relnamespace = 'hookline'::regnamespace);
        -- Two callers must not create the same segment: checked again under the lock, and in the catalog itself,
        -- because to_regclass may answer from a cache that is older than the lock.
        PERFORM pg_advisory_xact_lock(hashtextextended('hookline.ensure_segments', 0));
        CONTINUE WHEN EXISTS (SELECT FROM pg_class
                               WHERE relname = segment AND relnamespace = 'hookline'::regnamespace);
        -- CREATE and ATTACH, not CREATE … PARTITION OF, which would lock out every writer and reader.
        EXECUTE format('CREATE TABLE hookline.%I (LIKE hookline.outbox INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', segment);
        EXECUTE format('ALTER TABLE hookline.outbox ATTACH PARTITION hookline.%I FOR VALUES FROM (%s) TO (%s)',
                       segment, n * span, (n + 1) * span);
        created := created + 1;
    END LOOP;
    RETURN created;
END
$$;

-- As in 0014, likewise.
CREATE OR REPLACE FUNCTION hookline.ensure_days(of_table text, of_column text, ahead integer) RETURNS integer
LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, hookline, pg_temp
AS $$
DECLARE
    today   date := (clock_timestamp() AT TIME ZONE 'UTC')::date;
    created integer := 0;
    begun   boolean;
    part    text;
    starts  timestamptz;
    ends    timestamptz;
BEGIN
    IF (of_table, of_column) NOT IN (('attempts', 'ended_at'), ('acks', 'acked_at')) OR ahead NOT BETWEEN 0 AND 100 THEN
        RAISE 'only days of attempts and acks, from 0 to 100 ahead' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOR n IN 0 .. ahead LOOP
        part := of_table || '_' || to_char(today + n, 'YYYYMMDD');
        starts := (today + n)::timestamp AT TIME ZONE 'UTC';
        ends := (today + n + 1)::timestamp AT TIME ZONE 'UTC';
        CONTINUE WHEN EXISTS (SELECT FROM pg_class WHERE relname = part AND relnamespace = 'hookline'::regnamespace);
        PERFORM pg_advisory_xact_lock(hashtextextended('hookline.ensure_days', 0));
        CONTINUE WHEN EXISTS (SELECT FROM pg_class WHERE relname = part AND relnamespace = 'hookline'::regnamespace);
        -- A day that has begun without its partition stays in the default one.
        EXECUTE format('SELECT EXISTS (SELECT FROM hookline.%I WHERE %I >= $1 AND %2$I < $2)', of_table || '_default', of_column)
           INTO begun USING starts, ends;
        CONTINUE WHEN begun;
        -- CREATE and ATTACH, not CREATE … PARTITION OF, which would lock out every writer. No row is cut up or compressed:
        -- it has its page to itself sooner.
        EXECUTE format('CREATE TABLE hookline.%I (LIKE hookline.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)'
                       ' WITH (toast_tuple_target = 8160)', part, of_table);
        EXECUTE format('ALTER TABLE hookline.%I ATTACH PARTITION hookline.%I FOR VALUES FROM (%L) TO (%L)', of_table, part,
                       starts, ends);
        created := created + 1;
    END LOOP;
    RETURN created;
END
$$;

-- Relays of before call it.
ALTER FUNCTION hookline.ensure_attempt_days(integer)
    SECURITY DEFINER SET search_path = pg_catalog, hookline, pg_temp;
