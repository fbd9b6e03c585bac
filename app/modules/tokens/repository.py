"""Queries on the credentials of programs."""

from typing import TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, not_, or_, select

from app.modules.tokens.models import Credential

C = TypeVar("C", bound=Credential)


def credentials(row: type[C], tenant_id: UUID, words: str | None = None, state: str | None = None) -> Select[tuple[C]]:
    """A tenant's, or those of a state whose name or visible beginning has `words` in it, whatever the case."""
    query = select(row).where(row.tenant_id == tenant_id)
    if words:
        query = query.where(
            or_(row.name.icontains(words, autoescape=True), row.prefix.startswith(words, autoescape=True))
        )
    return query.where(_is(row, state)) if state else query


def _is(row: type[Credential], state: str) -> ColumnElement[bool]:
    over = and_(row.expires_at.is_not(None), row.expires_at <= func.now())
    if state == "revoked":
        return row.revoked_at.is_not(None)
    return and_(row.revoked_at.is_(None), over if state == "expired" else or_(row.expires_at.is_(None), not_(over)))
