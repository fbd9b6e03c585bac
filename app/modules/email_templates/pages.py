"""`/email-templates` in the dashboards: what tenants' mails say."""

from typing import Any
from uuid import UUID

from litestar import Controller, Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, URLEncodedBody
from litestar.response import Template
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.paging import Pager
from app.core.templating import prefix_of, render, told
from app.modules.audit.service import tenant_names
from app.modules.email_templates.models import EmailTemplateVersion
from app.modules.email_templates.permissions import READ, WRITE
from app.modules.email_templates.schemas import EmailTemplateForm, EmailTemplateVersionCreate, as_text
from app.modules.email_templates.service import SORTS, EmailTemplates, without_pictures


class Views:
    """What this module shows: each a whole page, or for HTMX the fragment that an act changed."""

    def __init__(
        self, request: Request[Any, Any, Any], session: AsyncSession, templates: EmailTemplates, pager: Pager
    ) -> None:
        self.templates = templates
        self._request, self._session, self._pager = request, session, pager
        self._path = f"{prefix_of(request)}/email-templates"

    async def index(self, text: str | None = None, cursor: str | None = None) -> Template:
        page = await self.templates.search(self._pager, text=text, cursor=cursor)
        context = {
            "path": self._path,
            "page": page,
            "cursor": cursor,
            "params": ({"q": text} if text else {}) | self._pager.order,
            "tenants": await tenant_names(self._session, {row.tenant_id for row in page.items}),
        }
        return render(self._request, "email_templates/index.html", context, fragment="email_templates/_list.html")

    async def show(self, template_id: UUID, number: int | None, fragment: str) -> Template:
        template, latest = await self.templates.get(template_id)
        version = latest if number is None else await self.templates.version(template_id, number)
        context = {
            "path": self._path,
            "template": template,
            "shown": version,
            "versions": await self.templates.versions(template_id),
            "variables": as_text(version.variables),
            "tenant": (await tenant_names(self._session, {template.tenant_id})).get(template.tenant_id),
            **await self._said(version),
        }
        return render(self._request, "email_templates/show.html", context, fragment=f"email_templates/{fragment}.html")

    async def preview(self, shown: EmailTemplateVersionCreate) -> Template:
        page = "email_templates/_preview.html"
        return render(self._request, page, await self._said(shown), fragment=page)

    async def _said(self, shown: EmailTemplateVersion | EmailTemplateVersionCreate) -> dict[str, Any]:
        said = await self.templates.preview(shown)
        # The content security policy loads no picture from elsewhere.
        return {"said": said, "html": without_pictures(said.html)}


class EmailTemplatePages(Controller):
    path = "/email-templates"

    @get("/", permission=READ, sorts=SORTS)
    async def index(
        self, views: NamedDependency[Views], q: FromQuery[str | None] = None, cursor: FromQuery[str | None] = None
    ) -> Template:
        return await views.index(q, cursor)

    @get("/{template_id:uuid}", permission=READ)
    async def show(
        self, views: NamedDependency[Views], template_id: FromPath[UUID], number: FromQuery[int | None] = None
    ) -> Template:
        return await views.show(template_id, number, "_drawer")

    @post("/{template_id:uuid}/versions", permission=WRITE, audit="email.template.revise", status_code=200)
    async def revise(
        self, views: NamedDependency[Views], template_id: FromPath[UUID], data: URLEncodedBody[EmailTemplateForm]
    ) -> Template:
        expected = None if data.version is None else {data.version}
        _, version = await views.templates.revise(template_id, data.change(), expected=expected)
        return told(await views.show(template_id, None, "_body"), f"Version {version.number} is sent from now on.")

    @post("/preview", permission=WRITE, audit="email.template.preview", status_code=200)
    async def preview(self, views: NamedDependency[Views], data: URLEncodedBody[EmailTemplateForm]) -> Template:
        return await views.preview(data.change())

    @post("/{template_id:uuid}/removal", permission=WRITE, audit="email.template.delete", status_code=200)
    async def remove(self, views: NamedDependency[Views], template_id: FromPath[UUID]) -> Template:
        await views.templates.delete(template_id)
        return told(await views.index(), "The template is deleted. Mails that were written with it stay.")


class MemberEmailTemplatePages(EmailTemplatePages):
    """The templates of the tenant that the reader belongs to."""

    @post("/", permission=WRITE, audit="email.template.create", status_code=200)
    async def create(self, views: NamedDependency[Views], data: URLEncodedBody[EmailTemplateForm]) -> Template:
        template, _ = await views.templates.create(data.new())
        return told(await views.index(), f"The template {template.name} is written.")
