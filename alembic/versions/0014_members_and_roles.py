"""Members of tenants, their roles and workspaces, invitations, impersonation, and what a session may do where."""

import sqlalchemy as sa

from alembic import op

revision = "0014"
down_revision = "0013"

# Of one tenant, out of reach of another's.
TABLES = (
    "role",
    "role_permission",
    "tenant_member",
    "workspace_member",
    "workspace_role",
    "invitation",
    "impersonation",
)
# What sign-in needs: the rights of a session, an invitation that is taken up, an impersonation that ends.
SYSTEM = {
    "SELECT": ("role", "role_permission", "workspace_member", "workspace_role"),
    "SELECT, INSERT, UPDATE": ("tenant_member",),
    "SELECT, UPDATE": ("invitation", "impersonation"),
    # A person acts as the system where no tenant is named, and may send an Idempotency-Key there too.
    "SELECT, INSERT, DELETE": ("idempotency_key",),
}

RIGHTS = """
CREATE FUNCTION teknav_rights(hash bytea, asked text)
RETURNS TABLE (person_id uuid, person text, until timestamptz, tenant_id uuid, slug text, tenant text, status text,
               role text, rights jsonb, memberships jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH s AS (
        SELECT id, user_id FROM public.session WHERE token_hash = hash AND revoked_at IS NULL AND expires_at > now()
    ), i AS (
        SELECT i.tenant_id, i.member_id, i.expires_at FROM public.impersonation i JOIN s ON s.id = i.session_id
        WHERE i.ended_at IS NULL AND i.expires_at > now()
    ), mine AS (
        SELECT m.id, m.tenant_id, m.user_id, m.email, m.role_id, n.slug, n.name, n.status
        FROM public.tenant_member m JOIN public.tenant n ON n.id = m.tenant_id
        WHERE CASE WHEN EXISTS (SELECT FROM i) THEN (m.tenant_id, m.id) = (SELECT i.tenant_id, i.member_id FROM i)
                   ELSE m.user_id = (SELECT s.user_id FROM s) END
    ), here AS (
        SELECT * FROM mine WHERE mine.slug = asked
    ), given AS (
        SELECT NULL::uuid AS workspace_id, r.tenant_id, r.id, r.name, r.built_in
        FROM here h JOIN public.role r ON r.tenant_id = h.tenant_id AND r.id = h.role_id
        UNION ALL
        SELECT w.workspace_id, r.tenant_id, r.id, r.name, r.built_in
        FROM here h
        JOIN public.workspace_member w ON w.tenant_id = h.tenant_id AND w.member_id = h.id
        JOIN public.workspace_role x ON x.tenant_id = w.tenant_id AND x.workspace_member_id = w.id
        JOIN public.role r ON r.tenant_id = x.tenant_id AND r.id = x.role_id
    )
    SELECT p.user_id, p.email, (SELECT i.expires_at FROM i), h.tenant_id, h.slug, h.name, h.status,
           (SELECT g.name FROM given g WHERE g.workspace_id IS NULL),
           (SELECT coalesce(jsonb_agg(jsonb_build_object(
                'workspace', g.workspace_id, 'builtIn', g.built_in,
                'permissions', (SELECT coalesce(jsonb_agg(x.permission), '[]') FROM public.role_permission x
                                WHERE x.tenant_id = g.tenant_id AND x.role_id = g.id))), '[]') FROM given g),
           (SELECT coalesce(jsonb_agg(jsonb_build_array(t.slug, t.name) ORDER BY t.name), '[]')
            FROM (SELECT mine.slug, mine.name FROM mine ORDER BY mine.name LIMIT 50) t)
    FROM s LEFT JOIN here h ON true LEFT JOIN mine p ON EXISTS (SELECT FROM i)
$$
"""

COPY_PERSON = """
CREATE FUNCTION teknav_copy_person() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE public.tenant_member SET email = NEW.email, name = NEW.name WHERE user_id = NEW.id;
    RETURN NULL;
END $$
"""

# Tenants that are there already get the roles that new ones begin with; ids as the application makes them.
SEED = """
INSERT INTO role (id, tenant_id, name, built_in)
SELECT (lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0') || '7'
        || substr(md5(random()::text), 1, 3) || '8' || substr(md5(random()::text), 1, 15))::uuid,
       t.id, initcap(key), key
FROM tenant t, unnest(ARRAY['owner', 'admin', 'editor', 'author', 'viewer', 'auditor', 'operator']) key
WHERE t.slug <> 'platform'
"""


def upgrade() -> None:
    tables()
    protect()
    functions()
    # FORCE hides the rows from the tables' own login.
    op.execute("SET LOCAL ROLE teknav_platform")
    op.execute(SEED)
    op.execute("RESET ROLE")


def protect() -> None:
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY tenant_rows ON {table} TO teknav_tenant "
            "USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)"
        )
        op.execute(f"CREATE POLICY platform_rows ON {table} TO teknav_platform USING (true)")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO teknav_tenant, teknav_platform")
    # Who looked at a tenant is the platform's to write, and the tenant's to read.
    op.execute("REVOKE INSERT, UPDATE, DELETE ON impersonation FROM teknav_tenant")
    for rights, names in SYSTEM.items():
        for table in names:
            op.execute(f"GRANT {rights} ON {table} TO teknav_system")
            op.execute(f"CREATE POLICY system_rows ON {table} TO teknav_system USING (true)")


