"""Imports: a folder of Markdown, or an export of WordPress, becomes drafts, each article once, with a report."""

from app.core.live import Topic
from app.core.templating import NavigationItem
from app.core.trace import TraceSource
from app.module import About, Module
from app.modules.imports import permissions
from app.modules.imports.controllers import (
    ImportController,
    OwnerImportController,
    TenantImportController,
    provide_imports,
)
from app.modules.imports.jobs import ImportArticles
from app.modules.imports.pages import ImportPages, MemberImportPages, TenantImportActs
from app.modules.imports.processor import import_articles
from app.modules.imports.repository import about_jobs, steps
from app.modules.imports.service import TOPIC

imports = Module(
    name="imports",
    api=[ImportController],
    owner_api=[OwnerImportController, TenantImportController],
    pages=[ImportPages, TenantImportActs],
    member_pages=[MemberImportPages],
    providers={"imports": provide_imports},
    processors=[import_articles],
    permissions=permissions.ALL,
    topics=[Topic(TOPIC, permissions.READ)],
    navigation=[NavigationItem("Content", "Imports", "/imports", "stack-2", permissions.READ, 35)],
    traces=[TraceSource(steps, permissions.READ, TOPIC)],
    about=[About(ImportArticles.kind, about_jobs, permissions.READ)],
    links={"import": ("/imports/{id}", permissions.READ)},
)
