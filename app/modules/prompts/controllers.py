"""`/api/owner/ai/templates`."""

from litestar import Controller, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.policy import Actor
from app.modules.prompts.permissions import READ, WRITE
from app.modules.prompts.schemas import TemplateChange, TemplateList, TemplateRead, TemplateUse
from app.modules.prompts.service import TemplateService


def provide_templates(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> TemplateService:
    return TemplateService(session, actor)


class TemplateController(Controller):
    path = "/ai/templates"

    @get("/", permission=READ)
    async def index(self, templates: NamedDependency[TemplateService]) -> TemplateList:
        """List what models are told for each kind of task, with all versions."""
        return TemplateList(items=await templates.all())

    @get("/{name:str}", permission=READ)
    async def show(self, name: FromPath[str], templates: NamedDependency[TemplateService]) -> TemplateRead:
        """Read what models are told for one kind of task."""
        return await templates.get(name)

    @post("/{name:str}/versions", permission=WRITE, audit="owner.ai_template.change")
    async def change(
        self, name: FromPath[str], templates: NamedDependency[TemplateService], data: JSONBody[TemplateChange]
    ) -> TemplateRead:
        """Write a new version, which models are told from now on unless `use` is false."""
        return await templates.change(name, data)

    @put("/{name:str}/current", permission=WRITE, audit="owner.ai_template.use")
    async def use(
        self, name: FromPath[str], templates: NamedDependency[TemplateService], data: JSONBody[TemplateUse]
    ) -> TemplateRead:
        """Choose the version that models are told; 0 is the code's own."""
        return await templates.use(name, data.number)
