"""The engine: drives an instance on by one step, whose effects and whose end are in one transaction.

So a worker that is killed anywhere leaves the instance before the step or behind it, and the job's next delivery, or
the job behind it, goes on from there.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Plane
from app.core.errors import Invalid, NotFound, Problem
from app.core.ids import new_id
from app.core.policy import SYSTEM_ACTOR, Actor
from app.modules.ai.service import AiService
from app.modules.approvals.service import ApprovalService, Question
from app.modules.approvals.service import Status as ApprovalStatus
from app.modules.articles.service import ArticleService
from app.modules.email.service import TemplateLetter, send_template, status_of
from app.modules.instances import repository
from app.modules.instances.jobs import ExecuteWorkflowStep
from app.modules.instances.models import Place, Status, StepStatus, WorkflowInstance, WorkflowStepExecution
from app.modules.instances.service import AI_TASK, APPROVAL, DELIVERY, EMAIL, again, announce, end, go_on, trace
from app.modules.plugins.service import DeliveryService, PluginService
from app.modules.workflows.service import (
    CONTINUE,
    END,
    FAIL,
    AiTask,
    Approve,
    Condition,
    Email,
    Publish,
    Step,
    Wait,
    Webhook,
    fill,
    holds,
    publishes,
    step_of,
    value_at,
)
from app.queues.clock import clock
from app.queues.job import processor
from app.queues.work import Work

MOST_TRIES = 500
"""At steps of one instance, so that steps that go back to each other come to an end."""
CLOCK = "clock"
CRASHED = "crashed"
VERSIONS = "versions"
"""In what came of an approval: the number of each article's version that it was about."""
SOON = timedelta(minutes=1)
LONGEST = timedelta(days=1)
"""For another queue's work, where the step does not say."""


@dataclass(frozen=True, slots=True)
class Done:
    """The step has ended well. `to` is where to go; None is the step behind it."""

    output: dict[str, Any] = field(default_factory=dict)
    to: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """The step waits for this, until then at the longest."""

    waiting_for: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Failed:
    """The step has failed, and what it did on the way stays; a `Problem` takes that back. `ends` all of it."""

    code: str
    message: str
    ends: Status | None = None


Outcome = Done | Asked | Failed | None


@processor(ExecuteWorkflowStep)
async def execute_step(work: Work, job: ExecuteWorkflowStep) -> None:
    place = Place(job.step, job.iteration, job.attempt)
    try:
        async with work.transaction("step") as session:
            if session is not None:
                await Engine(session, work.job_id).advance(job.instance_id, place)
                await work.complete(session)
    except Problem as problem:
        if problem.status >= 500:
            raise
        async with work.transaction("failed") as session:
            if session is not None:
                failed = Failed(problem.code, problem.detail)
                await Engine(session, work.job_id).advance(job.instance_id, place, failed)
                await work.complete(session)


@execute_step.dead
async def on_dead(session: AsyncSession, job: ExecuteWorkflowStep, error: str) -> None:
    """A bug, or somebody has removed or cancelled the job: the instance stands still, and says so."""
    instance = await repository.locked(session, job.instance_id)
    if instance is None or instance.finished_at or instance.place != Place(job.step, job.iteration, job.attempt):
        return
    await end(session, instance, Status.FAILED, (CRASHED, "the job of this step did not end; see its dead letter"))
    await trace(session, SYSTEM_ACTOR, "instance.end", instance)
    announce(session, instance)


@execute_step.replayed
async def on_replay(session: AsyncSession, job: ExecuteWorkflowStep) -> None:
    instance, place = await repository.locked(session, job.instance_id), Place(job.step, job.iteration, job.attempt)
    if instance is None or instance.place != place or instance.error_code != CRASHED:
        return
    again(instance)
    if await repository.was_at(session, instance.id, place):
        # What the step was waiting for was given up when the job died, so it begins anew, as a try that counts as none.
        instance.attempt, instance.first_attempt = instance.attempt + 1, instance.first_attempt + 1
        await go_on(session, instance)
    announce(session, instance)


