"""Versions of articles, what readers see of them, and search."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "0025"
down_revision = "0019"

NEW_ID = """
(lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0') || '7'
 || substr(md5(random()::text), 1, 3) || '8' || substr(md5(random()::text), 1, 15))::uuid
"""
# Whose forms of words PostgreSQL knows; other languages are searched by whole words.
LANGUAGES = {
    "ar": "arabic",
    "ca": "catalan",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "es": "spanish",
    "eu": "basque",
    "fi": "finnish",
    "fr": "french",
    "ga": "irish",
    "hi": "hindi",
    "hu": "hungarian",
    "hy": "armenian",
    "id": "indonesian",
    "it": "italian",
    "lt": "lithuanian",
    "nb": "norwegian",
    "ne": "nepali",
    "nl": "dutch",
    "nn": "norwegian",
    "no": "norwegian",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sr": "serbian",
    "sv": "swedish",
    "ta": "tamil",
    "tr": "turkish",
    "yi": "yiddish",
}
RULES = f"""
CREATE FUNCTION teknav_rules(language text) RETURNS regconfig LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE split_part(language, '-', 1)
    {" ".join(f"WHEN '{code}' THEN 'pg_catalog.{name}'::regconfig" for code, name in LANGUAGES.items())}
    ELSE 'pg_catalog.simple'::regconfig END
$$
"""
WORDS = """
UPDATE article SET search = setweight(to_tsvector(teknav_rules(language), title), 'A')
    || setweight(to_tsvector(teknav_rules(language), excerpt), 'B')
    || setweight(to_tsvector(teknav_rules(language), left(body_markdown, 100000)), 'D')
"""
LIVE = """
UPDATE article SET published_at = CASE WHEN status = 'published' THEN coalesce(published_at, updated_at) END,
                   published_version = CASE WHEN status = 'published' THEN 1 END
"""
FIRST_VERSIONS = f"""
INSERT INTO article_version (id, tenant_id, article_id, number, snapshot, sha256, author, created_at)
SELECT {NEW_ID}, tenant_id, id, 1,
       jsonb_build_object('title', title, 'slug', slug, 'language', language, 'body', body_markdown),
       encode(sha256(convert_to(concat_ws(E'\\n', title, slug, language, body_markdown), 'UTF8')), 'hex'),
       'system', updated_at
FROM article
"""
PLACE = NEW_ID.replace("clock_timestamp()", "published_at")  # what was published last comes first
PUBLICATIONS = f"""
INSERT INTO publication (id, tenant_id, article_id, workspace_id, number, slug, title, body_html, excerpt, language,
                         published_at, search)
SELECT {PLACE}, tenant_id, id, workspace_id, 1, slug, title, body_html, excerpt, language, published_at, search
FROM article WHERE status = 'published' AND deleted_at IS NULL
"""


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    op.execute(RULES)
    op.add_column("article", sa.Column("draft_version", sa.Integer(), server_default="1", nullable=False))
    op.add_column("article", sa.Column("published_version", sa.Integer(), nullable=True))
    op.add_column("article", sa.Column("search", postgresql.TSVECTOR(), server_default="", nullable=False))
    versions()
    publications()
    # FORCE hides the rows from the tables' own login.
    op.execute("SET LOCAL ROLE teknav_platform")
    op.execute("UPDATE article SET status = 'draft' WHERE deleted_at IS NOT NULL")
    op.execute(LIVE)
    op.execute(WORDS)
    op.execute(FIRST_VERSIONS)
    op.execute(PUBLICATIONS)
    op.execute("RESET ROLE")
    op.create_check_constraint(
        op.f("ck_article_published"), "article", "status <> 'published' OR published_version = draft_version"
    )
    op.create_check_constraint(
        op.f("ck_article_live"), "article", "(published_version IS NULL) = (published_at IS NULL)"
    )
    words("article")
    op.create_index(
        "ix_article_language",
        "article",
        ["tenant_id", "language", sa.literal_column("id DESC")],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )


def versions() -> None:
    op.create_table(
        "article_version",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("article_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("snapshot", postgresql.JSONB(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("ai_run_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        article("article_version"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_article_version")),
        sa.UniqueConstraint("tenant_id", "article_id", "number", name="uq_article_version_number"),
    )
    protect("article_version")
    # A version is never changed; the erasure of a tenant takes it away.
    op.execute("GRANT SELECT, INSERT ON article_version TO teknav_tenant, teknav_platform")
    op.execute("GRANT DELETE ON article_version TO teknav_platform")


def publications() -> None:
    op.create_table(
        "publication",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("article_id", sa.Uuid(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=True),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("slug", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("body_html", sa.Text(), nullable=False),
        sa.Column("excerpt", sa.String(), nullable=False),
        sa.Column("language", sa.String(), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("search", postgresql.TSVECTOR(), server_default="", nullable=False),
        article("publication"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "workspace_id"],
            ["workspace.tenant_id", "workspace.id"],
            name=op.f("fk_publication_tenant_id_workspace"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_publication")),
        sa.UniqueConstraint("tenant_id", "article_id", name="uq_publication_article"),
        sa.UniqueConstraint("tenant_id", "slug", name="uq_publication_slug"),
    )
    op.create_index("ix_publication_list", "publication", ["tenant_id", sa.literal_column("id DESC")], unique=False)
    op.create_index("ix_publication_workspace", "publication", ["tenant_id", "workspace_id"], unique=False)
    protect("publication")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON publication TO teknav_tenant, teknav_platform")
    words("publication")


def article(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["tenant_id", "article_id"], ["article.tenant_id", "article.id"], name=op.f(f"fk_{table}_tenant_id_article")
    )


def words(table: str) -> None:
    """By whole words and their forms, and by three letters for what is misspelt."""
    op.create_index(f"ix_{table}_search", table, ["search"], unique=False, postgresql_using="gin")
    op.create_index(
        f"ix_{table}_title",
        table,
        ["title"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"title": "gin_trgm_ops"},
    )


def protect(table: str) -> None:
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(
        f"CREATE POLICY tenant_rows ON {table} TO teknav_tenant "
        "USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)"
    )
    op.execute(f"CREATE POLICY platform_rows ON {table} TO teknav_platform USING (true)")
