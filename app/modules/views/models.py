"""Saved views: a list's filters under a name, for the person who saved them."""

from uuid import UUID

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.core.ids import new_id
from app.core.models import Row


class SavedView(Row):
    """`page` is the list's path under the dashboard's prefix, `query` its parameters as an address has them."""

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id, sort_order=-10)
    tenant_id: Mapped[UUID] = mapped_column(sort_order=-9)
    owner: Mapped[str]
    """Who saved it: `user:ID`, `token:ID`."""
    page: Mapped[str]
    name: Mapped[str]
    query: Mapped[str]

    __table_args__ = (UniqueConstraint("tenant_id", "owner", "page", "name", name="uq_saved_view_name"),)
