"""Drafts: what AI proposes to change in articles, for people to accept or reject."""

from app.core.live import Topic
from app.core.signs import SignSource
from app.core.templating import NavigationItem
from app.module import Module
from app.modules.drafts import permissions
from app.modules.drafts.controllers import (
    DraftActs,
    DraftController,
    OwnerDraftController,
    provide_drafts,
    provide_filter,
)
from app.modules.drafts.pages import DraftPages
from app.modules.drafts.repository import signs
from app.modules.drafts.schemas import DRAFT_ANSWERS
from app.modules.drafts.service import TOPIC

drafts = Module(
    name="drafts",
    api=[DraftController, DraftActs],
    owner_api=[OwnerDraftController, DraftActs],
    pages=[DraftPages],
    member_pages=[DraftPages],
    providers={"drafts": provide_drafts, "wanted": provide_filter},
    permissions=permissions.ALL,
    caches=[DRAFT_ANSWERS],
    topics=[Topic(TOPIC, permissions.READ)],
    signs=[SignSource(signs, permissions.READ, TOPIC, plane=None)],
    navigation=[NavigationItem("AI", "Drafts", "/ai/drafts", "edit", permissions.READ, 42)],
)
