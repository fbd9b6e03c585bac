"""`teknav` with one more kind, whose handler lets nobody stop it. A worker's patience is scaled down to seconds."""

import asyncio
import os
from contextlib import suppress
from pathlib import Path

from app import cli, registry, worker
from app.module import Module
from app.queues import worker as process
from app.queues.job import processor
from app.queues.work import Work
from tests.queues.kinds import SHELL, Act

process.STOP_S, worker.LEAVE_S = 1.0, 4.5


def begin() -> None:
    Path(os.environ["LEDGER"]).touch()


@processor(Act)
async def act(_: Work, __: Act) -> None:
    begin()
    while True:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()


registry.MODULES = (*registry.MODULES, Module(name="deaf", processors=[act], queues=[SHELL]))

if __name__ == "__main__":
    cli.main()
