"""Who read what; what the audit log is searched by; saved views; exports; seals."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "0011"
down_revision = "0010"

NEWEST = sa.literal_column("id DESC")
MOMENT = sa.DateTime(timezone=True)
PARTITIONED = ("audit_log", "job", "job_attempt", "job_effect", "ai_event_log", "data_access_log")
MONTHS_AT_FIRST = 3

MAKE_PARTITIONS = """
CREATE OR REPLACE FUNCTION teknav_make_partitions(months integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    parent text; month timestamptz; name text; made integer := 0;
    low uuid; high uuid;
BEGIN
    FOREACH parent IN ARRAY ARRAY[{tables}] LOOP
        FOR n IN -1 .. months LOOP
            month := date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => n);
            name := parent || '_' || to_char(month, 'YYYY_MM');
            CONTINUE WHEN to_regclass('public.' || quote_ident(name)) IS NOT NULL;
            low := teknav_floor_id(month);
            high := teknav_floor_id(month + interval '1 month');
            EXECUTE format('CREATE TABLE public.%I PARTITION OF public.%I FOR VALUES FROM (%L) TO (%L)',
                           name, parent, low, high);
            made := made + 1;
        END LOOP;
    END LOOP;
    RETURN made;
END $$
"""


NOTE_UNSEALED = """
CREATE FUNCTION teknav_note_unsealed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO audit_unsealed (id, xid) VALUES (NEW.id, pg_current_xact_id()::text::bigint);
    RETURN NULL;
END $$
"""

# A partition knows nothing of its parent's row-level security, so its owner reaches all of it by its own name.
# Values have their names on the wire, as in the digests, and give way to a fixed mark and to nothing else.
ERASE_AUDIT = """
CREATE FUNCTION teknav_erase_audit(row_id uuid, names text[], marks jsonb) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    made timestamptz := to_timestamp(('x' || left(replace(row_id::text, '-', ''), 12))::bit(48)::bigint / 1000.0);
    done integer;
BEGIN
    EXECUTE format($q$
        UPDATE public.%I SET
            actor_label = CASE WHEN 'actorLabel' = ANY($2) THEN '[erased]' ELSE actor_label END,
            resource_label = CASE WHEN 'resourceLabel' = ANY($2) THEN NULL ELSE resource_label END,
            reason = CASE WHEN 'reason' = ANY($2) THEN NULL ELSE reason END,
            ip = CASE WHEN 'ip' = ANY($2) THEN NULL ELSE ip END,
            user_agent = CASE WHEN 'userAgent' = ANY($2) THEN NULL ELSE user_agent END,
            path = CASE WHEN 'path' = ANY($2) THEN NULL ELSE path END,
            before = COALESCE((SELECT jsonb_object_agg(key, CASE WHEN 'before.' || key = ANY($2)
                THEN '"[erased]"'::jsonb ELSE value END) FROM jsonb_each(before)), before),
            after = COALESCE((SELECT jsonb_object_agg(key, CASE WHEN 'after.' || key = ANY($2)
                THEN '"[erased]"'::jsonb ELSE value END) FROM jsonb_each(after)), after),
            salt = NULL, erased = $3
        WHERE id = $1$q$, 'audit_log_' || to_char(made, 'YYYY_MM')) USING row_id, names, marks;
    GET DIAGNOSTICS done = ROW_COUNT;
    RETURN done = 1;
END $$
"""

ERASE_ACCESS = """
CREATE FUNCTION teknav_erase_access(person uuid) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE month regclass; done bigint; gone bigint := 0;
BEGIN
    FOR month IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'public.data_access_log'::regclass LOOP
        EXECUTE format($q$
            UPDATE %s SET actor_label = '[erased]', ip = NULL, user_agent = NULL, purpose = NULL
            WHERE actor_id = $1 AND actor_label <> '[erased]'$q$, month) USING person;
        GET DIAGNOSTICS done = ROW_COUNT;
        gone := gone + done;
    END LOOP;
    RETURN gone;
