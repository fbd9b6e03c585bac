"""A program whose parts do not fit together does not start, and says which part it is."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from litestar import Controller, Litestar, asgi, get, post, websocket
from litestar.connection import WebSocket
from litestar.types import Receive, Scope, Send

from app import modules, registry
from app.core.database import SYSTEM
from app.core.egress import Egress
from app.core.live import Topic
from app.core.policy import PUBLIC, Permission
from app.core.settings import load
from app.core.templating import NavigationItem
from app.main import create_app
from app.module import Module, Parts, caches
from app.modules.seals.service import Sealer
from app.process import Process
from app.queues.job import Job, processor
from app.queues.loops import Loop
from app.queues.work import Work
from app.redis.cached import Cached

READ = Permission("planted:read", "Read what was planted")
UNDECLARED = Permission("planted:steal", "Nobody declares this one")
ANSWERS = Cached("planted", "things", "answers", str, 10, (), "Answers of a test.")
Boot = Callable[..., Litestar]


@pytest.fixture
def boot(monkeypatch: pytest.MonkeyPatch) -> Boot:
    """Builds the app from the registry's modules and one more; no server is asked for that."""
    settings = load(
        {
            "APP_ENV": "test",
            "SECRET_KEY": "k" * 40,
            "DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none",
            "REDIS_URL": "redis://127.0.0.1:9/0",
        }
    )

    def build(*more: Module, instead_of: str = "") -> Litestar:
        kept = (module for module in registry.MODULES if module.name != instead_of)
        monkeypatch.setattr(registry, "MODULES", (*kept, *more))
        return create_app(settings)

    return build


def planted(routes: Sequence[type[Controller]] = (), **parts: Any) -> Module:
    return Module("planted", api=routes, permissions=[READ], **parts)


class Guarded(Controller):
    path = "/planted"

    @get("/", permission=READ)
    async def read(self) -> None: ...

    @post("/", permission=READ, audit="planted.create")
    async def create(self) -> None: ...


class Bare(Controller):
    path = "/planted"

    @get("/bare")
    async def bare(self) -> None: ...


class Silent(Controller):
    path = "/planted"

    @post("/silent", permission=PUBLIC)
    async def silent(self) -> None: ...


class Undeclared(Controller):
    path = "/planted"

    @get("/", permission=UNDECLARED)
    async def read(self) -> None: ...


class Heir(Undeclared):
    path = "/heir"


class Kept(Controller):
    path = "/planted"

    @get("/", permission=READ, cached=ANSWERS)
    async def read(self) -> None: ...


class BareSocket(Controller):
    path = "/planted"

    @websocket("/socket")
    async def socket(self, socket: WebSocket[Any, Any, Any]) -> None: ...


class BareMount(Controller):
    path = "/planted"

    @asgi("/mount", copy_scope=True)
    async def mount(self, scope: Scope, receive: Receive, send: Send) -> None: ...


async def show(session: object) -> dict[str, Any]:
    return {}


@dataclasses.dataclass(frozen=True)
class Ground:
    """What a processor asks for."""

    env: str


class Stray(Job, kind="stray", queue="nowhere:at-all"):
    """Declared outside of app, so that only the tests that name it see it."""


@processor(Stray)
async def handle_stray(work: Work, payload: Stray) -> None: ...


@pytest.mark.promise("S4-68")
def test_every_module_stands_in_the_registry() -> None:
    folders = {path.parent.name for path in Path(modules.__path__[0]).glob("*/__init__.py")}
    assert sorted(module.name for module in registry.MODULES) == sorted(folders)


def test_a_module_that_fits_is_served(boot: Boot) -> None:
    app = boot(planted([Guarded]))
    assert "/api/v1/planted" in {route.path for route in app.routes}


