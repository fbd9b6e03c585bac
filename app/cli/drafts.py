"""`teknav drafts` and `teknav reports`: what AI proposes for articles, and what was found in them."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import rich_click as click
from msgspec import to_builtins

from app.cli.command import Shown, as_json, asked, columns, cursor, limit, show, show_page, sort
from app.cli.transactions import asked_of, of_tenant

article = click.option("--article", type=click.UUID, help="Only those of this article.")


@click.group()
def drafts() -> None:
    """What AI proposes for articles."""


@drafts.command("list")
@click.option("--status", type=click.Choice(["proposed", "accepted", "rejected"]))
@of_tenant
@article
@sort
@limit
@cursor
@as_json
def drafts_list(
    status: str | None, tenant: str | None, article: UUID | None, limit: int, cursor: str | None, as_json: bool
) -> None:
    """List proposals, newest first."""
    from app.modules.drafts.schemas import DraftOwnedPage, owned
    from app.modules.drafts.service import DraftFilter, DraftService, DraftStatus

    async def find(service: DraftService, pager: Any, of: UUID | None) -> Any:
        wanted = DraftFilter(DraftStatus(status) if status else None, of, article)
        return await service.search(pager, wanted, limit=limit, cursor=cursor)

    found = asked_of(tenant, DraftService, find)
    page = DraftOwnedPage(
        items=[owned(row) for row in found.items], next_cursor=found.next_cursor, prev_cursor=found.prev_cursor
    )
    rows = [(one.id, one.status, one.kind, one.article_id, ", ".join(one.changes)) for one in page.items]
    show_page(as_json, page, ("draft", "status", "kind", "article", "changes"), rows)


@drafts.command("show")
@click.argument("draft", type=click.UUID)
@as_json
def drafts_show(draft: UUID, as_json: bool) -> None:
    """Show one proposal, with the values that it would give."""
    _draft(lambda service: service.get(draft), as_json)


@drafts.command("accept")
@click.argument("draft", type=click.UUID)
@as_json
def drafts_accept(draft: UUID, as_json: bool) -> None:
    """Change the article as proposed."""
    _draft(lambda service: service.accept(draft), as_json)


@drafts.command("reject")
@click.argument("draft", type=click.UUID)
@click.option("--reason", help="Why, for whoever reads it later.")
@as_json
def drafts_reject(draft: UUID, reason: str | None, as_json: bool) -> None:
    """Leave the article as it is."""
    _draft(lambda service: service.reject(draft, reason), as_json)


def _draft(act: Callable[[Any], Awaitable[Any]], as_json: bool) -> None:
    """Do something with one proposal, and print how it is then."""
    from app.modules.drafts.schemas import read
    from app.modules.drafts.service import DraftService

    async def run(service: Any, _: Any) -> Any:
        return read(await act(service))

    found = asked(DraftService, run)
    patch = "\n\n".join(f"{name}:\n{value}" for name, value in to_builtins(found.patch).items())
    show(as_json, to_builtins(found), text=f"{found.kind} of article {found.article_id} is {found.status}\n\n{patch}")


@click.group()
def reports() -> None:
    """What was found in articles, by rules and by models."""


@reports.command("list")
@click.option("--kind", type=click.Choice(["quality", "seo"]))
@of_tenant
@article
@sort
@limit
@cursor
@as_json
def reports_list(
    kind: str | None, tenant: str | None, article: UUID | None, limit: int, cursor: str | None, as_json: bool
) -> None:
    """List reports, newest first."""
    from app.modules.reports.schemas import ReportKind, ReportOwnedPage, owned
    from app.modules.reports.service import ReportFilter, ReportService

    async def find(service: ReportService, pager: Any, of: UUID | None) -> Any:
        wanted = ReportFilter(ReportKind(kind) if kind else None, of, article)
        return await service.search(pager, wanted, limit=limit, cursor=cursor)

    found = asked_of(tenant, ReportService, find)
    page = ReportOwnedPage(
        items=[owned(row) for row in found.items], next_cursor=found.next_cursor, prev_cursor=found.prev_cursor
    )
    rows = [(one.id, one.kind, one.score, one.article_id, len(one.findings)) for one in page.items]
    show_page(as_json, page, ("report", "kind", "score", "article", "findings"), rows)


@reports.command("show")
@click.argument("report", type=click.UUID)
@as_json
def reports_show(report: UUID, as_json: bool) -> None:
    """Show one report, with its findings."""
    from app.modules.reports.schemas import owned
    from app.modules.reports.service import ReportService

    async def run(service: Any, _: Any) -> Any:
        return owned(await service.get(report))

    found = asked(ReportService, run)
    rows = [(one.level, one.check, one.message, one.source) for one in found.findings]
    head = f"{found.kind} of article {found.article_id}, version {found.article_version}: {found.score} of 100"
    show(as_json, to_builtins(found), text=f"{head}\n\n{columns(('level', 'check', 'what', 'by'), rows)}")


SHOWN = Shown("AI, workflows, plugins", (drafts, reports), 20)
