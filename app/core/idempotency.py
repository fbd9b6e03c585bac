"""`Idempotency-Key` on POST: the answer is kept with the change, so a repeat gets it and changes nothing.

The key is locked for the transaction; the row commits with the change, so a failed request leaves none.
"""

import hashlib
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from litestar import Request
from sqlalchemy import delete, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database import scope_of
from app.core.errors import Conflict, Invalid, Problem
from app.core.models import Base
from app.core.policy import Actor

HEADER = "idempotency-key"
KEPT = timedelta(hours=24)
MAX_KEY = 200


class IdempotencyKey(Base):
    """One answered POST: by tenant, caller, route and key."""

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    caller: Mapped[str] = mapped_column(primary_key=True)
    route: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    body_hash: Mapped[bytes]
    status: Mapped[int]
    location: Mapped[str | None]
    etag: Mapped[str | None]
    media_type: Mapped[str | None]
    answer: Mapped[bytes | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Replayed(Problem):
    """Not an error: the answer was given before, and is given again."""

    def __init__(self, row: IdempotencyKey) -> None:
        super().__init__()
        self.row = row


class Once:
    """One POST under its key: `begin` before the handler, `finish` with its answer."""

    def __init__(self, request: Request[Any, Any, Any], actor: Actor, body: bytes) -> None:
        self._place = {
            "caller": f"{actor.kind}:{actor.id or actor.label}",
            "route": f"{request.method} {request.scope['path']}",
            "key": request.headers[HEADER],
        }
        asked = [request.scope["query_string"], request.headers.get("content-type", "").encode(), body]
        self._hash = hashlib.sha256(b"\0".join(asked)).digest()
        self._secret = bool(request.route_handler.opt.get("secret_answer"))
        if not 0 < len(self._place["key"]) <= MAX_KEY:
            raise Invalid.field("Idempotency-Key", f"must have 1 to {MAX_KEY} characters")

    async def begin(self, session: AsyncSession) -> None:
        """
        Raises:
            Replayed: it was answered before. Conflict: it is running now, or its answer is not kept.
            Invalid (`idempotency_key_reused`): the same key came with another body.
        """
        lock = "SELECT pg_try_advisory_xact_lock(hashtextextended(:place, 0))"
        place = "\0".join([str(scope_of(session).tenant_id), *self._place.values()])
        if not (await session.execute(text(lock), {"place": place.replace("\0", "\n")})).scalar_one():
            raise Conflict("A request with this Idempotency-Key is still running", code="idempotency_key_in_use")
        row = await session.scalar(select(IdempotencyKey).filter_by(**self._place))
        if row is None:
            return
        if row.created_at < datetime.now(row.created_at.tzinfo) - KEPT:
            await session.execute(delete(IdempotencyKey).filter_by(**self._place))
            return
        if row.body_hash != self._hash:
            raise Invalid("This Idempotency-Key came before with another body", code="idempotency_key_reused")
        if row.answer is None:
            headers = {"Location": row.location} if row.location else {}
            raise Conflict(
                "This was done before, and what it showed is not shown again",
                code="secret_already_shown",
                headers=headers,
            )
        raise Replayed(row)

    def finish(self, session: AsyncSession, status: int, headers: dict[str, str], body: bytes | None) -> None:
        """
        Args:
            body: what a repeat gets; None for what may not be shown a second time.
        """
        session.add(
            IdempotencyKey(
                tenant_id=scope_of(session).tenant_id,
                **self._place,
                body_hash=self._hash,
                status=status,
                location=headers.get("location"),
                etag=headers.get("etag"),
                media_type=headers.get("content-type"),
                answer=None if self._secret else body,
            )
        )
