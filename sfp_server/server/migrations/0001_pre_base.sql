-- compatible: yes
-- Claims, what they permit, the stream of events, application tokens, and which release this database belongs to.

-- The claims of the acting principal, as db.acting and the one-trip functions set them; empty outside of both.
CREATE FUNCTION sfp.claims() RETURNS jsonb LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT coalesce(nullif(current_setting('request.jwt.claims', true), ''), '{}')::jsonb
$$;

-- One claim as text, or null.
CREATE FUNCTION sfp.claim(name text) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT sfp.claims() ->> name
$$;

-- Whether the acting principal holds a permission. In policies as (SELECT sfp.may('…')): once a statement, not once a row.
CREATE FUNCTION sfp.may(permission text) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT coalesce(sfp.claims() -> 'permissions' ? permission, false)
$$;

-- What happened: audit entry and outbox event in one row, written in the transaction of the change. Readers go by
-- (xid, id) and only below the oldest running transaction, for ids alone are not in the order of commits.
CREATE TABLE sfp.event (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xid        xid8        NOT NULL DEFAULT pg_current_xact_id(),
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor      text        NOT NULL DEFAULT sfp.claim('sub'),
    actor_kind text        NOT NULL DEFAULT sfp.claim('kind'),
    action     text        NOT NULL,
    resource   text        NOT NULL DEFAULT '',
    request_id text                 DEFAULT sfp.claim('request_id'),
    ip         inet                 DEFAULT sfp.claim('address')::inet,
    outcome    text        NOT NULL DEFAULT 'ok' CHECK (outcome IN ('ok', 'denied', 'failed', 'stale')),
    data       jsonb       NOT NULL DEFAULT '{}'
);
CREATE INDEX event_in_order ON sfp.event (xid, id);
CREATE INDEX event_of_resource ON sfp.event (resource, id);
ALTER TABLE sfp.event ENABLE ROW LEVEL SECURITY;
CREATE POLICY write_own ON sfp.event FOR INSERT
    WITH CHECK (actor = sfp.claim('sub') AND actor_kind = sfp.claim('kind'));
CREATE POLICY read ON sfp.event FOR SELECT USING ((SELECT sfp.may('event:read')));
-- Nobody says for another, or for another time, who acted: those columns only have their defaults.
GRANT INSERT (action, resource, outcome, data), SELECT ON sfp.event TO sfp_api;

-- Tokens of programs; of the secret itself only its SHA-256, in hex.
CREATE TABLE sfp.application_token (
    id           uuid        PRIMARY KEY,
    name         text        NOT NULL CHECK (name <> ''),
    hash         text        NOT NULL UNIQUE CHECK (hash ~ '^[0-9a-f]{64}$'),
    role         text        NOT NULL CHECK (role IN ('owner', 'member', 'application')),
    created_at   timestamptz NOT NULL DEFAULT now(),
    created_by   text        NOT NULL DEFAULT sfp.claim('sub'),
    expires_at   timestamptz,
    last_used_at timestamptz,
    revoked_at   timestamptz
);
ALTER TABLE sfp.application_token ENABLE ROW LEVEL SECURITY;
CREATE POLICY manage ON sfp.application_token
    USING ((SELECT sfp.may('token:manage'))) WITH CHECK ((SELECT sfp.may('token:manage')));
CREATE POLICY verify ON sfp.application_token FOR SELECT USING ((SELECT sfp.may('token:verify')));
CREATE POLICY use ON sfp.application_token FOR UPDATE USING ((SELECT sfp.may('token:verify')));
GRANT SELECT, INSERT (id, name, hash, role, expires_at), UPDATE (last_used_at, revoked_at)
    ON sfp.application_token TO sfp_api;

-- The token with this hash, how it stands now, and whether its last use is to be written down (once a minute will do).
CREATE FUNCTION sfp.application_token_of(claims jsonb, token_hash text)
RETURNS TABLE (id uuid, name text, role text, expired boolean, revoked boolean, stale boolean)
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('request.jwt.claims', claims::text, true);
    RETURN QUERY SELECT t.id, t.name, t.role, coalesce(t.expires_at <= now(), false), t.revoked_at IS NOT NULL,
        coalesce(t.last_used_at < now() - interval '1 minute', true)
        FROM sfp.application_token t WHERE t.hash = token_hash;
END $$;

-- Those that are not revoked, newest first; `after` is the last id of the page before.
CREATE FUNCTION sfp.application_tokens(claims jsonb, after uuid, page int)
RETURNS TABLE (id uuid, name text, role text, created_at timestamptz, created_by text, expires_at timestamptz,
               last_used_at timestamptz)
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('request.jwt.claims', claims::text, true);
    RETURN QUERY SELECT t.id, t.name, t.role, t.created_at, t.created_by, t.expires_at, t.last_used_at
        FROM sfp.application_token t
        WHERE t.revoked_at IS NULL AND (after IS NULL OR t.id < after) ORDER BY t.id DESC LIMIT page;
END $$;

-- The release, configuration version and schema version that belong together here: one row, written by migrate.
CREATE TABLE sfp.release_state (
    one            boolean     PRIMARY KEY DEFAULT true CHECK (one),
    release        text        NOT NULL,
    config_version int         NOT NULL,
    schema_version int         NOT NULL,
    changed_at     timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE sfp.release_state ENABLE ROW LEVEL SECURITY;
CREATE POLICY read ON sfp.release_state FOR SELECT USING (sfp.claim('sub') IS NOT NULL);
GRANT SELECT ON sfp.release_state TO sfp_api;

CREATE FUNCTION sfp.instance_state(claims jsonb)
RETURNS TABLE (release text, config_version int, schema_version int, migrations jsonb)
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('request.jwt.claims', claims::text, true);
    RETURN QUERY SELECT s.release, s.config_version, s.schema_version,
        (SELECT coalesce(jsonb_agg(jsonb_build_object('number', m.number, 'checksum', m.checksum,
                                                      'compatible', m.compatible) ORDER BY m.number), '[]')
         FROM sfp.migration m)
        FROM sfp.release_state s;
END $$;
