"""Declaring work: `class SummarizeArticle(Job, kind="summarize_article", queue="ai:content")`.

A payload carries ids, not bodies, and never a secret: it is stored, queued and shown.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import msgspec
from msgspec import Struct, StructMeta
from sqlalchemy.ext.asyncio import AsyncSession

from app.queues.spec import QueueSpec

if TYPE_CHECKING:
    from app.queues.work import Work


class _JobMeta(StructMeta):
    def __new__(
        mcs,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        *,
        kind: str = "",
        queue: str = "",
        **opts: Any,
    ) -> "_JobMeta":
        namespace |= {"kind": kind, "queue": queue}
        return super().__new__(mcs, name, bases, namespace, **opts)


class Job(Struct, metaclass=_JobMeta, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """The payload of one kind of job."""

    kind: ClassVar[str]
    queue: ClassVar[str]


J = TypeVar("J", bound=Job)
Handle = Callable[["Work", Any], Awaitable[dict[str, Any] | None]]
OnDead = Callable[[AsyncSession, Any, str], Awaitable[None]]
OnReplay = Callable[[AsyncSession, Any], Awaitable[None]]


@dataclass(slots=True)
class Processor:
    """What runs one kind, within `timeout_s` seconds; None takes the queue's limit.

    `on_dead(session, payload, error)` runs in the transaction that makes the job dead, and
    `on_replay(session, payload)` in the one that gives the dead job a new run.
    """

    payload: type[Job]
    handle: Handle
    on_dead: OnDead | None = None
    on_replay: OnReplay | None = None
    timeout_s: float | None = None

    def dead(self, on_dead: OnDead) -> OnDead:
        """Decorator: what to do when a job of this kind is out of attempts."""
        self.on_dead = on_dead
        return on_dead

    def replayed(self, on_replay: OnReplay) -> OnReplay:
        """Decorator: what to do when a dead job of this kind is to run again."""
        self.on_replay = on_replay
        return on_replay


def processor(payload: type[Job], *, timeout_s: float | None = None) -> Callable[[Handle], Processor]:
    """Decorator: the coroutine `(work, payload) -> result` runs jobs of this kind.

    Args:
        timeout_s: how long one attempt may take; None takes the queue's limit.
    """
    return lambda handle: Processor(payload, handle, timeout_s=timeout_s)


class Kinds:
    """Every kind of job that this program knows, each with its processor.

    Raises:
        RuntimeError: two processors claim one kind, or a kind names a queue that nobody declared.
    """

    def __init__(self, processors: tuple[Processor, ...], queues: frozenset[str]) -> None:
        self._by_kind: dict[str, Processor] = {}
        for item in processors:
            kind = item.payload.kind
            if kind in self._by_kind:
                raise RuntimeError(f"Two processors for the job kind {kind!r}")
            if item.payload.queue not in queues:
                raise RuntimeError(
                    f"The job kind {kind!r} names the queue {item.payload.queue!r}, which is not declared"
                )
            self._by_kind[kind] = item

    def require(self, declared: Iterable[type[Job]]) -> None:
        """
        Raises:
            RuntimeError: naming each kind that nothing would run.
        """
        bare = [kind.__name__ for kind in declared if kind.kind not in self._by_kind]
        if bare:
            raise RuntimeError(f"Job kinds without a processor: {', '.join(sorted(bare))}")

    def __getitem__(self, kind: str) -> Processor:
        return self._by_kind[kind]

    def get(self, kind: str) -> Processor | None:
        return self._by_kind.get(kind)

    def limit_s(self, kind: str, spec: QueueSpec) -> float:
        """How many seconds an attempt at a job of this kind may take, in this queue."""
        found = self.get(kind)
        return spec.timeout_s if found is None or found.timeout_s is None else found.timeout_s

    def limits_s(self, spec: QueueSpec) -> dict[str, float]:
        """Of a queue, the kinds with a time limit of their own."""
        found = sorted(self._by_kind.items())
        return {kind: one.timeout_s for kind, one in found if one.payload.queue == spec.name and one.timeout_s}

    async def tell_dead(self, session: AsyncSession, kind: str, payload: dict[str, Any], error: str) -> None:
        """Let the kind's processor know, in the transaction that ends the job, that it will never complete."""
        processor = self.get(kind)
        if processor is not None and processor.on_dead is not None and (job := self._readable(kind, payload)):
            await processor.on_dead(session, job, error)

    async def tell_replayed(self, session: AsyncSession, kind: str, payload: dict[str, Any]) -> None:
        """Let the kind's processor know, in the transaction of the replay, that the job is unfinished again."""
        processor = self.get(kind)
        if processor is not None and processor.on_replay is not None and (job := self._readable(kind, payload)):
            await processor.on_replay(session, job)

    def _readable(self, kind: str, payload: dict[str, Any]) -> Job | None:
        """None: what its processor cannot read, its processor cannot mourn."""
        try:
            return self.decode(kind, payload)
        except msgspec.ValidationError:
            return None

    def decode(self, kind: str, payload: dict[str, Any]) -> Job:
        """
        Raises:
            msgspec.ValidationError: the payload does not fit the kind.
        """
        return msgspec.convert(payload, self._by_kind[kind].payload)


def declared() -> list[type[Job]]:
    """Every kind that the program's own modules have declared so far."""
    return [kind for kind in Job.__subclasses__() if kind.__module__.startswith("app.")]
