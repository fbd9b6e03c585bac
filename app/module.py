"""What a module is: what it contributes, as data. `app/registry.py` lists them, and this makes an app of them."""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from litestar import Controller, Router
from litestar.config.app import AppConfig
from litestar.di import Provide
from litestar.plugins import InitPlugin
from msgspec import Struct
from sqlalchemy import ColumnElement, Select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from app.core.database import Database, Plane
from app.core.egress import Egress
from app.core.events import Event, Subscriber
from app.core.live import Topic
from app.core.metrics import Source
from app.core.policy import Permission
from app.core.quota import Quota
from app.core.settings import Settings
from app.core.signs import SignSource
from app.core.templating import MEMBERS, PREFIX, NavigationItem
from app.core.trace import TraceSource
from app.queues.job import Processor
from app.queues.loops import Loop
from app.queues.schedules import Schedule
from app.queues.spec import QueueSpec
from app.redis.answers import KeepAnswers, from_cache
from app.redis.cached import Cached

Mount = tuple[str, Plane | None]
API: Mount = ("/api/v1", Plane.TENANT)
OWNER_API: Mount = ("/api/owner", Plane.PLATFORM)
OWNER_PAGES: Mount = (PREFIX, Plane.PLATFORM)
MEMBER_PAGES: Mount = (f"{MEMBERS}/{{slug:str}}", Plane.TENANT)


@dataclass(frozen=True, slots=True)
class Card:
    """One card of the overview: a partial, and the coroutine `(session) -> context` that feeds it."""

    template: str
    load: Callable[..., Any]
    permission: Permission
    topic: str
    order: int = 50
    plane: Plane | None = None
    """The dashboard that has it: the owner's or tenants'; None for both."""
    tag: str = ""
    """Where what it shows is the same for all who may see it: the tag of what drops it. One reading serves them all."""


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail that a module sends: `app/templates/<module>/<name>.txt`, its subject in the first line.

    `version` goes up when its words change. Names are the platform's: no two modules have the same.
    """

    name: str
    version: int = 1


@dataclass(frozen=True, slots=True)
class About:
    """What jobs of a kind are about, for whoever reads of a job; a module above the queues' would know it otherwise.

    `find(session, job ids)` answers with a label and a path under the dashboard's prefix, by job id.
    """

    kind: str
    find: Callable[[AsyncSession, Collection[UUID]], Awaitable[dict[UUID, tuple[str, str]]]]
    permission: Permission


@dataclass(frozen=True, slots=True)
class Keyed:
    """Rows without an id of their own, which are read in the order of their key.

    Args:
        name: their own among those of the list.
        key: the columns that name a row, none of them ever NULL.
    """

    name: str
    rows: Select[Any]
    key: Sequence[ColumnElement[Any]]


@dataclass(frozen=True, slots=True)
class Exportable:
    """A list that can leave as a file, newest first.

    Args:
        rows: the rows that fit the parameters of the list's address; raises Invalid.
        key: their UUIDv7.
        read: a row as it is on the wire.
        columns: the names of CSV, as on the wire.
        rest: rows without an id that stand behind those, for the same parameters.
        trailer: further lines at the end of NDJSON, for the rows in it.
    """

    name: str
    label: str
    permission: Permission
    rows: Callable[[Mapping[str, str]], Select[Any]]
    key: InstrumentedAttribute[UUID]
    read: Callable[[Any], Struct]
    columns: Sequence[str]
    rest: Callable[[Mapping[str, str]], Sequence[Keyed]] | None = None
    trailer: Callable[[AsyncSession, Select[Any]], AsyncIterator[Struct]] | None = None


@dataclass(frozen=True, slots=True)
class Parts:
    """What every process has: what modules make their `ports`, `resources` and `loops` of.

    Args:
        mails: the version and the file of every mail that modules send, by name.
        months: by table, how many whole months before the present one are kept; 0 keeps all.
    """

    settings: Settings
    database: Database
    egress: Egress
    mails: Mapping[str, tuple[int, str]]
    months: Mapping[str, int]


@dataclass(frozen=True)
class Module:
    """One feature. Its providers are visible to its own routes only.

    `api`, `owner_api` and `pages` are mounted under /api/v1, /api/owner and the owner's dashboard; `member_pages` under
    each tenant's, where its members see them, and a page that stands in both serves both. `public` is mounted
    as it is, and each of its routes names its own plane or is public. `subscribers` hear of facts that modules below
    announce, in the same transaction. `actions` are those that it records in the
    audit log without a route that names them: what its processors do. `links` are the pages of its kinds of things,
    for whoever meets one in a log: `{"tenant": ("/tenants/{id}", READ)}`.
    `quotas` are what it can count for a tenant. `dangerous` are those of its changes, by their names in the audit log,
    that want a fresh confirmation: who gets in, as what, what is gone for good, what outlasts a session.

    `ports` are what every session finds in its `info`, by name; `resources` what its processors ask for, by type;
    `loops` what the leading process does beside the queues. `months` are its tables that are kept by month, each with
    the setting that says for how many; those of `job_retention_months` go with the jobs of their month.
    """

    name: str
    api: Sequence[type[Controller]] = ()
    owner_api: Sequence[type[Controller]] = ()
    pages: Sequence[type[Controller]] = ()
    member_pages: Sequence[type[Controller]] = ()
    public: Sequence[type[Controller]] = ()
    providers: dict[str, Callable[..., Any]] | None = None
    processors: Sequence[Processor] = ()
    subscribers: Sequence[tuple[type[Event], Subscriber]] = ()
    queues: Sequence[QueueSpec] = ()
    schedules: Sequence[Schedule] = ()
    permissions: Sequence[Permission] = ()
    actions: Sequence[str] = ()
    dangerous: Sequence[str] = ()
    topics: Sequence[Topic] = ()
    navigation: Sequence[NavigationItem] = ()
    cards: Sequence[Card] = ()
    signs: Sequence[SignSource] = ()
    mails: Sequence[Mail] = ()
    about: Sequence[About] = ()
    quotas: Sequence[Quota] = ()
    exports: Sequence[Exportable] = ()
    links: Mapping[str, tuple[str, Permission]] = field(default_factory=dict)
    caches: Sequence[Cached[Any]] = ()
    metrics: Sequence[Source] = ()
    traces: Sequence[TraceSource] = ()
    ports: Mapping[str, Callable[[Parts], Any]] = field(default_factory=dict)
    resources: Mapping[type, Callable[[Parts], Any]] = field(default_factory=dict)
    loops: Sequence[Callable[[Parts], Loop]] = ()
    months: Mapping[str, str] = field(default_factory=dict)

    def routers(self) -> list[Router]:
        mounts: list[tuple[Mount, Sequence[type[Controller]]]] = [
            (API, self.api),
            (OWNER_API, self.owner_api),
            (OWNER_PAGES, self.pages),
            (MEMBER_PAGES, self.member_pages),
            (("/", None), self.public),
        ]
        return [self._router(path, plane, controllers) for (path, plane), controllers in mounts if controllers]

    def _router(self, path: str, plane: Plane | None, controllers: Sequence[type[Controller]]) -> Router:
        provided = {name: Provide(call, sync_to_thread=False) for name, call in (self.providers or {}).items()}
        kept = path in (API[0], OWNER_API[0])
        return Router(
            path,
            route_handlers=list(controllers),
            before_request=from_cache if kept else None,
            middleware=[KeepAnswers] if kept else [],
            dependencies=provided,
            opt={"plane": plane} if plane else {},
            tags=[self.name],
            include_in_schema=path.startswith("/api"),
        )


class ModulesPlugin(InitPlugin):
    """Turns modules into routers, and refuses modules that do not fit together."""

    def __init__(self, modules: Sequence[Module]) -> None:
        self._modules = modules
        check(modules)

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        for module in self._modules:
            app_config.route_handlers.extend(module.routers())
        return app_config


def permissions(modules: Sequence[Module]) -> dict[str, Permission]:
    return {p.name: p for module in modules for p in module.permissions}


def owner_scopes(modules: Sequence[Module]) -> frozenset[str]:
    """What a platform's token can be of use for: the permissions that /api/owner and /metrics ask for."""
    known = permissions(modules)
    return frozenset(
        p.name for module in modules for p in _asked((*module.owner_api, *module.public)) if p.name in known
    )


