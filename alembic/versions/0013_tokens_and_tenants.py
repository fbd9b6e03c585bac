"""Rotation, addresses and plans of tokens; API clients; the end of a tenant, and what it may use at most."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "0013"
down_revision = "0012"

# Both answer about one that is refused too, and why: whoever knows the secret may know what became of it.
# The first reason that holds is told.
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
CREATE FUNCTION {name}({arguments}, address text)
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
        WHERE id = (SELECT f.id FROM found f WHERE f.refusal IS NULL)
          AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
    )
    SELECT f.id, f.tenant_id, f.workspace_id, f.name, f.scopes, f.plan, q.most, f.refusal
    FROM found f LEFT JOIN public.tenant_quota q ON q.tenant_id = f.tenant_id AND q.name = 'apiCallsPerDay'
$$
"""
TOKEN = FIND.format(
    name="teknav_token",
    arguments="hash bytea",
    table="api_token",
    why=WHY.format(replaced="c.token_hash <> hash AND c.previous_until <= now()"),
    match="c.token_hash = hash OR c.previous_hash = hash",
)
CLIENT = FIND.format(
    name="teknav_client",
    arguments="client uuid, epoch integer",
    table="api_client",
    why=WHY.format(replaced="c.epoch <> teknav_client.epoch"),
    match="c.id = client",
)
# A partition knows nothing of its parent's row-level security, so its owner may delete there what nobody else may.
ERASE = """
CREATE FUNCTION teknav_erase_ai_events(erased uuid, most integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    part regclass; gone integer;
BEGIN
    IF EXISTS (SELECT 1 FROM tenant WHERE id = erased AND (status <> 'deleting' OR erase_at > now())) THEN
        RAISE EXCEPTION 'the tenant % is not to be erased', erased;
    END IF;
    FOR part IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'ai_event_log'::regclass LOOP
        EXECUTE format('DELETE FROM %s WHERE ctid = ANY (ARRAY(SELECT ctid FROM %s WHERE tenant_id = $1 LIMIT $2))',
                       part, part) USING erased, most;
        GET DIAGNOSTICS gone = ROW_COUNT;
        IF gone > 0 THEN RETURN gone; END IF;
    END LOOP;
    RETURN 0;
END $$
"""


def credential() -> list[sa.Column[object]]:
    """What tokens and clients have in common beyond what tokens had."""
    return [
        sa.Column("addresses", postgresql.JSONB(), server_default=sa.text("'[]'::jsonb"), nullable=False),
        sa.Column("plan", sa.String(), server_default="standard", nullable=False),
        sa.Column("previous_hash", sa.LargeBinary(), nullable=True),
        sa.Column("previous_until", sa.DateTime(timezone=True), nullable=True),
    ]


def upgrade() -> None:
    for column in credential():
        op.add_column("api_token", column)
    op.create_unique_constraint(op.f("uq_api_token_previous_hash"), "api_token", ["previous_hash"])
    op.create_table(
        "api_client",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("prefix", sa.String(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        *credential(),
        sa.Column("scopes", postgresql.JSONB(), nullable=False),
        sa.Column("epoch", sa.Integer(), server_default="1", nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "workspace_id"],
            ["workspace.tenant_id", "workspace.id"],
            name=op.f("fk_api_client_tenant_id_workspace"),
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("fk_api_client_tenant_id_tenant")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_client")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_api_client_token_hash")),
        sa.UniqueConstraint("previous_hash", name=op.f("uq_api_client_previous_hash")),
    )
    op.create_index("ix_api_client_tenant", "api_client", ["tenant_id", "id"], unique=False)
    op.create_table(
        "tenant_quota",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("most", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("fk_tenant_quota_tenant_id_tenant")),
        sa.PrimaryKeyConstraint("tenant_id", "name", name=op.f("pk_tenant_quota")),
        sa.CheckConstraint("most >= 0", name=op.f("ck_tenant_quota_most")),
    )
    op.add_column("tenant", sa.Column("reason", sa.String(), nullable=True))
    op.add_column("tenant", sa.Column("status_before", sa.String(), nullable=True))
    op.add_column("tenant", sa.Column("erase_at", sa.DateTime(timezone=True), nullable=True))
    op.create_check_constraint(op.f("ck_tenant_status"), "tenant", "status IN ('active', 'suspended', 'deleting')")
    op.create_check_constraint(op.f("ck_tenant_erase_at"), "tenant", "(status = 'deleting') = (erase_at IS NOT NULL)")
    rights()
    functions()


def rights() -> None:
    for table in ("api_client", "tenant_quota"):
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY tenant_rows ON {table} TO teknav_tenant "
            "USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)"
        )
        op.execute(f"CREATE POLICY platform_rows ON {table} TO teknav_platform USING (true)")
        op.execute(f"CREATE POLICY system_rows ON {table} TO teknav_system USING (true)")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO teknav_platform")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON api_client TO teknav_tenant")
    # A tenant may know what it may use, and not change it.
    op.execute("GRANT SELECT ON tenant_quota TO teknav_tenant, teknav_system")
    op.execute("GRANT SELECT, UPDATE ON api_client TO teknav_system")


def functions() -> None:
    for gone in ("teknav_token(bytea)", "teknav_refused_token(bytea)"):
        op.execute(f"DROP FUNCTION {gone}")
    op.execute("GRANT CREATE ON SCHEMA public TO teknav_system")
    # The arguments are the hash of 256 random bits, or come from a JWT that we signed: everybody may ask.
    for body, name in ((TOKEN, "teknav_token(bytea, text)"), (CLIENT, "teknav_client(uuid, integer, text)")):
        op.execute(body)
        op.execute(f"ALTER FUNCTION {name} OWNER TO teknav_system")
    op.execute("REVOKE CREATE ON SCHEMA public FROM teknav_system")
    op.execute(ERASE)
    op.execute("REVOKE ALL ON FUNCTION teknav_erase_ai_events(uuid, integer) FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION teknav_erase_ai_events(uuid, integer) TO teknav_platform")
