"""Queries on people."""

from uuid import UUID

from sqlalchemy import Select, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.locks import hold
from app.modules.people.models import User, UserConsent


def users(words: str | None = None, role: str | None = None, state: str | None = None) -> Select[tuple[User]]:
    """All of them, or those whose name or e-mail has `words` in it, whatever the case."""
    query = select(User)
    if words:
        query = query.where(
            or_(User.name.icontains(words, autoescape=True), User.email.icontains(words, autoescape=True))
        )
    if role:
        query = query.where(User.role == role)
    if state == "banned":
        query = query.where(User.disabled_at.is_not(None))
    elif state:
        has_password = User.password_hash.is_not(None) if state == "active" else User.password_hash.is_(None)
        query = query.where(User.disabled_at.is_(None), has_password)
    return query


def ids(words: str) -> Select[tuple[UUID]]:
    return users(words).with_only_columns(User.id)


async def other_owners(session: AsyncSession, than: UUID) -> int:
    """How many other owners can sign in. Nobody else can take one away until the transaction ends."""
    await hold(session, "teknav owners")
    query = select(func.count()).where(User.role == "owner", User.disabled_at.is_(None), User.id != than)
    return await session.scalar(query) or 0


def newest_consents(user_id: UUID) -> Select[tuple[UserConsent]]:
    query = select(UserConsent).where(UserConsent.user_id == user_id).distinct(UserConsent.purpose)
    return query.order_by(UserConsent.purpose, UserConsent.id.desc())
