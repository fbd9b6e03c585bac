"""Translations: what an article says in other languages, and which of them are behind it."""

from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.policy import Actor
from app.module import Module
from app.modules.articles.events import ArticleDeleted
from app.modules.translations.controllers import TenantTranslationController, TranslationController
from app.modules.translations.pages import TenantTranslationPages, TranslationPages
from app.modules.translations.service import TranslationService, forget


def provide_translations(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> TranslationService:
    return TranslationService(session, actor)


translations = Module(
    name="translations",
    api=[TranslationController],
    owner_api=[TenantTranslationController],
    pages=[TenantTranslationPages],
    member_pages=[TranslationPages],
    providers={"translations": provide_translations},
    subscribers=[(ArticleDeleted, forget)],
)
