"""A function that tells a tenant's transaction whether the tenant is active, for what would reach outside."""

from alembic import op

revision = "0046"
down_revision = "0045"

# As with its time zone: tenants are out of a tenant's reach, and of its own row it is told this one thing.
ACTIVE = """
CREATE FUNCTION teknav_active() RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT status = 'active' FROM public.tenant WHERE id = NULLIF(current_setting('app.tenant_id', true), '')::uuid
$$
"""


def upgrade() -> None:
    op.execute("GRANT CREATE ON SCHEMA public TO teknav_system")
    op.execute(ACTIVE)
    op.execute("ALTER FUNCTION teknav_active() OWNER TO teknav_system")
    op.execute("REVOKE CREATE ON SCHEMA public FROM teknav_system")


def downgrade() -> None:
    op.execute("DROP FUNCTION teknav_active()")
