"""`/api/v1/articles/{id}/translations`, for tenants' apps; the same below a tenant, for the owner."""

from typing import Any
from uuid import UUID

from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from app.modules.articles.service import READ, WRITE
from app.modules.translations.schemas import TranslationCreate, TranslationList, TranslationRead
from app.modules.translations.service import TranslationService


class TranslationController(Controller):
    path = "/articles/{article_id:uuid}/translations"

    @get("/", permission=READ)
    async def index(
        self, article_id: FromPath[UUID], translations: NamedDependency[TranslationService]
    ) -> TranslationList:
        """List the translations of an article by language; of a translation, those of its original."""
        _, items = await translations.all(article_id)
        return TranslationList(items=items)

    @post("/", permission=WRITE, audit="article.translate")
    async def create(
        self,
        request: Request[Any, Any, Any],
        article_id: FromPath[UUID],
        translations: NamedDependency[TranslationService],
        data: JSONBody[TranslationCreate],
    ) -> Response[TranslationRead]:
        """Write the draft of a translation: an article of its own, with versions, status and readers."""
        made = await translations.create(article_id, data)
        articles = request.url.path.partition(f"/{article_id}/")[0]
        return Response(made, status_code=201, headers={"Location": f"{articles}/{made.article_id}"})

    @post("/{language:str}/confirmation", permission=WRITE, audit="article.translation_confirm", status_code=200)
    async def confirm(
        self, article_id: FromPath[UUID], language: FromPath[str], translations: NamedDependency[TranslationService]
    ) -> TranslationRead:
        """Say that a translation agrees with the original as it is now."""
        return await translations.confirm(article_id, language)


class TenantTranslationController(TranslationController):
    """The same for the owner, in any tenant."""

    path = "/tenants/{tenant_id:uuid}/articles/{article_id:uuid}/translations"
    opt = {"in_tenant": True}  # noqa: RUF012
