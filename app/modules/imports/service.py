"""The rules of imports: a file becomes drafts, each of its articles once."""

from collections.abc import Sequence
from uuid import UUID

from msgspec import ValidationError, convert
from slugify import slugify
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Plane, scope_of
from app.core.errors import Conflict, FieldError, Invalid, NotFound
from app.core.ids import new_id
from app.core.live import signal
from app.core.locks import hold
from app.core.paging import Page, Pager, Sorts
from app.core.policy import Actor
from app.core.request import correlation_id
from app.core.uploads import plain_name
from app.modules.articles.service import MAX_SLUG, MAX_TITLE, ArticleCreate, ArticleService
from app.modules.audit.service import record
from app.modules.imports import repository
from app.modules.imports.client import Entry, format_of
from app.modules.imports.jobs import ImportArticles
from app.modules.imports.models import ImportItem, ImportRun
from app.modules.imports.models import Outcome as Outcome
from app.modules.imports.models import Status as Status
from app.modules.imports.repository import ImportFilter
from app.modules.imports.schemas import MAX_NAME
from app.modules.taxonomy.service import TaxonomyService
from app.queues.enqueue import enqueue

TOPIC = "imports"
MOST_UNFINISHED = 3
SORTS = Sorts("-createdAt", {"createdAt": ImportRun.id, "fileName": ImportRun.file_name})
ITEM_SORTS = Sorts("-n", {"n": ImportItem.id, "title": ImportItem.title})


class ImportService:
    """The imports that the session's transaction may see; a caller tied to a workspace finds only that one's."""

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor

    async def start(self, file_name: str, data: bytes, *, dry_run: bool = False) -> ImportRun:
        """Have a file read in the background. A dry run tells what would become of each article, and makes none.

        Raises:
            Invalid (`file`): it is neither a ZIP archive nor XML. Conflict (`too_many_imports`). QuotaExceeded.
        """
        found = format_of(data)
        if found is None:
            raise Invalid.field("file", "must be a ZIP archive of Markdown files, or what WordPress exports as XML")
        tenant, id_ = scope_of(self._session).tenant_id, new_id()
        await hold(self._session, f"imports {tenant}")
        if await repository.unfinished(self._session, tenant) >= MOST_UNFINISHED:
            raise Conflict(f"{MOST_UNFINISHED} imports are unfinished: wait for one", code="too_many_imports")
        run = ImportRun(
            id=id_,
            tenant_id=tenant,
            workspace_id=self._actor.workspace_id,
            format=found,
            file_name=plain_name(file_name, MAX_NAME, "import"),
            byte_count=len(data),
            dry_run=dry_run,
            status=Status.QUEUED,
            created=0,
            skipped=0,
            failed=0,
            data=data,
            job_id=await enqueue(self._session, ImportArticles(import_id=id_)),
            correlation_id=correlation_id(),
            actor_kind=self._actor.kind,
            actor_id=self._actor.id,
            actor_label=self._actor.label,
        )
        self._session.add(run)
        await self._session.flush()
        after = {"fileName": run.file_name, "bytes": run.byte_count, "dryRun": dry_run}
        await record(self._session, self._actor, "import.start", resource=("import", id_, run.file_name), after=after)
        signal(self._session, TOPIC, id_, tenant)
        return run

    async def get(self, import_id: UUID) -> ImportRun:
        """
        Raises:
            NotFound: there is none, or it is not the caller's.
        """
        query = repository.runs(ImportFilter(), self._actor.workspace_id).where(ImportRun.id == import_id)
        run = await self._session.scalar(query)
        if run is None:
            raise NotFound("There is no import with this id")
        return run

    async def search(
        self, pager: Pager, wanted: ImportFilter, *, limit: int = 25, cursor: str | None = None
    ) -> Page[ImportRun]:
        """Newest first."""
        own = self._actor.workspace_id
        of = f"imports {scope_of(self._session).tenant_id} {own} {wanted}"
        query = repository.runs(wanted, own)
        return await pager.page(self._session, query, key=ImportRun.id, of=of, limit=limit, cursor=cursor, sorts=SORTS)

    async def items(
        self,
        pager: Pager,
        import_id: UUID,
        outcome: Outcome | None = None,
        *,
        limit: int = 25,
        cursor: str | None = None,
    ) -> Page[ImportItem]:
        """What became of the articles of a file, the last first.

        Raises:
            NotFound.
        """
        run = await self.get(import_id)
        of = f"import {run.id} {outcome}"
        query = repository.items(run.id, outcome)
        key = ImportItem.id
        return await pager.page(self._session, query, key=key, of=of, limit=limit, cursor=cursor, sorts=ITEM_SORTS)

    async def all_items(self, import_id: UUID, outcome: Outcome) -> list[ImportItem]:
        """All articles of which this became, in the order of the file; a file has no more than 2,000.

        Raises:
            NotFound.
        """
        run = await self.get(import_id)
        return list(await self._session.scalars(repository.items(run.id, outcome).order_by(ImportItem.n)))


