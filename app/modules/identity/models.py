"""The front door's own rows: the first owner's link, and who failed to come in how often."""

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from app.core.models import Base, Row


class OwnerLink(Row):
    """A link that makes the first owner, once."""

    token_hash: Mapped[bytes] = mapped_column(unique=True)
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class SignInCounter(Base):
    """Failed sign-ins from one address: for one account, and under the account `*` for all of them.

    Under the address `*` are those of one account from all browsers and addresses that it does not know.
    """

    address: Mapped[str] = mapped_column(primary_key=True)
    account: Mapped[str] = mapped_column(primary_key=True)
    failures: Mapped[int]
    until: Mapped[datetime] = mapped_column(index=True)
    """When counting starts anew."""
