"""Real PostgreSQL and Valkey for every test. Tests commit for real; the tables are emptied in between."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import hypothesis  # noqa: F401 - its plugin imports it at the very end, too deep for Python 3.11's parser
import pytest
from httpx2 import ASGITransport, AsyncClient
from litestar import Litestar
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy.ext.asyncio import AsyncSession
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from app import migrate, registry
from app.core import passwords
from app.core.database import Database, Plane, Scope
from app.core.garbage import collect_less
from app.core.logging import configure
from app.core.policy import Actor
from app.core.settings import Settings, load
from app.embedded.servers import Servers, Urls
from app.main import create_app
from app.modules.identity import service
from app.modules.identity.service import IdentityService
from app.modules.members.service import MemberService
from app.modules.people.models import User
from app.modules.roles.service import RoleService
from app.modules.sessions.service import Sessions
from app.modules.tenants.service import TenantService
from app.modules.tokens.service import TokenService
from app.queues.inline import drain as drain_record
from app.queues.runner import Runner

PASSWORD = "a password of some length"
Person = Callable[..., Awaitable[AsyncClient]]
OWNER_EMAIL, OWNER_PASSWORD = "owner@example.org", "a long enough password"
ORIGIN = "http://testserver"
KEPT_TABLES = {"alembic_version"}
SHARE_A_TEKNAV = {"tests/browser", "tests/flows"}
HAVE_THEIR_OWN = {"tests/browser/test_story.py", "tests/flows/test_six_queues.py"}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling:
    """A file's tests run in one process; and those of a folder that share one running TekNav."""
    return Together(config, log)


class Together(LoadFileScheduling):
    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        folder = file.rpartition("/")[0]
        return folder if folder in SHARE_A_TEKNAV and file not in HAVE_THEIR_OWN else file


@pytest.fixture(scope="session")
def servers() -> Generator[Urls, None, None]:
    """Embedded servers of this process, or those of TEST_DATABASE_URL, TEST_ADMIN_DATABASE_URL and TEST_REDIS_URL."""
    if given := os.environ.get("TEST_DATABASE_URL"):
        assert "PYTEST_XDIST_WORKER" not in os.environ, "two processes of tests cannot share the given servers"
        admin = os.environ["TEST_ADMIN_DATABASE_URL"]
        yield Urls(given, given, given, admin, os.environ["TEST_REDIS_URL"])
        return
    # Not under pytest's own folder, which every other run of pytest closes to the account that PostgreSQL runs as.
    folder = Path(tempfile.mkdtemp(prefix="teknav-tests-"))
    servers = Servers()
    try:
        yield servers.start(folder, fast=True)
    finally:
        servers.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def settings(servers: Urls, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return load(
        servers.environment()
        | {
            "APP_ENV": "test",
            "TEKNAV_DATA_DIR": str(tmp_path_factory.mktemp("data")),
            "PUBLIC_URL": ORIGIN,
            "SECRET_KEY": "k" * 40,
            "JWT_SECRET": "j" * 40,
            "ENCRYPTION_KEY": "e" * 40,
            "LOG_LEVEL": "warning",
            "ENABLE_QUEUE": "true",
            "EGRESS_NETWORKS": "127.0.0.1/32",  # where the tests' own receivers listen
            "ENABLE_RATE_LIMIT": "false",  # all tests call from one address; tests/core/test_limits.py has limits
        }
    )


@pytest.fixture(scope="session", autouse=True)
def quick_passwords() -> Generator[PasswordHash, None, None]:
    """Argon2 at its cheapest: hundreds of tests sign in, and each would burn half a second of CPU for it.

    The value is the real one.
    """
    real = passwords._ARGON2
    passwords._ARGON2 = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),))
    yield real
    passwords._ARGON2 = real


@pytest.fixture(scope="session", autouse=True)
def quick_doors() -> Generator[float, None, None]:
    """Asking for a mail takes no longer than writing it. The value is what it takes else."""
    real = service.ASKING_TAKES_S
    service.ASKING_TAKES_S = 0.0
    yield real
    service.ASKING_TAKES_S = real