class Engine:
    """One job's view of an instance."""

    def __init__(self, session: AsyncSession, job_id: UUID) -> None:
        self._session = session
        self._job_id = job_id

    async def advance(self, instance_id: UUID, place: Place, failed: Failed | None = None) -> None:
        """Do what is next at this place; nothing where the instance has left it. `failed`: it was tried, in vain."""
        instance = await repository.locked(self._session, instance_id)
        if instance is None or instance.place != place or instance.status == Status.PAUSED or instance.finished_at:
            return
        if instance.status == Status.PENDING and not await self._begins(instance):
            return
        now = clock.moment()
        step, following = await step_of(self._session, instance.version_id, instance.step)
        execution = await repository.open_execution(self._session, instance.id)
        if execution is None and instance.wake_at is not None and instance.wake_at > now:
            await self._rest(instance, now)  # between two tries
            return
        here = Here(self._session, instance, execution)
        outcome: Outcome = failed
        if outcome is None:
            begin, look = _STEPS[type(step)]
            outcome = await (look if execution else begin)(here, step)
        if outcome is None:
            await self._rest(instance, now)
            return
        if execution is None:
            execution = self._open(instance, step)
        if isinstance(outcome, Asked):
            execution.status, execution.waiting_for = StepStatus.WAITING, outcome.waiting_for
            instance.status, instance.wake_at = Status.WAITING, outcome.until
            await self._session.flush()
            await go_on(self._session, instance, at=outcome.until)
        else:
            execution.finished_at, instance.wake_at = now, None
            if isinstance(outcome, Done):
                execution.status, execution.output = StepStatus.SUCCEEDED, outcome.output
                await self._session.flush()
                await self._move(instance, outcome.output, outcome.to or following)
            else:
                await self._failed(instance, execution, step, following, outcome)
        announce(self._session, instance)

    async def _begins(self, instance: WorkflowInstance) -> bool:
        """Whether it is this one's turn, among those with the same key."""
        if instance.concurrency_key is not None:
            await repository.take_turns(self._session, instance.definition_id, instance.concurrency_key)
            first = await repository.in_turn(self._session, instance.definition_id, instance.concurrency_key)
            if first is not None and first.id != instance.id:
                return False
        instance.status = Status.RUNNING
        return True

    async def _rest(self, instance: WorkflowInstance, now: datetime) -> None:
        """Still waiting. The alarm itself may be a moment early by this clock, and has to ring again."""
        if instance.wake_at is not None and now < instance.wake_at < now + SOON:
            await go_on(self._session, instance, at=instance.wake_at)

    def _open(self, instance: WorkflowInstance, step: Step) -> WorkflowStepExecution:
        instance.tries += 1
        execution = WorkflowStepExecution(
            id=new_id(),
            tenant_id=instance.tenant_id,
            instance_id=instance.id,
            step_key=instance.step,
            type=str(step.__struct_config__.tag),
            iteration=instance.iteration,
            attempt=instance.attempt,
            status=StepStatus.WAITING,
            input=msgspec.to_builtins(step),
            job_id=self._job_id,
        )
        self._session.add(execution)
        return execution

    async def _move(self, instance: WorkflowInstance, output: dict[str, Any], to: str | None) -> None:
        """Keep what came of the step, and go to the next; behind the last one is the end."""
        instance.steps = instance.steps | {instance.step: output}
        if to in (None, END):
            await self._end(instance, Status.SUCCEEDED)
            return
        assert to is not None
        if instance.tries >= MOST_TRIES:
            await self._end(instance, Status.FAILED, ("too_many_steps", f"it has tried {MOST_TRIES} steps"))
            return
        instance.step, instance.attempt, instance.first_attempt = to, 1, 1
        instance.iteration = await repository.last_iteration(self._session, instance.id, to) + 1
        instance.status = Status.RUNNING
        await self._session.flush()
        await go_on(self._session, instance)

    async def _failed(
        self,
        instance: WorkflowInstance,
        execution: WorkflowStepExecution,
        step: Step,
        following: str | None,
        failed: Failed,
    ) -> None:
        execution.status, execution.error_code, execution.error_message = (
            StepStatus.FAILED,
            failed.code,
            failed.message,
        )
        tried = instance.attempt - instance.first_attempt + 1
        if failed.ends is not None:
            await self._end(instance, failed.ends, (failed.code, failed.message))
        elif tried < step.tries.tries and instance.tries < MOST_TRIES:
            again = clock.moment() + timedelta(seconds=step.tries.wait_s * 2 ** (tried - 1))
            execution.next_retry_at, instance.wake_at = again, again
            instance.attempt, instance.status = instance.attempt + 1, Status.WAITING
            await self._session.flush()
            await go_on(self._session, instance, at=again)
        elif step.on_error == FAIL:
            await self._end(instance, Status.FAILED, (failed.code, failed.message))
        else:
            output = {"error": {"code": failed.code, "message": failed.message}}
            await self._session.flush()
            await self._move(instance, output, following if step.on_error == CONTINUE else step.on_error)

    async def _end(self, instance: WorkflowInstance, status: Status, error: tuple[str, str] | None = None) -> None:
        await self._session.flush()
        await end(self._session, instance, status, error)
        await trace(self._session, SYSTEM_ACTOR, "instance.end", instance)


