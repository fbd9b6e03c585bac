"""Alembic's environment: `teknav migrate` hands its connection in; the alembic command opens one of its own."""

import asyncio
import os

from alembic import context
from app import registry  # noqa: F401 - imports every module's tables
from app.core.database import asyncpg_url
from app.core.idempotency import IdempotencyKey  # noqa: F401
from app.core.models import Base
from app.core.settings import load
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine


def include_name(name: str | None, kind: str, _: object) -> bool:
    # Month partitions are made at run time.
    return kind != "table" or name in Base.metadata.tables


def upgrade(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        include_name=include_name,
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


given: Connection | None = context.config.attributes.get("connection")
if given is not None:
    upgrade(given)
else:
    asyncio.run(connect_and_upgrade())
