"""AI work that runs in a queue. What a job is to do stands in its task."""

from uuid import UUID

from app.queues.job import Job


class GenerateArticleDraft(Job, kind="generate_article_draft", queue="ai:content"):
    """Write the text of an article after a brief."""

    task_id: UUID


class RewriteArticle(Job, kind="rewrite_article", queue="ai:content"):
    """Propose another text for an article."""

    task_id: UUID


class SummarizeArticle(Job, kind="summarize_article", queue="ai:content"):
    """Write the summary of an article."""

    task_id: UUID


class QualityCheck(Job, kind="quality_check", queue="ai:content"):
    """Report how an article reads."""

    task_id: UUID


class SeoGenerate(Job, kind="seo_generate", queue="ai:seo"):
    """Propose title, description, slug and key words for search engines."""

    task_id: UUID


class SeoAudit(Job, kind="seo_audit", queue="ai:seo"):
    """Report what search engines will find in an article."""

    task_id: UUID


class ProbeProvider(Job, kind="probe_provider", queue="platform:tasks"):
    """Ask the AI provider whether it is there, at no cost."""


AiJob = GenerateArticleDraft | RewriteArticle | SummarizeArticle | QualityCheck | SeoGenerate | SeoAudit
