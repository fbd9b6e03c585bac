"""`/api/v1/email-suppressions` and `/api/v1/email-preferences`; the owner reads both."""

from uuid import UUID

from litestar import Controller, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from app.core.paging import Pager
from app.modules.email_preferences.models import Reason
from app.modules.email_preferences.permissions import READ, WRITE
from app.modules.email_preferences.schemas import (
    PreferenceChange,
    PreferencePage,
    PreferenceRead,
    SuppressionCreate,
    SuppressionPage,
    SuppressionRead,
    read,
    read_preference,
)
from app.modules.email_preferences.service import CHOICE_SORTS, SORTS, EmailPreferences


class OwnerSuppressionController(Controller):
    path = "/email-suppressions"

    @get("/", permission=READ, sorts=SORTS)
    async def index(
        self,
        preferences: NamedDependency[EmailPreferences],
        pager: NamedDependency[Pager],
        q: FromQuery[str | None] = None,
        reason: FromQuery[Reason | None] = None,
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
    ) -> SuppressionPage:
        """List addresses to which nothing is sent, newest first. `q` is how the address begins."""
        page = await preferences.suppressions(pager, text=q, reason=reason, limit=limit, cursor=cursor)
        items = [read(row) for row in page.items]
        return SuppressionPage(items=items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)

    @delete("/{suppression_id:uuid}", permission=WRITE, audit="email.suppression.delete")
    async def allow(self, preferences: NamedDependency[EmailPreferences], suppression_id: FromPath[UUID]) -> None:
        """Send to an address again."""
        await preferences.allow(suppression_id)


class SuppressionController(OwnerSuppressionController):
    """Those of the caller's tenant."""

    @post("/", permission=WRITE, audit="email.suppression.create")
    async def suppress(
        self, preferences: NamedDependency[EmailPreferences], data: JSONBody[SuppressionCreate]
    ) -> SuppressionRead:
        """Send nothing more to an address: it bounced, or somebody complained. What is there already stays."""
        return read(await preferences.suppress(data.recipient, data.reason))


class OwnerPreferenceController(Controller):
    path = "/email-preferences"

    @get("/", permission=READ, sorts=CHOICE_SORTS)
    async def index(
        self,
        preferences: NamedDependency[EmailPreferences],
        pager: NamedDependency[Pager],
        q: FromQuery[str | None] = None,
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
    ) -> PreferencePage:
        """List who chose to get which mails, or not to, newest first. `q` is how the address begins."""
        page = await preferences.preferences(pager, text=q, limit=limit, cursor=cursor)
        items = [read_preference(row) for row in page.items]
        return PreferencePage(items=items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)


class PreferenceController(OwnerPreferenceController):
    """Those of the caller's tenant."""

    @put("/", permission=WRITE, audit="email.preference.set")
    async def choose(
        self, preferences: NamedDependency[EmailPreferences], data: JSONBody[PreferenceChange]
    ) -> PreferenceRead:
        """Keep whether an address gets the mails of a category. Transactional mails are always sent."""
        return read_preference(await preferences.choose(data.recipient, data.category, data.subscribed))
