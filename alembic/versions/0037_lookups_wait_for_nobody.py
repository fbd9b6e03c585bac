"""Whoever looks many callers up at once waits for none of them: a row that somebody changes is not noted as used."""

from alembic import op

revision = "0037"
down_revision = "0039"

WHY = """
        CASE WHEN c.revoked_at IS NOT NULL THEN 'revoked'
             WHEN {replaced} THEN 'replaced'
             WHEN c.expires_at <= now() THEN 'expired'
             WHEN n.status <> 'active' THEN 'suspended'
             WHEN c.addresses <> '[]' AND NOT EXISTS (
                 SELECT 1 FROM jsonb_array_elements_text(c.addresses) allowed(net) WHERE address::inet <<= net::inet
             ) THEN 'address' END
"""
FIND = """
CREATE OR REPLACE FUNCTION {name}({arguments}, address text)
RETURNS TABLE (
    id uuid, tenant_id uuid, workspace_id uuid, name text, scopes jsonb, plan text, calls_per_day bigint, refusal text
)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH found AS (
        SELECT c.id, c.tenant_id, c.workspace_id, c.name, c.scopes, c.plan, {why} AS refusal
        FROM public.{table} c JOIN public.tenant n ON n.id = c.tenant_id
        WHERE {match}
    ), used AS (
        UPDATE public.{table} SET last_used_at = now()
        WHERE id = (SELECT c.id FROM public.{table} c JOIN found f ON f.id = c.id
                    WHERE f.refusal IS NULL
                      AND (c.last_used_at IS NULL OR c.last_used_at < now() - interval '1 minute') {c})
    )
    SELECT f.id, f.tenant_id, f.workspace_id, f.name, f.scopes, f.plan, q.most, f.refusal
    FROM found f LEFT JOIN public.tenant_quota q ON q.tenant_id = f.tenant_id AND q.name = 'apiCallsPerDay'
$$
"""
SESSION = """
CREATE OR REPLACE FUNCTION teknav_session(hash bytea)
RETURNS TABLE (session_id uuid, user_id uuid, email text, role text, confirmed_at timestamptz)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH found AS (
        SELECT s.id, s.user_id, u.email, u.role, s.confirmed_at
        FROM public.session s JOIN public."user" u ON u.id = s.user_id
        WHERE s.token_hash = hash AND s.revoked_at IS NULL AND s.expires_at > now() AND u.disabled_at IS NULL
    ), seen AS (
        UPDATE public.session SET last_seen_at = now()
        WHERE id = (SELECT s.id FROM public.session s JOIN found f ON f.id = s.id
                    WHERE s.last_seen_at IS NULL OR s.last_seen_at < now() - interval '1 minute' {s})
    )
    SELECT id, user_id, email, role, confirmed_at FROM found
$$
"""


def define(lock: str) -> None:
    """Each as the role that owns it, as nobody else may replace it."""
    op.execute("GRANT CREATE ON SCHEMA public TO teknav_system")
    op.execute("SET LOCAL ROLE teknav_system")
    op.execute(
        FIND.format(
            name="teknav_token",
            arguments="hash bytea",
            table="api_token",
            why=WHY.format(replaced="c.token_hash <> hash AND c.previous_until <= now()"),
            match="c.token_hash = hash OR c.previous_hash = hash",
            c=lock.format("c"),
        )
    )
    op.execute(
        FIND.format(
            name="teknav_client",
            arguments="client uuid, epoch integer",
            table="api_client",
            why=WHY.format(replaced="c.epoch <> teknav_client.epoch"),
            match="c.id = client",
            c=lock.format("c"),
        )
    )
    op.execute(SESSION.format(s=lock.format("s")))
    op.execute("RESET ROLE")
    op.execute("REVOKE CREATE ON SCHEMA public FROM teknav_system")


def upgrade() -> None:
    define("FOR UPDATE OF {} SKIP LOCKED")


def downgrade() -> None:
    define("")