@pytest.fixture(scope="session")
async def running_app(settings: Settings) -> AsyncGenerator[Litestar, None]:
    configure(settings)
    await migrate.migrate(settings)
    app = create_app(settings)
    started, stop = asyncio.Event(), asyncio.Event()

    async def live() -> None:
        # In a task of its own: a lifespan has to end in the task in which it began, and fixtures do not.
        async with app.lifespan():
            started.set()
            await stop.wait()

    task = asyncio.create_task(live())
    waiting = asyncio.create_task(started.wait())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if task.done():
        task.result()
    collect_less()  # as every process does: modules, tests and app stay for good
    yield app
    stop.set()
    await task


@pytest.fixture(scope="session")
async def admin(servers: Urls, running_app: Litestar) -> AsyncGenerator[asyncpg.Connection, None]:
    """A superuser's connection, which sees every row."""
    connection = await asyncpg.connect(servers.admin_database_url)
    yield connection
    await connection.close()


@pytest.fixture(scope="session")
async def emptied_tables(admin: asyncpg.Connection) -> list[str]:
    """The names of all tables that tests fill, and that are empty again after each."""
    found = await admin.fetch(
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition "
        "AND relnamespace = 'public'::regnamespace"
    )
    return [row["relname"] for row in found if row["relname"] not in KEPT_TABLES]


@pytest.fixture
async def app(
    running_app: Litestar, admin: asyncpg.Connection, emptied_tables: list[str]
) -> AsyncGenerator[Litestar, None]:
    """The running application. What the test committed is gone afterwards."""
    yield running_app
    asked = (f"SELECT '{name}' WHERE EXISTS (SELECT FROM \"{name}\")" for name in emptied_tables)
    filled = [name for (name,) in await admin.fetch(" UNION ALL ".join(asked))]
    platform = await admin.fetchrow("SELECT * FROM tenant WHERE slug = 'platform'")
    async with admin.transaction():
        # Fifty times as quick as TRUNCATE on tables this small; `replica` leaves the foreign keys unasked.
        await admin.execute("SET LOCAL session_replication_role = replica")
        await admin.execute("; ".join(f'DELETE FROM "{name}"' for name in filled))
    columns = ", ".join(f'"{name}"' for name in platform.keys())  # noqa: SIM118 - a record, not a dict
    marks = ", ".join(f"${n}" for n in range(1, len(platform) + 1))
    await admin.execute(f"INSERT INTO tenant ({columns}) VALUES ({marks})", *platform.values())
    await running_app.state.process.queue_redis.flushdb()
    running_app.state.cache.claims.memory.clear()


@pytest.fixture
def database(app: Litestar) -> Database:
    database: Database = app.state.database
    return database


@pytest.fixture
def transaction(database: Database) -> Callable[[Scope], AbstractAsyncContextManager[AsyncSession]]:
    return database.transaction


@asynccontextmanager
async def _client(app: Litestar, headers: dict[str, str] | None = None) -> AsyncIterator[AsyncClient]:
    transport = ASGITransport(app=app, raise_app_exceptions=False)  # type: ignore[arg-type]
    async with AsyncClient(transport=transport, base_url=ORIGIN, headers=headers) as client:
        yield client


@pytest.fixture
async def client(app: Litestar) -> AsyncGenerator[AsyncClient, None]:
    """A caller who is not signed in."""
    async with _client(app) as client:
        yield client


@pytest.fixture
def operator() -> Actor:
    """Who sets tests up: the command line's actor."""
    return Actor("cli", None, "cli:test", frozenset(registry.permissions()), Plane.PLATFORM)


@pytest.fixture
async def owner(app: Litestar, database: Database, operator: Actor) -> AsyncGenerator[AsyncClient, None]:
    """The owner's browser: signed in, with the CSRF header that its pages send."""
    async with database.transaction(operator.scope) as session:
        await IdentityService(session, operator).create_owner(OWNER_EMAIL, OWNER_PASSWORD)
    async with _client(app) as client:
        form = {"email": OWNER_EMAIL, "password": OWNER_PASSWORD}
        answer = await client.post("/signin", data=form, headers={"Origin": ORIGIN})
        assert answer.status_code in (302, 303), answer.text
        client.headers["X-CSRF-Token"] = await csrf_of(app, client)
        # What tests ask for, they want as it is now; those of the cache take this away.
        client.headers["Cache-Control"] = "no-cache"
        yield client


