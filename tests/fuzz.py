"""`make fuzz`: schemathesis goes over the whole description of the API, as a tenant's and as the platform's program.

Each gets half of the time; what it sends follows from SEED, so that a failure comes again.
"""

import asyncio
import subprocess
import sys

from app import registry
from tests.flows.owner_app import OwnerApp
from tests.flows.running import ROOT, Running

SEED = 20
HALF_S = 75
PROGRAM = ROOT / ".fuzz" / "bin" / "schemathesis"
CONFIG = ROOT / "tests" / "fuzz.toml"
TENANTS = "/api/owner/tenants"
# Ends the processes that do the work of the others; revokes the token that asks.
NOT_CALLED = r"/workers/\{worker_id\}/stop|^/api/owner/tokens"


async def tokens(running: Running) -> dict[str, str]:
    """What opens `/api/owner` and `/api/v1`, by the beginning of the address."""
    async with OwnerApp(running.address) as owner:
        await owner.become_owner(running.owner_link)
        scopes = sorted(registry.owner_scopes())
        platform = await owner.post("/api/owner/tokens", {"name": "Fuzz", "scopes": scopes})
        tenant = await owner.post(TENANTS, {"name": "Fuzz Press"})
        scopes = sorted(name for name, each in registry.permissions().items() if each.tenant)
        made = await owner.post(f"{TENANTS}/{tenant['id']}/tokens", {"name": "Fuzz", "scopes": scopes})
        # The tenant's goes first: the platform's may well suspend that tenant.
        return {"/api/v1": made["token"], "/api/owner": platform["token"]}


def fuzz(address: str, under: str, token: str) -> int:
    command = [
        *(str(PROGRAM), "--config-file", str(CONFIG), "run", f"{address}/api/openapi.json", "--url", address),
        *("--include-path-regex", f"^{under}/", "--exclude-path-regex", NOT_CALLED),
        *("--header", f"Authorization: Bearer {token}", "--seed", str(SEED), "--max-time", str(HALF_S)),
        *("--no-color", "--continue-on-failure", "--suppress-health-check", "all", "--workers", "1"),
    ]
    return subprocess.run(command, cwd=ROOT / ".fuzz", check=False).returncode


def main() -> int:
    with Running() as running:
        running.restart(ENABLE_RATE_LIMIT="false")
        found = asyncio.run(tokens(running))
        codes = [fuzz(running.address, under, token) for under, token in found.items()]
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