@pytest.mark.promise("S4-68")
async def test_what_processors_ask_for_loops_and_months_of_a_module_are_plugged_in_by_its_name_alone(
    boot: Boot,
) -> None:
    seen: list[Parts] = []

    async def look() -> None: ...

    def loop(parts: Parts) -> Loop:
        seen.append(parts)
        return Loop("planted", 60.0, look)

    module = planted(
        resources={Ground: lambda parts: Ground(parts.settings.app_env)},
        ports={"planted": lambda parts: parts.egress},
        loops=[loop],
        months={"planted_log": "audit_retention_months"},
    )
    process: Process = boot(module).state.process
    assert process.resources()[Ground] == Ground("test") and len(process.resources()) > 4
    assert [one.name for one in process.loops() if one.action is look] == ["planted"]
    assert seen[0].months == process.parts.months and seen[0].months["planted_log"] == 13
    assert "ai_event_log" not in seen[0].months, "its months go with those of the jobs"
    async with process.database.transaction(SYSTEM) as session:
        assert session.info["planted"] is process.parts.egress


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"resources": {Egress: lambda _: None, Sealer: lambda _: None}}, "resource .*Sealer.* is declared twice"),
        ({"ports": {"seal_key": lambda _: None}}, "port 'seal_key' is declared twice"),
        ({"months": {"audit_log": "audit_retention_months"}}, "table by month 'audit_log' is declared twice"),
    ],
)
def test_what_two_modules_plug_in_under_one_name_stops_the_boot(boot: Boot, part: Any, message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        boot(planted(**part)).state.process.resources()


@pytest.mark.parametrize(
    ("controller", "message"),
    [
        (Bare, "GET /api/v1/planted/bare: no permission"),
        (Silent, "POST /api/v1/planted/silent: no audit action"),
        (BareSocket, "/api/v1/planted/socket: no permission"),
        (BareMount, "/api/v1/planted/mount: no permission"),
    ],
)
def test_a_route_that_nobody_guards_stops_the_boot(boot: Boot, controller: type[Controller], message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        boot(planted([controller]))


@pytest.mark.parametrize(
    "module",
    [
        planted([Undeclared]),
        planted([Heir]),
        planted(navigation=[NavigationItem("Planted", "Steal", "/steal", "box", UNDECLARED)]),
        planted(topics=[Topic("planted", UNDECLARED)]),
    ],
    ids=["route", "inherited route", "menu", "topic"],
)
def test_a_permission_that_no_module_declares_stops_the_boot(boot: Boot, module: Module) -> None:
    with pytest.raises(RuntimeError, match="Module planted asks for undeclared permissions: planted:steal"):
        boot(module)


def test_an_answer_that_is_not_the_same_for_all_is_never_kept() -> None:
    module = Module("planted", permissions=[READ], caches=[ANSWERS])
    assert caches([dataclasses.replace(module, owner_api=[Kept])])
    with pytest.raises(RuntimeError, match="planted keeps an answer to a tenant for all of them"):
        caches([dataclasses.replace(module, api=[Kept])])
    for mounted in ("pages", "member_pages", "public"):
        parts: dict[str, Any] = {mounted: [Kept]}
        with pytest.raises(RuntimeError, match="planted keeps answers of a route that is not of the API"):
            caches([dataclasses.replace(module, **parts)])


def test_two_processors_for_one_kind_stop_the_boot(boot: Boot) -> None:
    doubled = next(module for module in registry.MODULES if module.processors)
    kind = doubled.processors[0].payload.kind
    with pytest.raises(RuntimeError, match=f"Two processors for the job kind '{kind}'"):
        boot(Module("planted", processors=doubled.processors))


def test_a_kind_without_a_processor_stops_the_boot(boot: Boot) -> None:
    robbed = next(module for module in registry.MODULES if module.processors)
    kind = robbed.processors[0].payload.__name__
    with pytest.raises(RuntimeError, match=f"Job kinds without a processor: .*{kind}"):
        boot(dataclasses.replace(robbed, processors=()), instead_of=robbed.name)


def test_a_kind_on_a_queue_that_nobody_declared_stops_the_boot(boot: Boot) -> None:
    with pytest.raises(RuntimeError, match="'stray' names the queue 'nowhere:at-all', which is not declared"):
        boot(planted(processors=[handle_stray]))
