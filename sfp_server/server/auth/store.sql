-- name: find
-- The token with a hash, whatever became of it.
SELECT * FROM sfp.application_token_of($1::jsonb, $2);

-- name: page
-- Tokens that are not revoked, newest first.
SELECT * FROM sfp.application_tokens($1::jsonb, $2::uuid, $3);

-- name: insert
-- A new token, with how long it holds from now on.
INSERT INTO sfp.application_token (id, name, hash, role, expires_at)
VALUES ($1, $2, $3, $4, now() + $5) RETURNING created_at, expires_at;

-- name: lock
-- The token that shall be revoked, and whether another owner's token would remain. Owners' tokens are locked together,
-- so that two requests cannot revoke the last two at once.
WITH owners AS (
    SELECT id FROM sfp.application_token
    WHERE role = 'owner' AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()) ORDER BY id FOR UPDATE
)
SELECT role, revoked_at IS NOT NULL AS revoked, EXISTS (SELECT FROM owners WHERE id <> $1) AS another
FROM sfp.application_token WHERE id = $1;

-- name: revoke
-- No longer good, from the next request on.
UPDATE sfp.application_token SET revoked_at = now() WHERE id = $1 AND revoked_at IS NULL;

-- name: touch
-- When a token was last used, to the minute.
UPDATE sfp.application_token SET last_used_at = now()
WHERE id = $1 AND coalesce(last_used_at < now() - interval '1 minute', true);
