"""The web root: `create_app(settings)` plugs the modules, the ports and the edge together."""

import asyncio
import functools
import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import structlog
from litestar import Litestar, Request, Response, get
from litestar.config.compression import CompressionConfig
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.router import Router
from litestar.static_files import create_static_files_router
from litestar.types import ControllerRouterHandler
from msgspec import Struct

from app import __version__, checks, registry
from app.core import live
from app.core.access import Looks, check_reads
from app.core.answers import answer
from app.core.errors import Unauthenticated
from app.core.garbage import collect_less
from app.core.idempotency import Replayed
from app.core.limits import Door, Limits
from app.core.logging import configure
from app.core.metrics import Requests
from app.core.openapi import DescriptionPlugin
from app.core.paging import Pager
from app.core.policy import PUBLIC, Actor, Policy, actor_of, check_routes, name_queries
from app.core.request import RequestMiddleware
from app.core.secrets import Signer
from app.core.settings import Settings, SettingsError, load, missing_for_service
from app.core.snapshot import Snapshots
from app.core.templating import ROOT, Chrome, template_config
from app.core.unit_of_work import keep_rendered, provide_session, replay
from app.core.wire import JsonRequest
from app.module import ModulesPlugin
from app.modules.access.service import note
from app.modules.audit.service import record_attempt
from app.modules.bearers.service import Bearers, jwts_of
from app.modules.sessions.service import Sessions
from app.process import Process
from app.queues.clock import clock
from app.queues.inline import drain
from app.queues.leader import Leader
from app.queues.loops import Loop, Loops

log = structlog.get_logger()
MAX_BODY = 10 * 1024 * 1024
INLINE_S, INLINE_LIMIT_S = 0.5, 86_400.0  # a job has a limit of its own
DESCRIPTION = "`/api/v1` is for tenants' programs, `/api/owner` for the platform's. Every error is Problem Details."


class Part(Struct, rename="camel"):
    """One part of `/health/ready`."""

    part: str
    ok: bool
    message: str
    latency_ms: float | None


class Readiness(Struct, rename="camel"):
    ready: bool
    version: str
    parts: list[Part]


@get("/health", permission=PUBLIC, sync_to_thread=False)
def health() -> dict[str, str]:
    """Tell that this process is alive."""
    return {"status": "ok", "version": __version__}


@get("/health/ready", permission=PUBLIC)
async def ready(request: Request[Any, Any, Any]) -> Response[Readiness]:
    """Look at every part without which work does not get done; 503 when one is missing."""
    process: Process = request.app.state.process
    found = await checks.readiness(process.database, process.queue_redis, process.settings)
    found += await checks.cache(process.redis, process.settings)
    parts = [Part(item.part, item.level != "error", item.message, item.latency_ms) for item in found]
    body = Readiness(all(part.ok for part in parts), __version__, parts)
    return Response(body, status_code=200 if body.ready else 503)


def provide_actor(request: Request[Any, Any, Any]) -> Actor:
    actor = actor_of(request)
    if actor is None:
        raise Unauthenticated
    return actor


def provide_pager(signer: Signer) -> Callable[[Request[Any, Any, Any]], Pager]:
    """The pager knows how the address sorts, where the route says that its list can be sorted."""

    def pager(request: Request[Any, Any, Any]) -> Pager:
        return Pager(signer, request.query_params.get("sort") if "sorts" in request.route_handler.opt else None)

    return pager


