"""TekNav with the harness's module in it: `python -m tests.faults.root web|worker|…`, as `teknav` otherwise.

The web server loads its app in a process that imports this module again, so everything happens on import.
FAULTS_CLOCK_S sets this process's clock ahead; FAULTS_OFF names guards to switch off.
"""

import asyncio
import dataclasses
import json
import os
import sys

from app import cli, migrate, registry
from app.core.database import PLATFORM_TENANT
from app.core.policy import Actor, Plane
from app.core.settings import load
from app.modules.tenants.service import TenantService
from app.modules.tokens.service import TokenService
from app.process import Process
from app.queues.spec import Backoff
from tests.faults import clock, guards
from tests.faults.module import ASK, faults

PLATFORM_SCOPES = ("queues:read", "queues:manage")

registry.MODULES = (*registry.MODULES, faults)
# The six core queues wait for minutes between attempts; here they are to be through with a sin within seconds.
registry.CORE_QUEUES = tuple(
    dataclasses.replace(spec, attempts=2, backoff=Backoff("fixed", 0.2), timeout_s=10) for spec in registry.CORE_QUEUES
)
guards.switch_off(os.environ.get("FAULTS_OFF", ""))
clock.set_ahead(float(os.environ.get("FAULTS_CLOCK_S", "0")))


async def prepare() -> dict[str, str]:
    """Migrate, and make a tenant and two tokens."""
    settings = load(os.environ)
    await migrate.migrate(settings)
    process = Process.open(settings)
    actor = Actor("cli", None, "cli:faults", frozenset(registry.permissions()), Plane.PLATFORM)
    try:
        async with process.database.transaction(actor.scope) as session:
            tenant = await TenantService(session, actor).create("Faults")
            tokens = TokenService(session, actor)
            _, asking = await tokens.create(tenant.id, name="load", scopes=[ASK.name])
            _, watching = await tokens.create(PLATFORM_TENANT, name="judge", scopes=PLATFORM_SCOPES)
    finally:
        await process.close()
    return {"asking": asking, "watching": watching}


if __name__ == "__main__":
    if sys.argv[1:] == ["prepare"]:
        print(json.dumps(asyncio.run(prepare())))
    else:
        cli.main()
