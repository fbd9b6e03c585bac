"""What AI and plain counting found in articles."""

from typing import Any
from uuid import UUID

from advanced_alchemy.types import JsonB
from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, SmallInteger, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.models import Json, TenantRow


class QualityReport(TenantRow):
    """One look at one version of an article, never changed.

    `kind` is quality or seo, `score` from 0 to 100. A finding has `check`, `level` (error, warning, notice), `message`
    and `source` (rule or model). `measures` are the numbers that were counted.
    """

    __tablename__ = "quality_report"
    article_id: Mapped[UUID]
    task_id: Mapped[UUID]
    run_id: Mapped[UUID]
    kind: Mapped[str]
    article_version: Mapped[int]
    provider: Mapped[str]
    score: Mapped[int] = mapped_column(SmallInteger)
    findings: Mapped[list[dict[str, Any]]] = mapped_column(JsonB)
    measures: Mapped[Json]

    __table_args__ = (
        UniqueConstraint("tenant_id", "id"),
        ForeignKeyConstraint(["tenant_id", "article_id"], ["article.tenant_id", "article.id"]),
        ForeignKeyConstraint(["tenant_id", "task_id"], ["ai_task.tenant_id", "ai_task.id"]),
        CheckConstraint("kind IN ('quality', 'seo')", name="kind"),
        CheckConstraint("score BETWEEN 0 AND 100", name="score"),
        Index("ix_quality_report_article", "tenant_id", "article_id", text("id DESC")),
        Index("ix_quality_report_task", "tenant_id", "task_id"),
    )
