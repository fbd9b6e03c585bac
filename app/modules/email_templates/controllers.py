"""`/api/v1/email-templates`, for tenants' programs, and `/api/owner/email-templates`."""

from uuid import UUID

from litestar import Controller, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from app.core.database import Plane
from app.core.etag import IfMatch, etag, versions
from app.core.paging import Pager
from app.core.policy import Actor
from app.modules.email_templates.models import EmailTemplate, EmailTemplateVersion
from app.modules.email_templates.permissions import READ, WRITE
from app.modules.email_templates.schemas import (
    EmailPreview,
    EmailTemplateCreate,
    EmailTemplatePage,
    EmailTemplateRead,
    EmailTemplateVersionCreate,
    EmailTemplateVersionList,
    EmailTemplateVersionRead,
    item,
    read,
    read_version,
)
from app.modules.email_templates.service import SORTS, EmailTemplates

ADDRESS, OWNER_ADDRESS = "/api/v1/email-templates", "/api/owner/email-templates"


class OwnerEmailTemplateController(Controller):
    """What all callers do alike; a template is written for a tenant by its own programs and people."""

    path = "/email-templates"

    @get("/", permission=READ, sorts=SORTS)
    async def index(
        self,
        templates: NamedDependency[EmailTemplates],
        pager: NamedDependency[Pager],
        q: FromQuery[str | None] = None,
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
    ) -> EmailTemplatePage:
        """List mail templates, newest first. `q` is a part of the name."""
        page = (await templates.search(pager, text=q, limit=limit, cursor=cursor)).map(item)
        return EmailTemplatePage(items=page.items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)

    @get("/{template_id:uuid}", permission=READ)
    async def show(
        self, templates: NamedDependency[EmailTemplates], template_id: FromPath[UUID]
    ) -> Response[EmailTemplateRead]:
        """Read a mail template with its latest version."""
        return _answer(*await templates.get(template_id))

    @get("/{template_id:uuid}/versions", permission=READ)
    async def versions(
        self, templates: NamedDependency[EmailTemplates], template_id: FromPath[UUID]
    ) -> EmailTemplateVersionList:
        """List the versions of a mail template, newest first: the last hundred."""
        return EmailTemplateVersionList(items=[read_version(row) for row in await templates.versions(template_id)])

    @get("/{template_id:uuid}/versions/{number:int}", permission=READ)
    async def version(
        self, templates: NamedDependency[EmailTemplates], template_id: FromPath[UUID], number: FromPath[int]
    ) -> EmailTemplateVersionRead:
        """Read one version of a mail template."""
        return read_version(await templates.version(template_id, number))

    @get("/{template_id:uuid}/versions/{number:int}/preview", permission=READ)
    async def preview(
        self, templates: NamedDependency[EmailTemplates], template_id: FromPath[UUID], number: FromPath[int]
    ) -> EmailPreview:
        """Read what a version says with the samples of its variables."""
        said = await templates.preview(await templates.version(template_id, number))
        return EmailPreview(subject=said.subject, text=said.text, html=said.html)

    @post("/{template_id:uuid}/versions", permission=WRITE, audit="email.template.revise")
    async def revise(
        self,
        templates: NamedDependency[EmailTemplates],
        template_id: FromPath[UUID],
        data: JSONBody[EmailTemplateVersionCreate],
        actor: NamedDependency[Actor],
        if_match: IfMatch = None,
    ) -> Response[EmailTemplateRead]:
        """Write the version of a mail template that is sent from now on; one that says the same is not written."""
        written = await templates.revise(template_id, data, expected=versions(if_match))
        return _made(OWNER_ADDRESS if actor.plane is Plane.PLATFORM else ADDRESS, *written)

    @delete("/{template_id:uuid}", permission=WRITE, audit="email.template.delete")
    async def discard(
        self, templates: NamedDependency[EmailTemplates], template_id: FromPath[UUID], if_match: IfMatch = None
    ) -> None:
        """Delete a mail template. Mails that were written with it keep their version."""
        await templates.delete(template_id, expected=versions(if_match))


class EmailTemplateController(OwnerEmailTemplateController):
    """The templates of the caller's tenant."""

    @post("/", permission=WRITE, audit="email.template.create")
    async def create(
        self, templates: NamedDependency[EmailTemplates], data: JSONBody[EmailTemplateCreate]
    ) -> Response[EmailTemplateRead]:
        """Write a mail template and its first version. Its samples, and each text, have to fit."""
        return _made(ADDRESS, *await templates.create(data))


def _answer(template: EmailTemplate, version: EmailTemplateVersion) -> Response[EmailTemplateRead]:
    return Response(read(template, version), headers=etag(template.version))


def _made(address: str, template: EmailTemplate, version: EmailTemplateVersion) -> Response[EmailTemplateRead]:
    headers = etag(template.version) | {"Location": f"{address}/{template.id}"}
    return Response(read(template, version), status_code=201, headers=headers)
