"""`/dashboard/owner`: the overview, made of the cards that modules contribute; and the components, in development."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from litestar import Controller, Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template
from markupsafe import Markup
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Plane, scope_of
from app.core.errors import NotFound
from app.core.policy import SIGNED_IN, Actor
from app.core.settings import Settings
from app.core.snapshot import Snapshots
from app.core.templating import MEMBERS, PREFIX, Chrome, render
from app.module import Card
from app.modules.dashboard.permissions import READ
from app.modules.dashboard.schemas import WORDS, troubles
from app.modules.dashboard.service import Signs

AnyRequest = Request[Any, Any, Any]


class OverviewPages(Controller):
    path = "/"

    @get("/", permission=READ)
    async def index(
        self,
        request: AnyRequest,
        session: NamedDependency[AsyncSession],
        actor: NamedDependency[Actor],
        signs: NamedDependency[Signs],
    ) -> Template:
        context = await _signs(request, signs)
        context |= {"cards": [await _drawn(request, session, card) for card in _cards(request, actor)]}
        return render(request, "dashboard/index.html", context, fragment="dashboard/_cards.html")

    @get("/cards/{name:str}", permission=READ)
    async def card(
        self,
        request: AnyRequest,
        name: FromPath[str],
        session: NamedDependency[AsyncSession],
        actor: NamedDependency[Actor],
    ) -> Template:
        """One card, for its live update."""
        found = next((card for card in _cards(request, actor) if _name(card) == name), None)
        if found is None:
            raise NotFound(f"There is no card {name}")
        context = {"card": await _drawn(request, session, found)}
        return render(request, "dashboard/card.html", context, fragment="dashboard/_card.html")


class SignPages(Controller):
    path = "/signs"

    @get("/", permission=READ)
    async def signs(self, request: AnyRequest, signs: NamedDependency[Signs]) -> Template:
        """How the parts fare that the actor may see, for its live update."""
        return render(request, "dashboard/signs.html", await _signs(request, signs), fragment="dashboard/_signs.html")


class ComponentPages(Controller):
    path = "/components"

    @get("/", permission=READ)
    async def components(self, request: AnyRequest, settings: NamedDependency[Settings]) -> Template:
        """Every component in every state; not in production."""
        if settings.app_env == "prod":
            raise NotFound
        page = "dashboard/components.html"
        return render(request, page, {"now": datetime.now(UTC)}, fragment=page)


class HomeController(Controller):
    path = "/dashboard"

    @get("/", permission=SIGNED_IN, while_impersonating=True)
    async def home(
        self, request: AnyRequest, actor: NamedDependency[Actor], choose: FromQuery[bool] = False
    ) -> Response[Any]:
        """Lead people to where they belong. Who belongs to several tenants chooses, and who asks to `choose`."""
        if actor.plane is Plane.PLATFORM and not choose:
            return Redirect(PREFIX)
        if len(actor.memberships) == 1 and not choose:
            return Redirect(f"{MEMBERS}/{quote(actor.memberships[0].slug)}")
        page = "dashboard/choose.html"
        return render(request, page, {"owner": PREFIX, "members": MEMBERS}, fragment=page)


async def _signs(request: AnyRequest, signs: Signs) -> dict[str, Any]:
    found = await signs.all(_snapshots(request))
    return {"signs": found, "troubles": troubles(found), "topics": signs.topics, "words": WORDS}


def _cards(request: AnyRequest, actor: Actor) -> list[Card]:
    """The cards that the actor may see, in their order."""
    contributed: Sequence[Card] = request.app.state.cards
    return sorted(
        (card for card in contributed if actor.may(card.permission) and card.plane in (None, actor.plane)),
        key=lambda card: card.order,
    )


def _name(card: Card) -> str:
    """The card's place in an address: `ai-card` for `ai/_card.html`."""
    return card.template.removesuffix(".html").replace("/_", "-")


async def _drawn(request: AnyRequest, session: AsyncSession, card: Card) -> dict[str, Any]:
    """The card's markup with what keeps it current; a card that has nothing to say is empty."""
    engine = request.app.template_engine
    assert engine is not None
    chrome: Chrome = request.app.state.chrome
    snapshots = _snapshots(request)
    if card.tag and snapshots is not None:
        found = await snapshots.read(
            card.template, scope_of(session), card.topic, lambda: card.load(session), tag=card.tag
        )
    else:
        found = await card.load(session)
    context = chrome.context(request) | found
    body = Markup(engine.get_template(card.template).render(context).strip())  # noqa: S704 - our own template
    return {"name": _name(card), "topic": card.topic, "body": body}


def _snapshots(request: AnyRequest) -> Snapshots | None:
    """The readings that serve all who look; `Cache-Control: no-cache` wants everything as it is now."""
    snapshots: Snapshots = request.app.state.snapshots
    return None if "no-cache" in request.headers.get("cache-control", "") else snapshots
