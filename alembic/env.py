"""Alembic's environment: `teknav migrate` hands its connection in; the alembic command opens one of its own."""

import asyncio
import importlib.util
import os
import pkgutil
from typing import Literal

from sqlalchemy import JSON, Connection, MetaData
from sqlalchemy.ext.asyncio import create_async_engine

from alembic import context
from app.core.database import asyncpg_url
from app.core.settings import load

given: Connection | None = context.config.attributes.get("connection")


def tables() -> MetaData:
    """What all modules say that there should be, for the alembic command's comparisons. Migrations name what they make
    themselves, and `teknav migrate`, a part of each start, is done before the modules would be loaded."""
    import app.core.idempotency
    import app.modules
    import app.queues.models
    from app.core.models import Base

    for module in pkgutil.iter_modules(app.modules.__path__, "app.modules."):
        if importlib.util.find_spec(f"{module.name}.models"):
            importlib.import_module(f"{module.name}.models")
    return Base.metadata


wanted = tables() if given is None else None


def include_name(name: str | None, kind: str, _: object) -> bool:
    # Month partitions are made at run time.
    return kind != "table" or wanted is None or name in wanted.tables


def render_item(kind: str, item: object, _: object) -> str | Literal[False]:
    """PostgreSQL's own types in the migrations, so that they do not hang on a library's."""
    from advanced_alchemy.types import GUID, DateTimeUTC

    names = {GUID: "sa.Uuid()", DateTimeUTC: "sa.DateTime(timezone=True)", JSON: "postgresql.JSONB()"}
    found = (name for cls, name in names.items() if kind == "type" and isinstance(item, cls))
    return next(found, False)


def upgrade(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=wanted,
        include_name=include_name,
        render_item=render_item,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


async def connect_and_upgrade() -> None:
    settings = load(os.environ)
    url, arguments = asyncpg_url(settings.migration_database_url or settings.database_url)
    engine = create_async_engine(url, connect_args=arguments)
    async with engine.connect() as connection:
        await connection.run_sync(upgrade)
        await connection.commit()
    await engine.dispose()


if given is not None:
    upgrade(given)
else:
    asyncio.run(connect_and_upgrade())