def create_app(settings: Settings) -> Litestar:
    """
    Raises:
        RuntimeError: a route, a kind of job or a permission does not fit; the message names it.
    """
    process = Process.open(settings)
    signer = Signer(settings.secret_key)
    declared = registry.permissions()
    limits = Limits(settings, process.limiter) if settings.enable_rate_limit else None
    sessions = Sessions(process.database, declared)
    bearers = Bearers(process.database, declared, jwts_of(settings))
    policy = Policy(sessions.actor, bearers.actor, signer, limits.admit if limits else None, registry.dangerous())
    hub = live.Hub(process.broker)
    snapshots = Snapshots(hub)
    process.cache.on_drop.append(snapshots.forget)
    hub.topics = {topic.name: topic for module in registry.MODULES for topic in module.topics}

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncGenerator[None, None]:
        await checks.refuse_unsafe(process.database, process.queue_redis, settings)
        # Jobs are due by Redis' time. Until it has told, PostgreSQL's is a better one than this host's alone.
        clock.correct(await process.database.measure_clock())
        tasks = [asyncio.create_task(hub.run()), asyncio.create_task(process.cache.run())]
        tasks.append(asyncio.create_task(clock.keep(process.patient_redis)))
        if not settings.enable_queue:
            runner = process.runner()
            inline = Loop("inline", INLINE_S, functools.partial(drain, process.database, runner), INLINE_LIMIT_S)
            loops = Loops(Leader(process.database, runner.worker), [inline, *process.loops()])
            tasks.append(asyncio.create_task(loops.run()))
        _end_streams_on_signal(hub)
        yield
        hub.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await process.close()

    routes: list[ControllerRouterHandler] = [
        health,
        ready,
        live.live,
        create_static_files_router(
            path="/static",
            directories=[ROOT / "static" / "dist"],
            opt={"permission": PUBLIC},
            include_in_schema=False,
            cache_control=_immutable(),
        ),
    ]
    app = Litestar(
        route_handlers=routes,
        plugins=[ModulesPlugin(registry.MODULES)],
        guards=[policy.guard],
        dependencies={
            "session": Provide(provide_session),
            "actor": Provide(provide_actor, sync_to_thread=False),
            "settings": Provide(lambda: settings, sync_to_thread=False),
            "pager": Provide(provide_pager(signer), sync_to_thread=False),
        },
        after_request=keep_rendered,
        exception_handlers={Exception: answer, Replayed: replay},
        template_config=template_config(settings),
        request_class=JsonRequest,
        request_max_body_size=MAX_BODY,
        compression_config=CompressionConfig(backend="gzip", exclude_opt_key="uncompressed"),
        openapi_config=OpenAPIConfig(
            title="TekNav",
            version=__version__,
            description=DESCRIPTION,
            use_handler_docstrings=True,
            render_plugins=[DescriptionPlugin(path="/")],
            openapi_router=Router(
                "/api/openapi.json", route_handlers=[], opt={"permission": PUBLIC}, include_in_schema=False
            ),
        ),
        lifespan=[lifespan],
        logging_config=None,
        debug=settings.debug,
    )
    app.state.database = process.database
    app.state.process = process
    app.state.hub = hub
    app.state.snapshots = snapshots
    app.state.cache = process.cache
    app.state.policy = policy
    app.state.note_read = note
    app.state.looks = Looks()
    app.state.chrome = Chrome(policy, [item for module in registry.MODULES for item in module.navigation])
    app.state.actions = [action for module in registry.MODULES for action in module.actions]
    app.state.cards = [card for module in registry.MODULES for card in module.cards]
    app.state.links = {kind: link for module in registry.MODULES for kind, link in module.links.items()}
    app.state.traces = registry.traces()
    app.state.signs = registry.signs()
    requests = app.state.requests = Requests()
    app.state.metrics = [source for module in registry.MODULES for source in module.metrics]
    app.state.about = {about.kind: about for module in registry.MODULES for about in module.about}
    check_routes(app.routes)
    check_reads(app.routes)
    name_queries(app.routes, "/api/")
    if limits is not None:
        app.asgi_handler = Door(app.asgi_handler, limits)
    # Outermost, so that an address that no route has gets its id and headers too.
    app.asgi_handler = RequestMiddleware(
        app.asgi_handler, settings=settings, audit=record_attempt(process.database), requests=requests
    )
    return app


def _immutable() -> Any:
    from litestar.datastructures import CacheControlHeader

    return CacheControlHeader(max_age=31_536_000, public=True, immutable=True)


def _end_streams_on_signal(hub: live.Hub) -> None:
    """The server waits for open streams before it runs our shutdown, so they have to end at the signal itself."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        before = signal.getsignal(number)

        def chained(received: int, frame: Any, before: Any = before) -> None:
            loop.call_soon_threadsafe(hub.close)
            if callable(before):
                before(received, frame)

        try:
            signal.signal(number, chained)
        except ValueError:
            return  # not the main thread: tests


def from_environment() -> Litestar:
    """The app as the server loads it; what is wrong is told in one line each, and ends the process."""
    try:
        settings = load(os.environ)
        if missing := missing_for_service(settings):
            raise SettingsError(missing)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(2) from None
    configure(settings)
    app = create_app(settings)
    collect_less()
    return app
