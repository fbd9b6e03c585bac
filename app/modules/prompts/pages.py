"""`/dashboard/owner/ai/templates`: what models are told, and the form that writes another version."""

from typing import Any

from litestar import Controller, Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, URLEncodedBody
from litestar.response import Template
from msgspec import ValidationError, convert

from app.core.errors import Invalid
from app.core.templating import PREFIX, render, told
from app.modules.prompts.permissions import READ, WRITE
from app.modules.prompts.schemas import TemplateChange, TemplateForm, TemplateRead, TemplateUse
from app.modules.prompts.service import TemplateService

AnyRequest = Request[Any, Any, Any]
PATH = f"{PREFIX}/ai/templates"


class TemplatePages(Controller):
    path = "/ai/templates"

    @get("/", permission=READ)
    async def index(self, request: AnyRequest, templates: NamedDependency[TemplateService]) -> Template:
        context = {"path": PATH, "templates": await templates.all()}
        return render(request, "prompts/index.html", context, fragment="prompts/_list.html")

    @get("/{name:str}", permission=READ)
    async def show(
        self,
        request: AnyRequest,
        name: FromPath[str],
        templates: NamedDependency[TemplateService],
        part: FromQuery[bool] = False,
    ) -> Template:
        """The drawer, or with `part` what in it keeps itself current."""
        return _shown(request, await templates.get(name), "_versions" if part else "_drawer")

    @post("/{name:str}", permission=WRITE, audit="owner.ai_template.change", status_code=200)
    async def change(
        self,
        request: AnyRequest,
        name: FromPath[str],
        templates: NamedDependency[TemplateService],
        data: URLEncodedBody[TemplateForm],
    ) -> Template:
        template = await templates.change(name, _typed(data))
        newest = template.versions[0].number
        return told(_shown(request, template, "_body"), f"Version {newest} of {name} is saved.")

    @post("/{name:str}/current", permission=WRITE, audit="owner.ai_template.use", status_code=200)
    async def use(
        self,
        request: AnyRequest,
        name: FromPath[str],
        templates: NamedDependency[TemplateService],
        data: URLEncodedBody[TemplateUse],
    ) -> Template:
        template = await templates.use(name, data.number)
        return told(_shown(request, template, "_body"), f"Models are told version {data.number} of {name}.")


def _typed(form: TemplateForm) -> TemplateChange:
    """
    Raises:
        Invalid: naming the field.
    """
    try:
        warmth = float(form.temperature) if form.temperature.strip() else None
    except ValueError:
        raise Invalid.field("temperature", "must be a number from 0 to 2") from None
    given = {"text": form.text.replace("\r\n", "\n"), "message": form.message, "use": bool(form.use)}
    try:
        return convert(given | {"temperature": warmth}, TemplateChange)
    except ValidationError as error:
        raise Invalid.misfit(error, "text") from None


def _shown(request: AnyRequest, template: TemplateRead, fragment: str) -> Template:
    context = {"path": PATH, "template": template}
    return render(request, "prompts/show.html", context, fragment=f"prompts/{fragment}.html")
