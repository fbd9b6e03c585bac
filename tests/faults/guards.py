"""The product with one of its guards switched off, to show that the judge then finds what the guard prevents.

Each function takes something out of the running program. A name that is not there any more is an error: the proof
has to follow the product.
"""

import math
import os
import signal
from collections.abc import Callable
from typing import Any

from app import worker as worker_root
from app.core import snapshot, unit_of_work
from app.core.live import Hub
from app.modules.queues import service
from app.queues import consumer, record
from app.queues.clock import Clock
from app.queues.relay import Reconciler, Relay


def _replace(owner: Any, name: str, value: Any) -> None:
    if not hasattr(owner, name):
        raise AttributeError(f"{owner!r} has no {name}: this proof has to be written anew")
    setattr(owner, name, value)


async def _nothing(*_: Any, **__: Any) -> int:
    return 0


def no_relay() -> None:
    """What a request could not push is pushed by nobody."""
    _replace(Relay, "push_pending", _nothing)


def no_reconciler() -> None:
    """Nobody looks whether Redis still has what the record says."""
    _replace(Reconciler, "check_epoch", _nothing)
    _replace(Reconciler, "sweep", _nothing)


def no_effect_rows() -> None:
    """Every delivery takes every step again."""

    async def always(*_: Any, **__: Any) -> bool:
        return True

    _replace(record, "mark_effect", always)


def no_hand_back() -> None:
    """A worker that is told to stop drops what it has in hand."""
    run = worker_root.run

    async def careless(*args: Any, **kwargs: Any) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: os._exit(0))
        worker_root.asyncio.get_running_loop().add_signal_handler = lambda *_: None  # type: ignore[method-assign]
        await run(*args, **kwargs)

    _replace(worker_root, "run", careless)


def no_idempotency() -> None:
    """A request that is sent again is taken for a new one."""

    class Forgetful(unit_of_work.Once):
        async def begin(self, session: Any) -> None:
            pass

        def finish(self, *_: Any) -> None:
            pass

    _replace(unit_of_work, "Once", Forgetful)


def no_compare_and_set() -> None:
    """A replay neither locks the letter nor looks whether it still is one."""

    async def letter(self: Any, queue: str, job_id: Any) -> Any:
        return await self._job(queue, job_id)

    async def run_again(session: Any, ids: Any) -> Any:
        values = record._NEW_RUN | {"state": record.State.PENDING, "attempts_made": 0, "delayed": False}
        return await record._returned(
            session, record.update(record.JobRow).where(record.JobRow.id.in_(ids)).values(values)
        )

    _replace(service.QueueService, "_letter", letter)
    _replace(record, "run_again", run_again)


def no_quarantine() -> None:
    """A job that was in hand when its worker died runs among the others again."""
    _replace(worker_root, "suspects_of", lambda _: None)


def no_patience() -> None:
    """Who loses its worker twice is dead, as BullMQ has it."""
    _replace(consumer, "STALLS_ALLOWED", 1)


def no_clock() -> None:
    """Nobody asks Redis what time it is."""
    _replace(Clock, "measure", _nothing)


def no_new_readings() -> None:
    """What many look at is read once and never again, whatever a signal or the time says."""
    _replace(Hub, "heard", lambda *_: 0.0)
    _replace(snapshot, "GOOD_FOR_S", math.inf)


GUARDS: dict[str, Callable[[], None]] = {
    "relay": no_relay,
    "reconciler": no_reconciler,
    "effect-rows": no_effect_rows,
    "hand-back": no_hand_back,
    "idempotency": no_idempotency,
    "compare-and-set": no_compare_and_set,
    "quarantine": no_quarantine,
    "patience": no_patience,
    "clock": no_clock,
    "new-readings": no_new_readings,
}


def switch_off(names: str) -> None:
    for name in filter(None, names.split(",")):
        GUARDS[name]()
