"""The record of work. Redis can be rebuilt from these tables."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, SmallInteger, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.ids import new_id
from app.core.models import Base, Json


class State(StrEnum):
    """Where a job stands. `pending` is committed and not yet in Redis; `dead` is the dead letter."""

    PENDING = "pending"
    QUEUED = "queued"
    ACTIVE = "active"
    COMPLETED = "completed"
    RETRYING = "retrying"
    WAITING_CHILDREN = "waiting_children"
    DEAD = "dead"
    CANCELLED = "cancelled"
    REMOVED = "removed"


IN_LINE = (State.PENDING, State.QUEUED, State.RETRYING)
"""What waits in a queue, for a worker or first for its time."""
UNFINISHED = (State.PENDING, State.QUEUED, State.ACTIVE, State.RETRYING, State.WAITING_CHILDREN)


class JobRow(Base):
    """One piece of work: written with the change that wants it, run by a worker, kept by month."""

    __tablename__ = "job"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    tenant_id: Mapped[UUID]
    queue: Mapped[str]
    kind: Mapped[str]
    payload: Mapped[Json]
    priority: Mapped[int] = mapped_column(server_default="0")
    state: Mapped[str] = mapped_column(server_default=State.PENDING)
    delayed: Mapped[bool] = mapped_column(server_default=text("false"))
    """Waits for `run_at`, pending, queued or retrying. A loop takes it back when that time has come."""
    run_at: Mapped[datetime] = mapped_column(server_default=func.now())
    max_attempts: Mapped[int]
    attempts_made: Mapped[int] = mapped_column(server_default="0")
    """Attempts of this run that ended; what a dying worker took along is none."""
    attempt: Mapped[int] = mapped_column(server_default="0")
    """The number of the current attempt: every start of this run counts, so that only the latest may end the job."""
    run: Mapped[int] = mapped_column(server_default="0")
    key: Mapped[str | None]
    """While the job is unfinished, no other of its tenant and queue has this key; a new run takes it again."""
    correlation_id: Mapped[UUID | None]
    request_id: Mapped[str | None]
    error_class: Mapped[str | None]
    error_message: Mapped[str | None]
    error_fingerprint: Mapped[str | None]
    result: Mapped[Json | None]
    worker: Mapped[UUID | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    duration_ms: Mapped[int | None]
    parent_id: Mapped[UUID | None]
    required: Mapped[bool] = mapped_column(server_default=text("true"))
    """Of a child: its parent cannot run unless this one is completed."""
    children: Mapped[int] = mapped_column(server_default="0")
    """Of a parent: how many jobs it waits for."""
    progress: Mapped[int | None] = mapped_column(SmallInteger)
    """Percent, as the processor told."""
    progress_note: Mapped[str | None]
    cancel_requested_at: Mapped[datetime | None]
    """Somebody wants this active job to stop; its worker does it."""
    cancel_requested_by: Mapped[str | None]
    removed_from: Mapped[str | None]
    """The state that the job had when it was removed."""
    removed_at: Mapped[datetime | None]
    """Set while the job lies in the trash, from where it can come back."""
    edited_from: Mapped[UUID | None]
    """The dead letter whose payload was changed to make this job."""
    foreign_id: Mapped[str | None] = mapped_column("engine_id")
    """BullMQ's id of a job that another program put into Redis."""

    __table_args__ = (
        CheckConstraint("NOT delayed OR state IN ('pending', 'queued', 'retrying')", name="delayed"),
        # A page of a list is one stretch of this index for each pair of state and `delayed` that it shows.
        Index("ix_job_place", "queue", "state", "delayed", text("id DESC")),
        Index("ix_job_due", "run_at", postgresql_where=text("delayed")),
        Index("ix_job_kind", "queue", "kind", text("id DESC")),
        Index("ix_job_error", "queue", text("id DESC"), postgresql_where=text("error_message IS NOT NULL")),
        Index("ix_job_tenant_state", "tenant_id", "state", text("id DESC")),
        Index("ix_job_state", "state", "run_at", postgresql_where=text("finished_at IS NULL")),
        Index("ix_job_parent", "parent_id", "finished_at", postgresql_where=text("parent_id IS NOT NULL")),
        Index("ix_job_dead", "queue", "error_fingerprint", text("id DESC"), postgresql_where=text("state = 'dead'")),
        Index("ix_job_trash", "removed_at", postgresql_where=text("removed_at IS NOT NULL")),
        Index(
            "ix_job_cancel",
            "cancel_requested_at",
            postgresql_where=text("cancel_requested_at IS NOT NULL AND finished_at IS NULL"),
        ),
        Index("ix_job_correlation", "correlation_id"),
        Index("ix_job_edited_from", "edited_from", postgresql_where=text("edited_from IS NOT NULL")),
        {"postgresql_partition_by": "RANGE (id)"},
    )

    @property
    def last_attempt(self) -> bool:
        """Whether a failure of the attempt at hand is the end."""
        return self.attempts_made + 1 >= self.max_attempts

    @property
    def engine_id(self) -> str:
        """BullMQ's id of this run. A new run has a new one: BullMQ ignores an id that it still knows."""
        return self.engine_id_of(self.run)

    def engine_id_of(self, run: int) -> str:
        """BullMQ's id of one of this job's runs; only the first run of another program's job has its own."""
        return self.foreign_id if self.foreign_id and not run else engine_id_of(self.id, run)


