"""`teknav up` with small programs in place of web and worker; variables choose how they misbehave."""

import asyncio
import os
import sys
from pathlib import Path

from app.core.settings import load
from app.embedded import supervisor
from app.embedded.errors import CannotStart

HERE = Path(__file__).parent


async def announce(address: str) -> None:
    print(f"ready at {address}", flush=True)


def main() -> int:
    supervisor.READY_S = float(os.environ.get("READY_S", "30"))
    programs = supervisor.Programs(
        *([str(HERE / f"{name}.py")] for name in ("migrate", "web", "worker")),
    )
    verbose = "VERBOSE" in os.environ
    try:
        return asyncio.run(supervisor.run(load(os.environ), verbose=verbose, announce=announce, programs=programs))
    except CannotStart as error:
        print(error, file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