END $$
"""

DROP_LOG_MONTH = """
CREATE FUNCTION teknav_drop_log_month(parent text, month date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET timezone = 'UTC' SET lock_timeout = '1s' AS $$
DECLARE name text := parent || '_' || to_char(month, 'YYYY_MM'); held boolean;
BEGIN
    IF parent NOT IN ('audit_log', 'data_access_log') THEN
        RAISE EXCEPTION 'months of % are not dropped here', parent;
    END IF;
    IF date_trunc('month', month) >= date_trunc('month', now()) - interval '1 month' THEN
        RAISE EXCEPTION 'the month % is too young to be dropped', to_char(month, 'YYYY_MM');
    END IF;
    IF to_regclass('public.' || quote_ident(name)) IS NULL THEN RETURN false; END IF;
    EXECUTE format('LOCK TABLE ONLY public.%I IN ACCESS EXCLUSIVE MODE', parent);
    IF parent = 'audit_log' THEN
        -- What is not sealed yet would leave without ever having been in the chain.
        EXECUTE format('SELECT EXISTS (SELECT FROM audit_unsealed u JOIN public.%I a ON a.id = u.id)', name) INTO held;
        IF held THEN RETURN false; END IF;
    END IF;
    EXECUTE format('DROP TABLE public.%I', name);
    RETURN true;
END $$
"""


def upgrade() -> None:
    access_log()
    audit_search()
    saved_views()
    exports()
    seals()
    op.execute(MAKE_PARTITIONS.format(tables=", ".join(f"'{table}'" for table in PARTITIONED)))
    op.execute(f"SELECT teknav_make_partitions({MONTHS_AT_FIRST})")


def access_log() -> None:
    op.create_table(
        "data_access_log",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("actor_kind", sa.String(), nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        sa.Column("actor_label", sa.String(), nullable=False),
        sa.Column("impersonator_id", sa.Uuid(), nullable=True),
        sa.Column("token_id", sa.Uuid(), nullable=True),
        sa.Column("request_id", sa.String(), nullable=True),
        sa.Column("correlation_id", sa.Uuid(), nullable=True),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("resource_type", sa.String(), nullable=False),
        sa.Column("resource_id", sa.String(), nullable=True),
        sa.Column("query", sa.String(), nullable=True),
        sa.Column("row_count", sa.Integer(), nullable=False),
        sa.Column("fields", postgresql.JSONB(), server_default=sa.text("'[]'::jsonb"), nullable=False),
        sa.Column("purpose", sa.String(), nullable=True),
        sa.Column("cached", sa.Boolean(), nullable=False),
        sa.Column("exported", sa.Boolean(), nullable=False),
        sa.Column("ip", sa.String(), nullable=True),
        sa.Column("user_agent", sa.String(), nullable=True),
        sa.Column("path", sa.String(), nullable=True),
        sa.Column("created_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_data_access_log")),
        postgresql_partition_by="RANGE (id)",
    )
    for name, columns in (
        ("tenant", ["tenant_id", NEWEST]),
        ("action", ["action", NEWEST]),
        ("resource", ["resource_type", "resource_id", NEWEST]),
        ("actor", ["actor_id", NEWEST]),
        ("actor_label", [sa.literal_column("lower(actor_label) text_pattern_ops"), NEWEST]),
        ("correlation", ["correlation_id"]),
        ("request", ["request_id"]),
    ):
        op.create_index(f"ix_data_access_log_{name}", "data_access_log", columns, unique=False)
    protect("data_access_log", "SELECT, INSERT")


def audit_search() -> None:
    for name, columns in (
        ("label", [sa.literal_column("lower(resource_label) text_pattern_ops"), NEWEST]),
        ("thing", ["resource_id", NEWEST]),
        ("request", ["request_id"]),
        ("correlation", ["correlation_id"]),
    ):
        op.create_index(f"ix_audit_log_{name}", "audit_log", columns, unique=False)


def saved_views() -> None:
    op.create_table(
        "saved_view",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("page", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("query", sa.String(), nullable=False),
        sa.Column("created_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved_view")),
        sa.UniqueConstraint("tenant_id", "owner", "page", "name", name="uq_saved_view_name"),
    )
    protect("saved_view", "SELECT, INSERT, DELETE")


def exports() -> None:
    op.create_table(
        "export",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("list", sa.String(), nullable=False),
        sa.Column("format", sa.String(), nullable=False),
        sa.Column("filter", postgresql.JSONB(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=True),
        sa.Column("row_count", sa.Integer(), nullable=False),
        sa.Column("byte_count", sa.BigInteger(), nullable=False),
        sa.Column("chunks", sa.Integer(), nullable=False),
        sa.Column("cursor", sa.Uuid(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("actor_kind", sa.String(), nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        sa.Column("actor_label", sa.String(), nullable=False),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("created_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint("state IN ('queued', 'running', 'completed', 'failed')", name=op.f("ck_export_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_export")),
        sa.UniqueConstraint("tenant_id", "id", name=op.f("uq_export_tenant_id")),
    )
    op.create_index("ix_export_list", "export", ["tenant_id", NEWEST], unique=False)
    op.create_index("ix_export_expires", "export", ["expires_at"], unique=False)
    op.create_table(
        "export_chunk",
        sa.Column("export_id", sa.Uuid(), nullable=False),
        sa.Column("n", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "export_id"],
            ["export.tenant_id", "export.id"],
            name=op.f("fk_export_chunk_tenant_id_export"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("export_id", "n", name=op.f("pk_export_chunk")),
    )
    for table in ("export", "export_chunk"):
        protect(table, "SELECT, INSERT, UPDATE, DELETE")
    # A job that dies while its worker is gone is ended by the system, and then its export has failed.
    op.execute("GRANT SELECT, UPDATE ON export TO teknav_system")
    op.execute("CREATE POLICY system_rows ON export TO teknav_system USING (true)")


def seals() -> None:
    salt = sa.text("gen_random_uuid()")
    op.add_column("audit_log", sa.Column("salt", sa.Uuid(), server_default=salt, nullable=True))
    op.add_column("audit_log", sa.Column("erased", postgresql.JSONB(), nullable=True))
    op.create_table(
        "audit_unsealed",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("xid", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_unsealed")),
    )
    op.create_table(
        "audit_block",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("row_ids", sa.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("digests", sa.LargeBinary(), nullable=False),
        sa.Column("prev_hash", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("closed_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_audit_block")),
        sa.UniqueConstraint("hash", name=op.f("uq_audit_block_hash")),
    )
    op.create_table(
        "audit_check",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("checked_at", MOMENT, nullable=False),
        sa.Column("blocks", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("took_s", sa.Float(), nullable=False),
        sa.Column("broken", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_check")),
    )
    # What is there already is sealed as well. FORCE hides the rows from the tables' own login.
    op.execute("GRANT INSERT ON audit_unsealed TO teknav_platform")
    op.execute("SET LOCAL ROLE teknav_platform")
    op.execute("INSERT INTO audit_unsealed (id, xid) SELECT id, 0 FROM audit_log")
    op.execute("RESET ROLE")
    op.execute("REVOKE INSERT ON audit_unsealed FROM teknav_platform")
    op.execute("GRANT SELECT ON audit_unsealed, audit_block TO teknav_platform")
    op.execute("GRANT SELECT, DELETE ON audit_unsealed TO teknav_system")
    op.execute("GRANT SELECT, INSERT ON audit_block TO teknav_system")
    op.execute("GRANT SELECT, INSERT, UPDATE ON audit_check TO teknav_platform")
    for made, name, role in (
        (NOTE_UNSEALED, "teknav_note_unsealed()", None),
        (ERASE_AUDIT, "teknav_erase_audit(uuid, text[], jsonb)", "teknav_platform"),
        (ERASE_ACCESS, "teknav_erase_access(uuid)", "teknav_platform"),
        (DROP_LOG_MONTH, "teknav_drop_log_month(text, date)", "teknav_system"),
    ):
        op.execute(made)
        op.execute(f"REVOKE ALL ON FUNCTION {name} FROM PUBLIC")
        if role is not None:
            op.execute(f"GRANT EXECUTE ON FUNCTION {name} TO {role}")
    op.execute(
        "CREATE TRIGGER note_unsealed AFTER INSERT ON audit_log FOR EACH ROW EXECUTE FUNCTION teknav_note_unsealed()"
    )


def protect(table: str, rights: str) -> None:
    """A tenant sees its own rows, the platform all."""
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(
        f"CREATE POLICY tenant_rows ON {table} TO teknav_tenant "
        "USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)"
    )
    op.execute(f"CREATE POLICY platform_rows ON {table} TO teknav_platform USING (true)")
    op.execute(f"GRANT {rights} ON {table} TO teknav_tenant, teknav_platform")
