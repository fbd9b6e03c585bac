"""Categories and tags: what articles are sorted under."""

from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.live import Topic
from app.core.policy import Actor
from app.core.templating import NavigationItem
from app.module import Module
from app.modules.taxonomy import permissions
from app.modules.taxonomy.controllers import (
    CategoryController,
    OwnerCategoryController,
    OwnerTagController,
    TagController,
)
from app.modules.taxonomy.pages import CategoryPages, TagPages
from app.modules.taxonomy.schemas import TAXONOMY_ANSWERS
from app.modules.taxonomy.service import TOPIC, TaxonomyService


def provide_taxonomy(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> TaxonomyService:
    return TaxonomyService(session, actor)


taxonomy = Module(
    name="taxonomy",
    api=[TagController, CategoryController],
    owner_api=[OwnerTagController, OwnerCategoryController],
    pages=[TagPages, CategoryPages],
    member_pages=[TagPages, CategoryPages],
    providers={"taxonomy": provide_taxonomy},
    permissions=permissions.ALL,
    caches=[TAXONOMY_ANSWERS],
    topics=[Topic(TOPIC, permissions.READ)],
    navigation=[
        NavigationItem("Content", "Categories", "/categories", "category", permissions.READ, 32),
        NavigationItem("Content", "Tags", "/tags", "tag", permissions.READ, 32),
    ],
    links={"tag": ("/tags/{id}", permissions.READ), "category": ("/categories/{id}", permissions.READ)},
)
