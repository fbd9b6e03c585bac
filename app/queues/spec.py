"""What a queue is: how often it tries, how long it waits, how much it runs at once."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from msgspec import Struct


@dataclass(frozen=True, slots=True)
class Backoff:
    """The wait before the next attempt: the same each time, or doubling."""

    kind: Literal["fixed", "exponential"]
    first_s: float

    def wait_s(self, attempts_made: int) -> float:
        """Seconds to wait after the n-th attempt failed, n from 1; the same sum that BullMQ does."""
        return self.first_s if self.kind == "fixed" else self.first_s * 2 ** (attempts_made - 1)


class Rate(Struct, frozen=True):
    """At most so many starts in so many seconds: at once, if none was for so long, and evenly from then on."""

    jobs: int
    per_s: float


class Limits(Struct, frozen=True):
    """What a queue may do over all worker processes together; None is no limit."""

    rate: Rate | None = None
    running: int | None = None
    """Jobs that run at once."""
    running_per_tenant: int | None = None
    """Jobs of one tenant that run at once, so that one tenant's thousands do not keep the others waiting."""


UNLIMITED = Limits()


@dataclass(frozen=True, slots=True)
class QueueSpec:
    """One queue. `name` is what people and the API see; BullMQ's own names have `-` for `:`."""

    name: str
    attempts: int
    backoff: Backoff
    timeout_s: float
    concurrency: int | None = None
    """Jobs of this queue one worker process runs at once; None takes WORKER_CONCURRENCY."""
    limits: Limits = UNLIMITED
    """As declared; the owner may change them, see `QueueRow.limits`."""
    completed_kept: int = 1000
    completed_kept_for: timedelta = timedelta(hours=24)
    letters_kept_for: timedelta = timedelta(days=7)
    """In Redis, as all three; the row in the record is the letter that people see, and stays."""

    @property
    def engine_name(self) -> str:
        return self.name.replace(":", "-")

    @property
    def dead_letters(self) -> str:
        """The name of its dead-letter queue, `dlq:ai:content`."""
        return f"dlq:{self.name}"

    @property
    def dead_letters_engine_name(self) -> str:
        return self.dead_letters.replace(":", "-")

    def engine_options(self) -> dict[str, Any]:
        return {
            "backoff": {"type": self.backoff.kind, "delay": round(self.backoff.first_s * 1000)},
            "removeOnComplete": {"count": self.completed_kept, "age": self.completed_kept_for.total_seconds()},
        }