class Importing:
    """One import while its job runs, in a transaction of its tenant."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def begin(self, import_id: UUID) -> tuple[ImportRun, bytes] | None:
        """The import with its file; None where there is nothing left to do."""
        run = await self._session.get(ImportRun, import_id, with_for_update=True)
        data = await self._session.scalar(select(ImportRun.data).where(ImportRun.id == import_id))
        if run is None or data is None:
            return None
        run.status, run.error, run.finished_at = Status.RUNNING, None, None
        signal(self._session, TOPIC, run.id, run.tenant_id)
        return run, data

    async def create(self, run: ImportRun, entry: Entry) -> tuple[Outcome, str | None, UUID | None]:
        """Make the draft, where there is none of this source yet: what became of it, why, and the article's id.

        Raises:
            Problem: why it cannot be.
        """
        before = await repository.held(self._session, run.tenant_id, source_of(run, entry))
        if before is not None:
            changed = "" if before.digest == entry.digest else ", and differs from it now; articles are not overwritten"
            return Outcome.SKIPPED, f"was imported before{changed}", before.article_id
        actor = actor_of(run)
        taxonomy = TaxonomyService(self._session, actor)
        slugs = [await taxonomy.category_of(run.tenant_id, names) for names in entry.categories]
        articles = ArticleService(self._session, actor)
        article = await articles.create(article_of(entry, slugs))
        return Outcome.CREATED, None, article.id

    async def note(
        self, run: ImportRun, n: int, entry: Entry, outcome: Outcome, reason: str | None, article_id: UUID | None
    ) -> None:
        """Put what became of an article into the report."""
        self._session.add(
            ImportItem(
                tenant_id=run.tenant_id,
                import_id=run.id,
                n=n,
                source=source_of(run, entry),
                title=entry.title[:MAX_TITLE],
                dated=entry.dated,
                tags=list(entry.tags),
                digest=entry.digest,
                outcome=outcome,
                reason=reason,
                article_id=article_id,
            )
        )
        await repository.count(self._session, run.id, outcome)
        signal(self._session, TOPIC, run.id, run.tenant_id)


def source_of(run: ImportRun, entry: Entry) -> str:
    return f"{run.format}:{entry.source}"


def actor_of(run: ImportRun) -> Actor:
    """Who started it, as far as the log of its articles has to know."""
    kind, tenant = run.actor_kind, run.tenant_id
    return Actor(kind, run.actor_id, run.actor_label, frozenset(), Plane.TENANT, tenant, run.workspace_id)  # type: ignore[arg-type]


def article_of(entry: Entry, categories: Sequence[str]) -> ArticleCreate:
    """
    Args:
        categories: their slugs.

    Raises:
        Invalid: naming the field.
    """
    stem = entry.source.rpartition("/")[2].rpartition(".")[0]
    values = {
        "title": " ".join((entry.title or stem).split())[:MAX_TITLE],
        "body": entry.body,
        "slug": slugify(entry.slug, allow_unicode=True, max_length=MAX_SLUG) or None if entry.slug else None,
        "language": entry.language or "en",
        "tags": list(entry.tags),
        "categories": list(categories),
    }
    try:
        return convert(values, ArticleCreate)
    except ValidationError as error:
        found = FieldError.of_misfit(error, "body")
        raise Invalid.field(found.field, found.message[:1].lower() + found.message[1:]) from None