@dataclass(slots=True, eq=False)
class JobInHand:
    """A job's row as far as an attempt needs it, and without the ORM, because every attempt reads one."""

    id: UUID
    run: int
    attempt: int
    """0 while no attempt of this run was ever made."""
    attempts_made: int
    max_attempts: int
    tenant_id: UUID
    queue: str
    kind: str
    children: int
    parent_id: UUID | None
    correlation_id: UUID | None
    request_id: str | None
    payload: dict[str, Any]

    @property
    def last_attempt(self) -> bool:
        """Whether a failure of the attempt at hand is the end."""
        return self.attempts_made + 1 >= self.max_attempts


AnyJob = JobRow | JobInHand


def engine_id_of(job_id: UUID, run: int) -> str:
    return f"{job_id}.r{run}" if run else str(job_id)


def job_id_of(engine_id: str) -> UUID | None:
    """None when the id is not one of ours."""
    try:
        return UUID(engine_id.partition(".r")[0])
    except ValueError:
        return None


class AttemptRow(Base):
    """One try. Filed under the job's month, so that a month goes as one."""

    __tablename__ = "job_attempt"
    job_id: Mapped[UUID] = mapped_column(primary_key=True)
    run: Mapped[int] = mapped_column(primary_key=True)
    n: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID]
    worker: Mapped[UUID]
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    ended_at: Mapped[datetime | None]
    error_class: Mapped[str | None]
    error_message: Mapped[str | None]
    stack: Mapped[str | None]
    log: Mapped[list[str]] = mapped_column(server_default=text("'[]'::jsonb"))

    __table_args__ = ({"postgresql_partition_by": "RANGE (job_id)"},)


class EffectRow(Base):
    """A step of a job that is done. Written in the step's own transaction; a second insert finds it."""

    __tablename__ = "job_effect"
    job_id: Mapped[UUID] = mapped_column(primary_key=True)
    step: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = ({"postgresql_partition_by": "RANGE (job_id)"},)


class Outcome(StrEnum):
    """How a run of a job, or only an attempt, came to its end."""

    COMPLETED = "completed"
    FAILED = "failed"
    """An attempt failed, and another one follows."""
    DEAD = "dead"
    CANCELLED = "cancelled"
    REMOVED = "removed"
    """By a person, or with its tenant, before it had ended."""


class EndedRow(Base):
    """How many ended, in the transaction in which they did.

    Rows are only appended, so that those who end jobs do not wait for each other. The leader makes one row of those of
    a queue and an outcome, in the platform's name, where they outlive their tenant, their jobs and the months of these.
    """

    __tablename__ = "job_ended"
    __table_args__ = (
        CheckConstraint("outcome IN ('completed', 'failed', 'dead', 'cancelled', 'removed')", name="outcome"),
    )
    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    queue: Mapped[str] = mapped_column(primary_key=True)
    outcome: Mapped[str] = mapped_column(primary_key=True)
    n: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    jobs: Mapped[int] = mapped_column(BigInteger)


