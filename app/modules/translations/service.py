"""The rules of translations: articles of their own, that know what they translate and when it moved on."""

from uuid import UUID

from sqlalchemy import delete, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer

from app.core.errors import Conflict, Invalid, NotFound
from app.core.live import signal
from app.core.policy import Actor
from app.modules.articles.events import ArticleDeleted
from app.modules.articles.service import TOPIC, WRITE, Article, ArticleCreate, ArticleService, Status
from app.modules.audit.service import record
from app.modules.locales.service import must_have
from app.modules.taxonomy.service import Terms
from app.modules.translations.models import Translation
from app.modules.translations.schemas import Origin, TranslationCreate, TranslationRead

MOST = 100


class TranslationService:
    """The translations of articles that the caller may treat."""

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor
        self._articles = ArticleService(session, actor)

    async def all(self, article_id: UUID) -> tuple[Article, list[TranslationRead]]:
        """The original, be the article asked for that or a translation of it, and what translates it, by language.

        Raises:
            NotFound: there is no such article.
        """
        source = await self.source(article_id)
        query = (
            select(Translation, Article)
            .join(Article, Article.id == Translation.article_id)
            .where(Translation.source_id == source.id)
            .options(defer(Article.body_markdown), defer(Article.body_html))
            .order_by(Translation.language)
            .limit(MOST)
        )
        return source, [_read(source, row, article) for row, article in (await self._session.execute(query)).all()]

    async def source(self, article_id: UUID) -> Article:
        """
        Raises:
            NotFound: there is no such article, or its original is not the caller's.
        """
        article = await self._articles.get(article_id)
        above = select(Translation.source_id).where(Translation.article_id == article.id)
        original: UUID | None = await self._session.scalar(above)
        return article if original is None else await self._articles.get(original)

    async def create(self, article_id: UUID, new: TranslationCreate) -> TranslationRead:
        """Write the draft of a translation, under the tags and categories that the original stands under now.

        Raises:
            NotFound, QuotaExceeded; Invalid: naming the field. Conflict (`already_translated`; `slug_taken`).
        """
        source = await self.source(article_id)
        await self._articles.get(source.id, WRITE)
        taken = select(Translation.id).where(Translation.source_id == source.id, Translation.language == new.language)
        if new.language == source.language:
            raise Invalid.field("language", "is that of the original")
        await must_have(self._session, source.tenant_id, new.language)
        if await self._session.scalar(taken) is not None:
            raise Conflict(f"There is a translation to {new.language} already", code="already_translated")
        filed = (await self._articles.filed([source])).get(source.id, Terms())
        article = await self._articles.create(
            ArticleCreate(
                title=new.title or source.title,
                body=source.body_markdown if new.body is None else new.body,
                slug=new.slug,
                language=new.language,
                workspace_id=source.workspace_id,
                tags=[term.name for term in filed.tags],
                categories=[term.slug for term in filed.categories],
            ),
            reason=f"Translation of version {_current(source)}",
        )
        row = Translation(
            tenant_id=source.tenant_id,
            source_id=source.id,
            article_id=article.id,
            language=new.language,
            source_version=_current(source),
            origin=new.origin,
        )
        self._session.add(row)
        await self._session.flush()
        await self._trace("article.translate", source, row)
        return _read(source, row, article)

    async def confirm(self, article_id: UUID, language: str) -> TranslationRead:
        """Say that a translation agrees with the original as it is now.

        Raises:
            NotFound: there is no such article or translation.
        """
        source = await self.source(article_id)
        query = select(Translation).where(Translation.source_id == source.id, Translation.language == language)
        row = await self._session.scalar(query.with_for_update())
        if row is None:
            raise NotFound(f"This article has no translation to {language}")
        article = await self._articles.get(row.article_id, WRITE)
        if row.source_version != _current(source):
            row.source_version = _current(source)
            await self._session.flush()
            await self._trace("article.translation_confirm", source, row)
        return _read(source, row, article)

    async def _trace(self, action: str, source: Article, row: Translation) -> None:
        after = {"language": row.language, "article": str(row.article_id), "sourceVersion": row.source_version}
        resource = ("article", source.id, source.title)
        await record(self._session, self._actor, action, resource=resource, after=after)
        signal(self._session, TOPIC, source.id, source.tenant_id)


async def forget(session: AsyncSession, fact: ArticleDeleted) -> None:
    """A deleted article translates nothing, and what translated it is an article like others."""
    gone = or_(Translation.source_id == fact.article_id, Translation.article_id == fact.article_id)
    await session.execute(delete(Translation).where(gone))


def _current(source: Article) -> int:
    """The version that its translations should say: what readers see, or the draft where they see nothing."""
    return source.published_version or source.draft_version


def _read(source: Article, row: Translation, article: Article) -> TranslationRead:
    origin: Origin = "ai" if row.origin == "ai" else "human"
    return TranslationRead(
        article_id=article.id,
        source_id=source.id,
        language=row.language,
        title=article.title,
        status=Status(article.status),
        published_version=article.published_version,
        source_version=row.source_version,
        stale=_current(source) > row.source_version,
        origin=origin,
    )
