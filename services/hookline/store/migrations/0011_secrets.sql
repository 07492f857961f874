-- Secrets of sources, sealed by whoever stored them: the database never sees a key, nor the plaintext.

CREATE TABLE hookline.secrets (
    valid_from  timestamptz,  -- null: ever since
    valid_until timestamptz,  -- null: for good
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    source      text NOT NULL,
    id          text NOT NULL CHECK (id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    sealed      bytea NOT NULL CHECK (octet_length(sealed) BETWEEN 33 AND 66000),
    PRIMARY KEY (source, id),
    CHECK (valid_from < valid_until)
);

-- A hint to every edge, whoever made the change; they look by themselves as well.
CREATE FUNCTION hookline.hint_secrets() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('hookline_secrets', '');
    RETURN NULL;
END
$$;

CREATE TRIGGER secrets_hint
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON hookline.secrets
    FOR EACH STATEMENT EXECUTE FUNCTION hookline.hint_secrets();
