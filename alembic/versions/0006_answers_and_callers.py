"""The ETag of a kept answer, finding audit rows by who acted, and why a token is refused."""

import sqlalchemy as sa

from alembic import op

revision = "0006"
down_revision = "0005"

# Asked only about a token that `teknav_token` did not find. Whoever knows the secret may know what became of it.
REFUSED = """
CREATE FUNCTION teknav_refused_token(hash bytea) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN t.revoked_at IS NOT NULL THEN 'revoked'
                WHEN t.expires_at <= now() THEN 'expired'
                WHEN n.status <> 'active' THEN 'suspended' END
    FROM public.api_token t JOIN public.tenant n ON n.id = t.tenant_id WHERE t.token_hash = hash
$$
"""


def upgrade() -> None:
    op.add_column("idempotency_key", sa.Column("etag", sa.String(), nullable=True))
    op.execute("CREATE INDEX ix_audit_log_actor_label ON audit_log (lower(actor_label) text_pattern_ops, id DESC)")
    op.execute("GRANT CREATE ON SCHEMA public TO teknav_system")
    op.execute(REFUSED)
    op.execute("ALTER FUNCTION teknav_refused_token(bytea) OWNER TO teknav_system")
    op.execute("REVOKE CREATE ON SCHEMA public FROM teknav_system")
