-- Who may call relays that take access tokens. Of a token's secret only the digest is here.

CREATE TABLE hookline.access_tokens (
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at    timestamptz CHECK (expires_at > created_at),  -- null: never
    revoked_at    timestamptz,                                  -- null: not revoked
    id            text PRIMARY KEY CHECK (id ~ '^[0-9a-f]{12}$'),  -- public: in lists and logs
    name          text NOT NULL CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$'),  -- for people; need not be unique
    role          text NOT NULL CHECK (role IN ('consumer', 'reader', 'operator')),
    subscriptions text[] NOT NULL,
    secret_sha256 bytea NOT NULL CHECK (octet_length(secret_sha256) = 32),
    -- A consumer is bound to its subscriptions; the other roles aren't bound to any.
    CHECK ((role = 'consumer') = (cardinality(subscriptions) > 0))
);

-- A hint to every relay, whoever made the change; they look by themselves as well.
CREATE FUNCTION hookline.hint_access_tokens() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('hookline_control', 'access');
    RETURN NULL;
END
$$;

CREATE TRIGGER access_tokens_hint
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON hookline.access_tokens
    FOR EACH STATEMENT EXECUTE FUNCTION hookline.hint_access_tokens();