@dataclass(frozen=True, slots=True)
class Here:
    """What a step is given. `execution` is its own, once it waits."""

    session: AsyncSession
    instance: WorkflowInstance
    execution: WorkflowStepExecution | None

    @property
    def actor(self) -> Actor:
        """Steps act with the tenant's rights: whoever may write a workflow may do all that its steps do."""
        return Actor("system", None, f"workflow {self.instance.id}", frozenset(), Plane.SYSTEM)

    @property
    def late(self) -> bool:
        return self.instance.wake_at is None or self.instance.wake_at <= clock.moment()

    @property
    def asked_for(self) -> UUID:
        """The id in what it waits for."""
        assert self.execution is not None
        assert self.execution.waiting_for is not None
        return UUID(self.execution.waiting_for.partition(":")[2])

    @property
    def key(self) -> str:
        """What makes an order to another queue the same one when it is repeated."""
        return f"workflow:{self.instance.id}:{':'.join(map(str, self.instance.place))}"

    def deadline(self, step: Step) -> datetime:
        return clock.moment() + (LONGEST if step.timeout_s is None else timedelta(seconds=step.timeout_s))

    def patient(self) -> Failed | None:
        """What it waits for is under way: wait on, but not for ever."""
        return Failed("timed_out", "what it waits for did not end in time") if self.late else None

    def approved(self, article_id: UUID) -> int | None:
        """The newest version of the article that an approval of this instance was about; None where none was."""
        versions = [step.get(VERSIONS, {}) for step in self.instance.steps.values()]
        return max((each[str(article_id)] for each in versions if str(article_id) in each), default=None)

    def article(self, path: str) -> UUID:
        """
        Raises:
            Invalid: no article's id stands there.
        """
        found = _uuid(str(value_at(self.instance.context, path)))
        if found is None:
            raise Invalid.field(path, "is not the id of an article")
        return found


async def publish(here: Here, step: Publish) -> Outcome:
    """The version that was approved, where that was asked: what was written since, nobody has agreed to."""
    articles, article_id = ArticleService(here.session, here.actor), here.article(step.article)
    approved = here.approved(article_id)
    article = await articles.get(article_id)
    if approved is None or approved > (article.published_version or 0):
        article = await articles.publish(article_id, number=approved)
    return Done({"articleId": str(article.id), "status": str(article.status)})


async def begin_task(here: Here, step: AiTask) -> Outcome:
    article = here.article(step.article)
    task = await AiService(here.session, here.actor).start_kind(step.kind, article, step.input, key=here.key)
    return Asked(f"{AI_TASK}{task.id}", here.deadline(step))


async def task_ended(here: Here, step: AiTask) -> Outcome:
    task = await AiService(here.session, here.actor).task(here.asked_for)
    if task.status == "completed":
        return Done({"taskId": str(task.id), "result": task.result})
    if task.status in ("queued", "running"):
        return here.patient()
    return Failed(task.error_code or "ai_task_not_completed", task.error_message or f"the AI task was {task.status}")


async def send(here: Here, step: Email) -> Outcome:
    to = fill(step.to, here.instance.context)
    values = {name: fill(text, here.instance.context) for name, text in step.values.items()}
    letter = TemplateLetter(template=step.template, to=_uuid(to) or to, values=values, key=here.key)
    return Asked(f"{EMAIL}{await send_template(here.session, letter)}", here.deadline(step))


async def sent(here: Here, step: Email) -> Outcome:
    status = await status_of(here.session, here.asked_for)
    if status in ("sent", "suppressed"):
        return Done({"emailId": str(here.asked_for), "status": status})
    return here.patient() if status == "queued" else Failed("email_not_sent", f"the mail was {status or 'removed'}")