async def csrf_of(app: Litestar, client: AsyncClient) -> str:
    """The CSRF token of the session that the client's cookie belongs to."""
    actor = await Sessions(app.state.database, registry.permissions()).actor(client.cookies["teknav_session"])
    assert actor is not None
    return app.state.policy.csrf_token(actor)


@dataclass(frozen=True)
class Made:
    id: UUID
    name: str
    slug: str


@pytest.fixture
def make_tenant(database: Database, operator: Actor) -> Callable[[str], Awaitable[Made]]:
    async def make(name: str) -> Made:
        async with database.transaction(operator.scope) as session:
            row = await TenantService(session, operator).create(name)
            return Made(row.id, row.name, row.slug)

    return make


@pytest.fixture
async def tenant(make_tenant: Callable[[str], Awaitable[Made]]) -> Made:
    return await make_tenant("Harbour Press")


ALL_SCOPES = (
    *("articles:read", "articles:write", "articles:publish", "ai:run", "ai:read"),
    *("ai_usage:read", "drafts:read", "drafts:decide", "reports:read"),
)
TenantClient = Callable[..., Awaitable[AsyncClient]]


@pytest.fixture
def make_person(database: Database, operator: Actor) -> Callable[..., Awaitable[User]]:
    """Makes somebody who has an account: `await make_person("ann@example.org", role="auditor")`."""

    async def make(email: str, role: str = "user") -> User:
        hashed = passwords._ARGON2.hash(PASSWORD)
        async with database.transaction(operator.scope) as session:
            user = User(email=email, name=email.partition("@")[0].capitalize(), password_hash=hashed, role=role)
            session.add(user)
            await session.flush()
            return user

    return make


@pytest.fixture
async def sign_in(app: Litestar) -> AsyncGenerator[Person, None]:
    """Signs somebody in: `await sign_in("ann@example.org")` is that person's browser."""
    opened: list[AbstractAsyncContextManager[AsyncClient]] = []

    async def enter(email: str) -> AsyncClient:
        context = _client(app)
        opened.append(context)
        client = await context.__aenter__()
        answer = await client.post("/signin", data={"email": email, "password": PASSWORD}, headers={"Origin": ORIGIN})
        assert answer.status_code == 303, answer.text
        client.headers["X-CSRF-Token"] = await csrf_of(app, client)
        return client

    yield enter
    for context in opened:
        await context.__aexit__(None, None, None)


@pytest.fixture
def member(
    database: Database, operator: Actor, tenant: Made, make_person: Callable[..., Awaitable[User]], sign_in: Person
) -> Person:
    """Makes a member of the tenant, signed in: `await member("ann@example.org", "editor")`."""

    async def make(email: str, role: str, of: Made = tenant) -> AsyncClient:
        await make_person(email)
        async with database.transaction(operator.scope) as session:
            found = await RoleService(session, operator).named(of.id, role)
            await MemberService(session, operator).add(of.id, email, found.id)
        return await sign_in(email)

    return make


@pytest.fixture
async def tenant_client(
    app: Litestar, database: Database, operator: Actor, tenant: Made
) -> AsyncGenerator[TenantClient, None]:
    """Makes clients that hold a token: `await tenant_client("articles:read")`, all scopes where none is named."""
    opened: list[AbstractAsyncContextManager[AsyncClient]] = []

    async def make(*scopes: str, of: Made = tenant) -> AsyncClient:
        async with database.transaction(operator.scope) as session:
            _, secret = await TokenService(session, operator).create(
                of.id, name="test", scopes=list(scopes or ALL_SCOPES)
            )
        # As for the owner: what tests ask for, they want as it is now.
        context = _client(app, {"Authorization": f"Bearer {secret}", "Cache-Control": "no-cache"})
        opened.append(context)
        return await context.__aenter__()

    yield make
    for context in opened:
        await context.__aexit__(None, None, None)


@pytest.fixture
def runner(app: Litestar) -> Runner:
    return app.state.process.runner()


@pytest.fixture
def drain(database: Database, runner: Runner) -> Callable[..., Awaitable[int]]:
    """Runs the record of work without Redis: what is due now, or with `retries=True` all back-offs too."""

    async def run(*, retries: bool = False) -> int:
        until = datetime.now(UTC) + timedelta(days=1) if retries else None
        return await drain_record(database, runner, until=until)

    return run
