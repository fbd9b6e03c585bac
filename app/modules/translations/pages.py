"""`/articles/{id}/translations` in the dashboards; the owner's stand below the tenant."""

from typing import Any
from uuid import UUID

from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, URLEncodedBody
from litestar.response import Template

from app.core.templating import gone_to, home_of, prefix_of, render, told
from app.modules.articles.service import READ, WRITE
from app.modules.translations.schemas import TranslationCreate, TranslationForm
from app.modules.translations.service import TranslationService

AnyRequest = Request[Any, Any, Any]


class TranslationPages(Controller):
    path = "/articles/{article_id:uuid}/translations"

    @get("/", permission=READ)
    async def index(
        self, request: AnyRequest, article_id: FromPath[UUID], translations: NamedDependency[TranslationService]
    ) -> Template:
        return await _list(request, translations, article_id)

    @post("/", permission=WRITE, audit="article.translate", status_code=200)
    async def create(
        self,
        request: AnyRequest,
        article_id: FromPath[UUID],
        translations: NamedDependency[TranslationService],
        data: URLEncodedBody[TranslationForm],
    ) -> Response[bytes]:
        made = await translations.create(article_id, TranslationCreate(language=data.language))
        return gone_to(f"{home_of(request)}/articles/{made.article_id}/edit")

    @post("/{language:str}/confirmation", permission=WRITE, audit="article.translation_confirm", status_code=200)
    async def confirm(
        self,
        request: AnyRequest,
        article_id: FromPath[UUID],
        language: FromPath[str],
        translations: NamedDependency[TranslationService],
    ) -> Template:
        await translations.confirm(article_id, language)
        answer = await _list(request, translations, article_id)
        return told(answer, f"The translation to {language} agrees with the original.")


class TenantTranslationPages(TranslationPages):
    """The same for the owner, in any tenant."""

    path = "/tenants/{tenant_id:uuid}/articles/{article_id:uuid}/translations"
    opt = {"in_tenant": True}  # noqa: RUF012


async def _list(request: AnyRequest, translations: TranslationService, article_id: UUID) -> Template:
    source, items = await translations.all(article_id)
    context = {
        "source": source,
        "items": items,
        "list": f"{prefix_of(request)}/articles",
        "path": f"{home_of(request)}/articles/{source.id}/translations",
    }
    return render(request, "translations/index.html", context, fragment="translations/_list.html")
