"""`teknav article`, as far as it writes articles and hands them in."""

from typing import Any, BinaryIO
from uuid import UUID

import rich_click as click
from msgspec import to_builtins

from app.cli.articles import act_on, article_argument, in_articles, tenant_option
from app.cli.command import as_json, show
from app.cli.given import document, fitting, json_file

reason_option = click.option("--reason", help="Why, for those who read the log.")


@click.command("create")
@json_file
@tenant_option
@as_json
def create(file: BinaryIO, slug: str, as_json: bool) -> None:
    """Write a draft of what FILE says: {"title", "body", …}, as the API takes it; the body is Markdown."""
    from app.modules.articles.schemas import ArticleCreate

    new = document(file, ArticleCreate)
    found = act_on(slug, lambda articles: articles.create(new))
    show(as_json, found, text=f"“{found['title']}” is written: {found['id']}")


@click.command("change")
@article_argument
@json_file
@tenant_option
@as_json
def change(article_id: UUID, file: BinaryIO, slug: str, as_json: bool) -> None:
    """Write a new version with what FILE names, and maybe a reason; readers see what they saw."""
    from app.core.wire import reason_of
    from app.modules.articles.schemas import ArticleEdit

    edit = document(file, ArticleEdit)
    found = act_on(slug, lambda articles: articles.update(article_id, edit, reason=reason_of(edit.reason)))
    show(as_json, found, text=f"“{found['title']}” is at version {found['draftVersion']}.")


@click.command("submit")
@article_argument
@tenant_option
@as_json
def submit(article_id: UUID, slug: str, as_json: bool) -> None:
    """Hand the newest version in for review."""
    found = act_on(slug, lambda articles: articles.submit(article_id))
    show(as_json, found, text=f"“{found['title']}” waits for review.")


@click.command("withdraw")
@article_argument
@tenant_option
@as_json
def withdraw(article_id: UUID, slug: str, as_json: bool) -> None:
    """Take an article back from review."""
    found = act_on(slug, lambda articles: articles.withdraw(article_id))
    show(as_json, found, text=f"“{found['title']}” waits for review no more.")


@click.command("delete")
@article_argument
@tenant_option
@reason_option
@as_json
def delete(article_id: UUID, slug: str, reason: str | None, as_json: bool) -> None:
    """Take an article out of every list, and free its slug."""
    from app.core.wire import reason_of

    async def act(articles: Any, _: Any) -> str:
        title = (await articles.get(article_id)).title
        await articles.delete(article_id, reason=reason_of(reason))
        return str(title)

    title = in_articles(slug, act)
    show(as_json, {"id": str(article_id), "deleted": True}, text=f"“{title}” is deleted.")


@click.command("treat")
@click.argument("treatment", type=click.Choice(["publish", "unpublish", "delete"]))
@click.argument("ids", nargs=-1, required=True, type=click.UUID, metavar="ARTICLE...")
@tenant_option
@as_json
def treat(treatment: str, ids: tuple[UUID, ...], slug: str, as_json: bool) -> None:
    """Have one thing done with many articles, at most 500, by a job."""
    from app.modules.articles.schemas import BatchCreate

    batch = fitting({"treatment": treatment, "ids": ids}, BatchCreate)
    job_id = in_articles(slug, lambda articles, _: articles.treat(batch.treatment, batch.ids))
    show(as_json, to_builtins({"jobId": job_id}), text=f"The job {job_id} does it.")


WRITING = (create, change, submit, withdraw, delete, treat)