async def deliver(here: Here, step: Webhook) -> Outcome:
    data = {name: value_at(here.instance.context, path) for name, path in step.data.items()}
    plugins = PluginService(here.session, here.actor)
    delivery = await plugins.deliver(_uuid(step.to) or step.to, type=step.event, data=data, key=here.key)
    return Asked(f"{DELIVERY}{delivery.id}", here.deadline(step))


async def delivered(here: Here, step: Webhook) -> Outcome:
    delivery = await DeliveryService(here.session, here.actor).get(here.asked_for)
    if delivery.status == "delivered":
        return Done({"deliveryId": str(delivery.id), "status": delivery.status})
    return here.patient() if delivery.status == "queued" else Failed("not_delivered", f"it was {delivery.status}")


async def wait(here: Here, step: Wait) -> Outcome:
    return Asked(CLOCK, clock.moment() + timedelta(seconds=step.seconds))


async def waited(here: Here, step: Wait) -> Outcome:
    return Done() if here.late else None


async def ask(here: Here, step: Approve) -> Outcome:
    versions, about = {}, [fill(step.note, here.instance.context)]
    for path in await publishes(here.session, here.instance.version_id):
        with suppress(Invalid, NotFound):
            article = await ArticleService(here.session, here.actor).get(here.article(path))
            versions[str(article.id)] = article.draft_version
            about.append(f"It is about version {article.draft_version} of “{article.title}”.")
    here.instance.steps = here.instance.steps | {step.key: {VERSIONS: versions}}
    names = await repository.workflow_names(here.session, {here.instance.definition_id})
    question = Question(
        title=fill(step.title, here.instance.context)[:500],
        note="\n\n".join(filter(None, about))[:8000],
        origin=f"{names[here.instance.definition_id]}, step {step.key}",
        link=f"/workflows/instances/{here.instance.id}",
        tenant_id=here.instance.tenant_id,
        requested_by=here.instance.started_by,
        self_approval=step.self_approval,
        needed=step.needed,
        lasts=timedelta(seconds=step.expires_s),
    )
    approval = await ApprovalService(here.session, here.actor).ask(question)
    return Asked(f"{APPROVAL}{approval.id}", approval.expires_at)


async def answered(here: Here, step: Approve) -> Outcome:
    approvals = ApprovalService(here.session, here.actor)
    approval = await approvals.get(here.asked_for)
    if approval.status == ApprovalStatus.PENDING and here.late:
        await approvals.close(approval.id, ApprovalStatus.EXPIRED)
    output: dict[str, Any] = {"approvalId": str(approval.id), "status": str(approval.status)}
    agreed = output | here.instance.steps.get(step.key, {})
    match approval.status:
        case ApprovalStatus.PENDING:
            return None
        case ApprovalStatus.APPROVED:
            return Done(agreed)
        case ApprovalStatus.REJECTED if step.rejected is not None:
            return Done(output, step.rejected)
        case ApprovalStatus.EXPIRED if step.on_timeout == "resume":
            return Done(agreed)
        case ApprovalStatus.EXPIRED if step.on_timeout == "cancel":
            return Failed("expired", "nobody has decided in time", Status.CANCELLED)
        case ApprovalStatus.EXPIRED:
            return Failed("expired", "nobody has decided in time")
    return Failed(approval.status, f"the approval was {approval.status}")


async def decide(here: Here, step: Condition) -> Outcome:
    context = here.instance.context
    held = all(holds(test, context) for test in step.all) and (
        not step.any or any(holds(test, context) for test in step.any)
    )
    return Done({"held": held}, step.then if held else step.otherwise)


async def never(here: Here, step: Step) -> Outcome:
    raise AssertionError("a step of this type does not wait")


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


Handler = Callable[[Here, Any], Awaitable[Outcome]]
_STEPS: dict[type, tuple[Handler, Handler]] = {
    AiTask: (begin_task, task_ended),
    Publish: (publish, never),
    Email: (send, sent),
    Webhook: (deliver, delivered),
    Wait: (wait, waited),
    Approve: (ask, answered),
    Condition: (decide, never),
}
"""What begins a step of a type, and what looks whether it has ended."""