def functions() -> None:
    op.execute("GRANT CREATE ON SCHEMA public TO teknav_system")
    for body, name in ((RIGHTS, "teknav_rights(bytea, text)"), (COPY_PERSON, "teknav_copy_person()")):
        op.execute(body)
        op.execute(f"ALTER FUNCTION {name} OWNER TO teknav_system")
    op.execute("REVOKE CREATE ON SCHEMA public FROM teknav_system")
    op.execute(
        'CREATE TRIGGER copy_person AFTER UPDATE OF email, name ON "user" FOR EACH ROW '
        "WHEN ((OLD.email, OLD.name) IS DISTINCT FROM (NEW.email, NEW.name)) EXECUTE FUNCTION teknav_copy_person()"
    )


def key(table: str, columns: list[str], other: str, *, cascade: bool = False) -> sa.ForeignKeyConstraint:
    there = ["tenant_id", "id"] if len(columns) == 2 else ["id"]
    return sa.ForeignKeyConstraint(
        columns,
        [f"{other}.{column}" for column in there],
        name=op.f(f"fk_{table}_{columns[0]}_{other}"),
        ondelete="CASCADE" if cascade else None,
    )


def times() -> list[sa.Column[object]]:
    now = sa.text("now()")
    return [
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=now, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=now, nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
    ]


def ids(*names: str) -> list[sa.Column[object]]:
    return [sa.Column(name, sa.Uuid(), nullable=False) for name in names]


def texts(*names: str) -> list[sa.Column[object]]:
    return [sa.Column(name, sa.String(), nullable=False) for name in names]


def tables() -> None:
    op.create_table(
        "role",
        *ids("id", "tenant_id"),
        *texts("name"),
        sa.Column("about", sa.String(), server_default="", nullable=False),
        sa.Column("built_in", sa.String(), nullable=True),
        *times(),
        key("role", ["tenant_id"], "tenant"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_role")),
        sa.UniqueConstraint("tenant_id", "id", name="uq_role_id"),
        sa.UniqueConstraint("tenant_id", "built_in", name="uq_role_built_in"),
    )
    op.create_index("uq_role_name", "role", ["tenant_id", sa.literal_column("lower(name)")], unique=True)
    op.create_table(
        "role_permission",
        *ids("tenant_id", "role_id"),
        *texts("permission"),
        key("role_permission", ["tenant_id", "role_id"], "role", cascade=True),
        sa.PrimaryKeyConstraint("tenant_id", "role_id", "permission", name=op.f("pk_role_permission")),
    )
    op.create_table(
        "tenant_member",
        *ids("id", "tenant_id", "user_id"),
        *texts("email", "name"),
        sa.Column("role_id", sa.Uuid(), nullable=True),
        *times(),
        key("tenant_member", ["tenant_id"], "tenant"),
        key("tenant_member", ["user_id"], "user", cascade=True),
        key("tenant_member", ["tenant_id", "role_id"], "role"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tenant_member")),
        sa.UniqueConstraint("tenant_id", "id", name="uq_tenant_member_id"),
        sa.UniqueConstraint("tenant_id", "user_id", name="uq_tenant_member_user"),
    )
    op.create_index("ix_tenant_member_user", "tenant_member", ["user_id"])
    op.create_index("ix_tenant_member_role", "tenant_member", ["tenant_id", "role_id"])
    op.create_table(
        "workspace_member",
        *ids("id", "tenant_id", "member_id", "workspace_id"),
        *times(),
        key("workspace_member", ["tenant_id", "member_id"], "tenant_member", cascade=True),
        key("workspace_member", ["tenant_id", "workspace_id"], "workspace", cascade=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workspace_member")),
        sa.UniqueConstraint("tenant_id", "id", name="uq_workspace_member_id"),
        sa.UniqueConstraint("tenant_id", "member_id", "workspace_id", name="uq_workspace_member_place"),
    )
    op.create_index("ix_workspace_member_workspace", "workspace_member", ["tenant_id", "workspace_id"])
    op.create_table(
        "workspace_role",
        *ids("tenant_id", "workspace_member_id", "role_id"),
        key("workspace_role", ["tenant_id", "workspace_member_id"], "workspace_member", cascade=True),
        key("workspace_role", ["tenant_id", "role_id"], "role"),
        sa.PrimaryKeyConstraint("tenant_id", "workspace_member_id", "role_id", name=op.f("pk_workspace_role")),
    )
    op.create_index("ix_workspace_role_role", "workspace_role", ["tenant_id", "role_id"])
    op.create_table(
        "invitation",
        *ids("id", "tenant_id"),
        *texts("email"),
        *ids("role_id"),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        *texts("created_by"),
        *times(),
        key("invitation", ["tenant_id"], "tenant"),
        key("invitation", ["tenant_id", "role_id"], "role", cascade=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invitation")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_invitation_token_hash")),
    )
    newest = sa.literal_column("id DESC")
    op.create_index("ix_invitation_tenant", "invitation", ["tenant_id", newest])
    is_open = sa.text("accepted_at IS NULL AND revoked_at IS NULL")
    op.create_index("uq_invitation_open", "invitation", ["tenant_id", "email"], unique=True, postgresql_where=is_open)
    op.create_table(
        "impersonation",
        *ids("id", "tenant_id", "member_id", "session_id", "user_id"),
        *texts("label", "reason"),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        *times(),
        key("impersonation", ["tenant_id"], "tenant"),
        key("impersonation", ["session_id"], "session", cascade=True),
        key("impersonation", ["user_id"], "user", cascade=True),
        key("impersonation", ["tenant_id", "member_id"], "tenant_member", cascade=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_impersonation")),
    )
    not_ended = sa.text("ended_at IS NULL")
    op.create_index("uq_impersonation_open", "impersonation", ["session_id"], unique=True, postgresql_where=not_ended)
    op.create_index("ix_impersonation_tenant", "impersonation", ["tenant_id", newest])
    op.create_index(op.f("ix_impersonation_user_id"), "impersonation", ["user_id"])
