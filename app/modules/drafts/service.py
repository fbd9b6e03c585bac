"""The rules of proposals: AI proposes, a person decides, and nobody's later change is overwritten."""

from collections.abc import Mapping
from datetime import UTC, datetime
from difflib import unified_diff
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import scope_of
from app.core.errors import Conflict, Forbidden, NotFound
from app.core.live import signal
from app.core.paging import Page, Pager, Sorts
from app.core.policy import Actor, Permission
from app.core.wire import one_line
from app.modules.articles.service import ArticleChange, ArticleService, titles
from app.modules.audit.service import record
from app.modules.drafts import repository
from app.modules.drafts.models import AiDraft, DraftStatus
from app.modules.drafts.permissions import DECIDE, READ
from app.modules.drafts.repository import DraftFilter
from app.modules.drafts.schemas import DRAFT_ANSWERS, MAX_REASON
from app.redis.cache import drop

__all__ = ["TOPIC", "DraftFilter", "DraftService", "DraftStatus", "difference"]
TOPIC = "ai.drafts"
MOST_LINES = 4_000  # of a text that is compared line by line, which takes the square of it at worst
WRITE = "articles:write"
COLUMNS = {"title": "title", "body": "body_markdown", "slug": "slug"}
"""The fields that a proposal may be about, each with its column."""
SORTS = Sorts("-createdAt", {"createdAt": AiDraft.id})


class DraftService:
    """Proposals that the session's transaction may see; a caller tied to a workspace finds those on its articles."""

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor

    async def propose(
        self,
        kind: str,
        *,
        task: tuple[UUID, UUID, UUID],
        article: tuple[UUID, int],
        provider: str,
        before: Mapping[str, str],
        patch: Mapping[str, str],
        note: str = "",
    ) -> AiDraft | None:
        """Keep what AI would change; None where that is nothing. Whoever asked audits it.

        Args:
            task: tenant, task and run that wrote it.
            article: its id, and the version that was read.
            before: what `title`, `body` and `slug` were then.

        Raises:
            msgspec.ValidationError: a value cannot stand in an article.
        """
        msgspec.convert(dict(patch), ArticleChange)
        new = {name: value for name, value in patch.items() if value != before[name]}
        if not new:
            return None
        tenant_id, task_id, run_id = task
        draft = AiDraft(
            tenant_id=tenant_id,
            task_id=task_id,
            run_id=run_id,
            article_id=article[0],
            base_version=article[1],
            kind=kind,
            provider=provider,
            before={name: before[name] for name in new},
            patch=new,
            note=note,
        )
        self._session.add(draft)
        await self._session.flush()
        self._announce(draft)
        return draft

    async def get(self, draft_id: UUID) -> AiDraft:
        """
        Raises:
            NotFound: there is none with this id, or it is not the caller's.
        """
        return await self._one(draft_id, READ)

    async def search(
        self, pager: Pager, wanted: DraftFilter, *, limit: int = 25, cursor: str | None = None
    ) -> Page[AiDraft]:
        """Newest first, unless it is wanted otherwise."""
        own = self._actor.reach(READ)
        return await pager.page(
            self._session,
            repository.fitting(wanted, own),
            key=AiDraft.id,
            of=f"drafts {scope_of(self._session).tenant_id} {sorted(own or ())} {wanted}",
            limit=limit,
            cursor=cursor,
            sorts=SORTS,
        )

    async def accept(self, draft_id: UUID) -> AiDraft:
        """Change the article as proposed.

        Raises:
            NotFound; Forbidden: the caller may not write articles. Invalid: the article cannot be so.
            Conflict: it is decided already (`draft_decided`), what it would replace has changed since
            (`draft_stale`), or the slug is taken.
        """
        if not self._actor.holds(WRITE):
            raise Forbidden(f"This needs the permission {WRITE}", code="permission_missing")
        draft = await self._open(draft_id)
        articles = ArticleService(self._session, self._actor)
        article = await articles.get(draft.article_id)
        changed = [name for name, value in draft.before.items() if getattr(article, COLUMNS[name]) != value]
        if changed:
            what = ", ".join(changed)
            raise Conflict(f"The article's {what} changed after this was written; ask AI again", code="draft_stale")
        change = msgspec.convert(draft.patch, ArticleChange)
        base, why = article.draft_version, "Proposed by AI"
        await articles.revise(draft.article_id, change, reason=why, ai_run_id=draft.run_id, base_version=base)
        return await self._decide(draft, DraftStatus.ACCEPTED, None)

    async def reject(self, draft_id: UUID, reason: str | None) -> AiDraft:
        """Leave the article as it is.

        Raises:
            NotFound; Invalid: naming `reason`; Conflict (`draft_decided`).
        """
        said = one_line("reason", reason, MAX_REASON) if reason and reason.strip() else None
        return await self._decide(await self._open(draft_id), DraftStatus.REJECTED, said)

    async def _one(self, draft_id: UUID, right: Permission, *, lock: bool = False) -> AiDraft:
        query = repository.fitting(DraftFilter(), self._actor.reach(right)).where(AiDraft.id == draft_id)
        draft: AiDraft | None = await self._session.scalar(query.with_for_update() if lock else query)
        if draft is None:
            raise NotFound("There is no draft with this id")
        return draft

    async def _open(self, draft_id: UUID) -> AiDraft:
        draft = await self._one(draft_id, DECIDE, lock=True)
        if draft.status != DraftStatus.PROPOSED:
            raise Conflict(f"This draft is {draft.status} already", code="draft_decided")
        return draft

    async def _decide(self, draft: AiDraft, status: DraftStatus, reason: str | None) -> AiDraft:
        draft.status, draft.reason = status, reason
        draft.decided_by, draft.decided_at = self._actor.label, datetime.now(UTC)
        await self._session.flush()
        title = (await titles(self._session, {draft.article_id})).get(draft.article_id)
        action = "ai.draft.accept" if status is DraftStatus.ACCEPTED else "ai.draft.reject"
        await record(
            self._session,
            self._actor,
            action,
            resource=("article", draft.article_id, title),
            after={"draft": str(draft.id), "task": str(draft.task_id), "fields": draft.changes},
            reason=reason,
            tenant_id=draft.tenant_id,
        )
        self._announce(draft)
        return draft

    def _announce(self, draft: AiDraft) -> None:
        signal(self._session, TOPIC, draft.id, draft.tenant_id)
        drop(self._session, *DRAFT_ANSWERS.tags)


def difference(before: str, after: str) -> list[str] | None:
    """The lines that differ, marked with - and +, with a line around them; None for texts too long to compare."""
    old, new = before.splitlines(), after.splitlines()
    if max(len(old), len(new)) > MOST_LINES:
        return None
    return [*unified_diff(old, new, n=1, lineterm="")][2:]