class KeyRow(Base):
    """At most one unfinished job under a key. Not partitioned, because a partitioned table cannot promise that."""

    __tablename__ = "job_key"
    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    queue: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    job_id: Mapped[UUID] = mapped_column(index=True)
    kept: Mapped[bool] = mapped_column(server_default=text("false"))
    """True for schedule keys, which outlive the job's end."""

    # A schedule's keys end in the time they are for, so its newest are found by reading backwards, byte by byte.
    __table_args__ = (
        Index("ix_job_key_kept", "key", postgresql_ops={"key": "text_pattern_ops"}, postgresql_where=text("kept")),
    )


class QueueRow(Base):
    """What a person has set for a queue; no row means nothing is set."""

    __tablename__ = "queue"
    name: Mapped[str] = mapped_column(primary_key=True)
    paused_at: Mapped[datetime | None]
    paused_by: Mapped[str | None]
    paused_reason: Mapped[str | None]
    limits: Mapped[Json | None]
    """`spec.Limits` in place of the declared ones."""


class WorkerState(StrEnum):
    """What a worker process does. One that is quiet finishes what it has in hand."""

    RUNNING = "running"
    QUIET = "quiet"
    STOPPING = "stopping"


class Command(StrEnum):
    """What a worker process is told to do; none is to run."""

    QUIET = "quiet"
    STOP = "stop"


class WorkerRow(Base):
    """A worker process, as its last heartbeat told."""

    __tablename__ = "worker"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    host: Mapped[str]
    pid: Mapped[int]
    version: Mapped[str]
    queues: Mapped[list[str]]
    state: Mapped[str] = mapped_column(server_default=WorkerState.RUNNING)
    command: Mapped[str | None]
    """What a person wants of it; it obeys within seconds."""
    jobs: Mapped[int]
    in_hand: Mapped[list[Json]] = mapped_column(server_default=text("'[]'::jsonb"))
    """The first of its jobs: id, kind, queue, and since when, in seconds since 1970."""
    leads: Mapped[bool] = mapped_column(server_default=text("false"))
    lag_ms: Mapped[float | None]
    """How late its event loop was at worst since the heartbeat before."""
    memory_bytes: Mapped[int | None] = mapped_column(BigInteger)
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    beat_at: Mapped[datetime] = mapped_column(server_default=func.now())


class LeaseRow(Base):
    """Who leads a loop. A row instead of an advisory lock, which breaks behind a transaction pooler."""

    __tablename__ = "lease"
    name: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[UUID]
    expires_at: Mapped[datetime]


class ScheduleRow(Base):
    """When a schedule runs. As the code declares it, unless `changed_at` says that a person decided otherwise."""

    __tablename__ = "schedule"
    name: Mapped[str] = mapped_column(primary_key=True)
    queue: Mapped[str] = mapped_column(server_default="")
    kind: Mapped[str] = mapped_column(server_default="")
    cron: Mapped[str | None]
    every_s: Mapped[int | None]
    timezone: Mapped[str] = mapped_column(server_default="UTC")
    missed: Mapped[str] = mapped_column(server_default="once")
    next_run_at: Mapped[datetime]
    last_run_at: Mapped[datetime | None]
    by_hand_at: Mapped[datetime | None]
    by_hand_job: Mapped[UUID | None]
    changed_at: Mapped[datetime | None]
    changed_by: Mapped[str | None]
    paused_at: Mapped[datetime | None]
    paused_by: Mapped[str | None]
    paused_reason: Mapped[str | None]
    version: Mapped[int] = mapped_column(server_default="1")
    """Counts what people changed, not the runs."""


class LoopRow(Base):
    """The last round of one of the leading process's loops."""

    __tablename__ = "loop"
    name: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[UUID]
    every_s: Mapped[float]
    ran_at: Mapped[datetime]
    took_ms: Mapped[float]
    cut_off: Mapped[int]
    """Rounds of this process that were ended because they took too long."""
    error: Mapped[str | None]
    error_at: Mapped[datetime | None]
    """When the last error happened; the rounds since then may have gone well."""
