"""Jinja2 set up once, with what every page needs; a page and its live update render the same partial."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Request, Response
from litestar.datastructures import Headers
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.response import Template
from litestar.template import TemplateConfig
from markupsafe import Markup

from app import __version__
from app.core.access import Access, show
from app.core.database import Plane
from app.core.policy import Actor, Permission, Policy, actor_of
from app.core.settings import Settings

Answer = TypeVar("Answer", bound=Response[Any])
ROOT = Path(__file__).parent.parent
PREFIX = "/dashboard/owner"
MEMBERS = "/dashboard/t"
TENANT = "Tenant"


@dataclass(frozen=True, slots=True)
class NavigationItem:
    """One line of the side menu; `path` is under the dashboard's prefix.

    Those of the group `Tenant` in tenants' dashboards are tabs of a tenant's page in the owner's, below its address.
    """

    group: str
    label: str
    path: str
    icon: str
    permission: Permission
    order: int = 50
    plane: Plane | None = None
    """The dashboard that has it: the owner's or tenants'; None for both."""


def prefix_of(request: Request[Any, Any, Any]) -> str:
    """Under which address this request's pages stand: the owner's dashboard, or that of the tenant it names."""
    slug = request.path_params.get("slug")
    if slug is not None:
        return f"{MEMBERS}/{quote(slug)}"
    actor = actor_of(request)
    return "/dashboard" if actor is not None and actor.plane is Plane.SYSTEM else PREFIX


def home_of(request: Request[Any, Any, Any]) -> str:
    """Under which address stand the pages of the tenant that this request is about, the owner's or its members'."""
    tenant = request.path_params.get("tenant_id")
    return prefix_of(request) if tenant is None else f"{PREFIX}/tenants/{tenant}"


def gone_to(path: str) -> Response[bytes]:
    """The answer to a form of htmx after which the browser is to be at another page."""
    return Response(b"", headers={"HX-Redirect": path})


def told(view: Answer, message: str | None, undo: dict[str, Any] | None = None) -> Answer:
    """The answer, with a short message for whoever pressed the button, and the way back: url, target and values."""
    if message is not None:
        toast: dict[str, Any] = {"message": message, "tone": "ok"} | ({"undo": undo} if undo else {})
        view.headers["HX-Trigger"] = json.dumps({"toast": toast})
    return view


def ago(moment: datetime | None) -> Markup:
    """A `<time>` element: how long ago, with the exact moment as its title."""
    if moment is None:
        return Markup('<span class="text-secondary">–</span>')
    text = _distance((datetime.now(UTC) - moment).total_seconds())
    iso = moment.astimezone(UTC).isoformat(timespec="seconds")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(iso, iso.replace("+00:00", " UTC"), text)


def exactly(moment: datetime) -> str:
    """2026-01-31 12:00:00 UTC"""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _distance(seconds: float) -> str:
    """In words; `times.js` says the same ones later on. What is 90 days off stays so for its first half day."""
    if abs(seconds) < 1:
        return "now"
    return f"{_span(seconds, int)} ago" if seconds > 0 else f"in {_span(-seconds, round)}"


def _span(seconds: float, whole: Callable[[float], int] = int) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{whole(seconds / size)} {unit}"
    return f"{whole(seconds)} s"


def duration_ms(value: float | None) -> str:
    if value is None:
        return "–"
    if value < 1000:
        return f"{value:.0f} ms"
    return f"{value / 1000:.1f} s" if value < 60_000 else _span(value / 1000)


def number(value: int) -> str:
    return f"{value:,}".replace(",", " ")


def size(value: int) -> str:
    for unit in ("B", "KB", "MB"):
        if value < 1024:
            return f"{value:.0f} {unit}"
        value //= 1024
    return f"{value} GB"


def state_label(state: str) -> str:
    if state == "dead":
        return "dead letter"
    return state.replace("_", " ")


def kind_label(kind: str) -> str:
    """`seo_audit` as people read it: "SEO audit"."""
    words = kind.replace("_", " ").capitalize().split()
    return " ".join("SEO" if word == "Seo" else word for word in words)


class Assets:
    """Names of built files. The manifest is read once; without it the page says what to run."""

    def __init__(self, folder: Path) -> None:
        manifest = folder / "manifest.json"
        if not manifest.exists():
            raise RuntimeError(f"No built assets in {folder}: run `make assets`")
        self._names: dict[str, str] = json.loads(manifest.read_text())

    def __call__(self, name: str) -> str:
        return f"/static/{self._names[name]}"


def environment(settings: Settings) -> Environment:
    jinja = Environment(
        loader=FileSystemLoader(ROOT / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja.filters |= {
        "ago": ago,
        "moment": exactly,
        "duration_ms": duration_ms,
        "number": number,
        "bytes": size,
        "state_label": state_label,
        "kind_label": kind_label,
    }
    jinja.globals |= {
        "asset": Assets(ROOT / "static" / "dist"),
        "version": __version__,
        "app_env": settings.app_env,
        # Of macros, which have no context: one that stands in both dashboards takes it as an argument.
        "prefix": PREFIX,
        "server_time": lambda: datetime.now(UTC),
    }
    return jinja


class Chrome:
    """What surrounds every page for one viewer: menu, name, CSRF token."""

    def __init__(self, policy: Policy, navigation: Sequence[NavigationItem]) -> None:
        self._policy = policy
        self._navigation = sorted(navigation, key=lambda item: item.order)

    def context(self, request: Request[Any, Any, Any]) -> dict[str, Any]:
        actor = actor_of(request)
        prefix = prefix_of(request)
        return {
            "prefix": prefix,
            "live_url": "/dashboard/live" if prefix == PREFIX else f"{prefix}/live",
            "nav": self._menu(actor, prefix, request.scope["path"]),
            "tenant_tabs": [
                {"label": item.label, "path": item.path}
                for item in self._navigation
                if item.group == TENANT and actor is not None and actor.may(item.permission)
            ],
            "actor": _shown(actor) if actor else None,
            "may": (lambda name: actor is not None and actor.holds(name)),
            "csrf_token": self._policy.csrf_token(actor),
            "request_id": request.scope.get("request_id", ""),
            "fragment": is_htmx(request.headers),
        }

    def _menu(self, actor: Actor | None, prefix: str, path: str) -> list[dict[str, Any]]:
        groups: dict[str, list[dict[str, Any]]] = {}
        for item in self._navigation:
            if actor is None or not actor.may(item.permission) or item.plane not in (None, actor.plane):
                continue
            href = (prefix + item.path).rstrip("/")
            here = path == href or (item.path != "/" and path.startswith(href + "/"))
            # What the platform's people look after is, to a tenant's members, their tenant's.
            group = TENANT if item.group == "Platform" and actor.plane is Plane.TENANT else item.group
            groups.setdefault(group, []).append({"label": item.label, "href": href, "icon": item.icon, "active": here})
        # Of a page below another's address, that one's line is the nearer.
        active = [line for lines in groups.values() for line in lines if line["active"]]
        for line in sorted(active, key=lambda line: len(line["href"]))[:-1]:
            line["active"] = False
        return [{"label": label, "items": items} for label, items in groups.items()]


def _shown(actor: Actor) -> dict[str, Any]:
    return {
        "label": actor.label,
        "role": actor.role,
        "initials": actor.label[:2].upper(),
        "tenant": actor.tenant,
        "memberships": actor.memberships,
        "platform": actor.plane is Plane.PLATFORM,
        "impersonator": actor.impersonator,
    }


class Page(Template):
    """A rendered template with the chrome around it; `request.app.state.chrome` has it."""

    def create_template_context(self, request: Request[Any, Any, Any]) -> dict[str, Any]:
        chrome: Chrome = request.app.state.chrome
        return {**chrome.context(request), **super().create_template_context(request)}


def where(request: Request[Any, Any, Any], kind: str | None, id_: str | None) -> str | None:
    """The page of a thing that a log names, if its kind has one and the viewer may see it."""
    link: tuple[str, Permission] | None = request.app.state.links.get(kind)
    actor = actor_of(request)
    if link is None or not id_ or actor is None or not actor.may(link[1]):
        return None
    return prefix_of(request) + link[0].format(id=quote(id_, safe=":"))


def template_config(settings: Settings) -> TemplateConfig[JinjaTemplateEngine]:
    return TemplateConfig(instance=JinjaTemplateEngine(engine_instance=environment(settings)))


def is_htmx(headers: Headers) -> bool:
    return headers.get("hx-request") == "true"


def render(
    request: Request[Any, Any, Any],
    page: str,
    context: dict[str, Any],
    *,
    fragment: str,
    status: int = 200,
    access: Access | None = None,
) -> Page:
    """The whole page, or for HTMX only the fragment that the page includes.

    Args:
        access: what it shows that is sensitive, whichever route it answers.
    """
    if access is not None:
        show(request, access)
    name = fragment if is_htmx(request.headers) else page
    return Page(
        template_name=name,
        context=context,
        status_code=status,
        headers={"Vary": "HX-Request", "Cache-Control": "no-store"},
    )