def _asked(controllers: Sequence[type[Controller]]) -> list[Permission]:
    return [opt["permission"] for opt in _opts(controllers) if "permission" in opt]


def _opts(controllers: Sequence[type[Controller]]) -> list[dict[str, Any]]:
    """What stands beside each route."""
    handlers = (handler for controller in controllers for _, handler in inspect.getmembers(controller))
    return [opt for handler in handlers if (opt := getattr(handler, "opt", None))]


def caches(modules: Sequence[Module]) -> dict[str, tuple[str, Cached[Any]]]:
    """Every kind of cached value by its name, each with the name of its module.

    Raises:
        RuntimeError: two have the same name; a route names one that its module does not list, or is not of the API; or
            one of tenants' names one that is not kept per tenant.
    """
    found: dict[str, tuple[str, Cached[Any]]] = {}
    for module in modules:
        for kind in module.caches:
            if kind.name in found:
                raise RuntimeError(f"The cached value {kind.name!r} is declared twice")
            found[kind.name] = (module.name, kind)
        for opt in _opts((*module.api, *module.owner_api)):
            if "cached" in opt and opt["cached"] not in module.caches:
                raise RuntimeError(f"Module {module.name} does not list {opt['cached'].name!r}, which a route names")
        for opt in _opts(module.api):
            if "cached" in opt and not opt["cached"].per_tenant:
                raise RuntimeError(f"Module {module.name} keeps an answer to a tenant for all of them")
        for opt in _opts((*module.pages, *module.member_pages, *module.public)):
            if "cached" in opt:
                raise RuntimeError(f"Module {module.name} keeps answers of a route that is not of the API")
    return found


def check(modules: Sequence[Module]) -> None:
    """
    Raises:
        RuntimeError: a route, topic or menu item asks for a permission that no module declares, or cached values clash.
    """
    caches(modules)
    known = permissions(modules)
    for module in modules:
        asked: list[Permission] = [item.permission for item in module.navigation]
        asked += [topic.permission for topic in module.topics]
        asked += [card.permission for card in module.cards]
        asked += [about.permission for about in module.about]
        asked += _asked((*module.api, *module.owner_api, *module.pages, *module.member_pages, *module.public))
        asked += [one.permission for one in module.exports]
        asked += [one.permission for one in module.traces]
        asked += [one.permission for one in module.signs]
        bare = {p.name for p in asked if p.name not in (*known, "public", "signed-in")}
        if bare:
            raise RuntimeError(f"Module {module.name} asks for undeclared permissions: {', '.join(sorted(bare))}")
