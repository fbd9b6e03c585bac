"""Where a command's statements run: in one transaction with the platform's rights, or as one of a tenant."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from uuid import UUID

import rich_click as click

from app.cli.command import in_process, pager_of

T = TypeVar("T")
of_tenant = click.option("--tenant", help="Only this tenant's, by slug or id.")
Act = Callable[[Any, Any, Any], Awaitable[T]]


def in_platform(act: Act[T]) -> T:
    """`act(process, session, actor)`, with the platform's rights."""

    async def run(process: Any, actor: Any) -> T:
        async with process.database.transaction(actor.scope) as session:
            return await act(process, session, actor)

    return in_process(run)


def in_tenant(name: str, act: Act[T]) -> T:
    """`act(process, session, actor)` as a transaction of the tenant with this slug or id: what it writes, asks of
    queues and announces is the tenant's."""

    async def run(process: Any, actor: Any) -> T:
        from app.core.database import Plane, Scope
        from app.modules.tenants.service import TenantService

        async with process.database.transaction(actor.scope) as session:
            tenant = await TenantService(session, actor).find(name)
        async with process.database.transaction(Scope(Plane.TENANT, tenant.id)) as session:
            return await act(process, session, actor)

    return in_process(run)


def asked_of(
    name: str | None, service: Callable[[Any, Any], Any], ask: Callable[[Any, Any, UUID | None], Awaitable[T]]
) -> T:
    """`ask(service, pager, tenant_id)`, with the platform's rights, about the tenant with this slug or id, or all."""

    async def run(process: Any, session: Any, actor: Any) -> T:
        return await ask(service(session, actor), pager_of(process), await tenant_id(session, actor, name))

    return in_platform(run)


async def tenant_id(session: Any, actor: Any, name: str | None) -> UUID | None:
    """The id of the tenant with this slug or id; None where none is named."""
    from app.modules.tenants.service import TenantService

    return None if name is None else (await TenantService(session, actor).find(name)).id
