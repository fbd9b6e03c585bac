"""Proposals on the wire."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, Raw, UnsetType, convert

from app.core.wire import Incoming, Outgoing
from app.modules.drafts.models import AiDraft, DraftStatus
from app.redis.cached import Cached

DRAFT_ANSWERS = Cached("owner", "drafts", "answers", Raw, 30, ("drafts",), "AI's proposals, over the API.")
MAX_REASON = 500


class Rejection(Incoming):
    """Why a proposal is rejected, for whoever reads it later."""

    reason: Annotated[str, Meta(max_length=MAX_REASON)] | None = None


class Fields(Outgoing):
    """Values of an article's fields; only those that a proposal is about."""

    title: str | UnsetType = UNSET
    body: str | UnsetType = UNSET
    slug: str | UnsetType = UNSET


class DraftItem(Outgoing):
    """A proposal in a list, without the texts. `changes` names the fields."""

    id: UUID
    article_id: UUID
    task_id: UUID
    kind: str
    provider: str
    base_version: int
    changes: list[str]
    note: str
    status: DraftStatus
    decided_by: str | None
    decided_at: datetime | None
    reason: str | None
    created_at: datetime
    version: int


class DraftRead(DraftItem):
    """One proposal: `patch` are the new values, `before` those that the article had when it was read."""

    before: Fields
    patch: Fields


class DraftOwned(DraftItem):
    """One proposal in the owner's list."""

    tenant_id: UUID
    run_id: UUID


class DraftPage(Outgoing):
    """A page of proposals, newest first."""

    items: Sequence[DraftItem]
    next_cursor: str | None
    prev_cursor: str | None


class DraftOwnedPage(Outgoing):
    """A page of all tenants' proposals, newest first."""

    items: Sequence[DraftOwned]
    next_cursor: str | None
    prev_cursor: str | None


def item(row: AiDraft) -> DraftItem:
    return convert(row, DraftItem, from_attributes=True)


def owned(row: AiDraft) -> DraftOwned:
    return convert(row, DraftOwned, from_attributes=True)


def read(row: AiDraft) -> DraftRead:
    return convert(row, DraftRead, from_attributes=True)
