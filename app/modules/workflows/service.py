"""The rules of definitions: a draft is checked whenever it is saved, and what runs is a version that never changes."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Plane, scope_of
from app.core.errors import Conflict, FieldError, Invalid, NotFound
from app.core.etag import Expected, require
from app.core.events import public
from app.core.ids import new_id
from app.core.live import signal
from app.core.paging import Page, Pager, Sorts
from app.core.policy import Actor
from app.core.wire import one_line
from app.modules.audit.service import record
from app.modules.tenants.service import TenantService
from app.modules.workflows.models import WorkflowDefinition, WorkflowStep, WorkflowVersion
from app.modules.workflows.schemas import (
    CONTINUE,
    END,
    FAIL,
    AiTask,
    Approve,
    Condition,
    Email,
    Graph,
    Publish,
    Step,
    Wait,
    Webhook,
    WorkflowChange,
    WorkflowCreate,
    fill,
    holds,
    value_at,
)

__all__ = [
    "CONTINUE",
    "END",
    "FAIL",
    "TOPIC",
    "AiTask",
    "Approve",
    "Condition",
    "Email",
    "Publish",
    "Step",
    "Wait",
    "Webhook",
    "WorkflowDefinition",
    "WorkflowService",
    "fill",
    "first_step",
    "holds",
    "listening",
    "publishes",
    "step_of",
    "value_at",
]
TOPIC = "workflows"
SORTS = Sorts(
    "-createdAt",
    {
        "createdAt": WorkflowDefinition.id,
        "name": WorkflowDefinition.name,
        "updatedAt": WorkflowDefinition.updated_at,
    },
)


class WorkflowService:
    """The definitions that the session's transaction may see. They are a tenant's as a whole, not a workspace's."""

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor

    async def create(self, new: WorkflowCreate) -> WorkflowDefinition:
        """
        Raises:
            Invalid: naming the field. Conflict (`key_taken`). NotFound: there is no such tenant.
        """
        tenant_id = await self._owner(new.tenant_id)
        values = {
            "id": new_id(),
            "tenant_id": tenant_id,
            "key": new.key,
            "name": one_line("name", new.name, 120),
            "draft": checked(new.graph),
        }
        query = insert(WorkflowDefinition).values(**values).on_conflict_do_nothing().returning(WorkflowDefinition)
        made = await self._session.scalar(query)
        if made is None:
            wrong = FieldError("key", "another workflow has this key")
            raise Conflict("Another workflow has this key", code="key_taken", errors=[wrong])
        await self._trace("workflow.create", made, None)
        return made

    async def get(self, definition_id: UUID, *, lock: bool = False) -> WorkflowDefinition:
        """
        Raises:
            NotFound: there is none, or it is another tenant's.
        """
        self._actor.for_whole_tenant("Workflows")
        query = select(WorkflowDefinition).where(WorkflowDefinition.id == definition_id)
        found = await self._session.scalar(query.with_for_update() if lock else query)
        if found is None:
            raise NotFound("There is no workflow with this id")
        return found

    async def versions(self, definition_id: UUID) -> Sequence[WorkflowVersion]:
        """The newest first."""
        query = select(WorkflowVersion).where(WorkflowVersion.definition_id == definition_id)
        return (await self._session.scalars(query.order_by(WorkflowVersion.number.desc()))).all()

    async def search(
        self, pager: Pager, tenant_id: UUID | None = None, *, limit: int = 25, cursor: str | None = None
    ) -> Page[WorkflowDefinition]:
        """Newest first."""
        self._actor.for_whole_tenant("Workflows")
        query = select(WorkflowDefinition)
        query = query.where(WorkflowDefinition.tenant_id == tenant_id) if tenant_id else query
        of = f"workflows {scope_of(self._session).tenant_id} {tenant_id}"
        key = WorkflowDefinition.id
        return await pager.page(self._session, query, key=key, of=of, limit=limit, cursor=cursor, sorts=SORTS)

    async def update(
        self, definition_id: UUID, change: WorkflowChange, *, expected: Expected = None
    ) -> WorkflowDefinition:
        """Change the draft. What runs stays as it is.

        Raises:
            NotFound, Stale, Invalid.
        """
        values: dict[str, Any] = {} if change.name is UNSET else {"name": one_line("name", change.name, 120)}
        if change.graph is not UNSET:
            values["draft"] = checked(change.graph)
        row = await self.get(definition_id, lock=True)
        require(row.version, expected, "workflow")
        return await self._set("workflow.update", row, values)

    async def publish(self, definition_id: UUID) -> WorkflowDefinition:
        """Make the draft what runs. A draft that is the newest version already makes no second one.

        Raises:
            NotFound; Invalid: the draft does not fit what this program knows by now.
        """
        row = await self.get(definition_id, lock=True)
        graph = decode(row.draft)
        draft = checked(graph)
        checksum = sha256(msgspec.json.encode(draft, order="sorted")).hexdigest()
        newest = next(iter(await self.versions(definition_id)), None)
        if newest is None or newest.checksum != checksum:
            newest = WorkflowVersion(
                id=new_id(),
                tenant_id=row.tenant_id,
                definition_id=row.id,
                number=1 if newest is None else newest.number + 1,
                graph=draft,
                checksum=checksum,
                published_by=self._actor.label,
            )
            self._session.add(newest)
            await self._session.flush()
            self._session.add_all(_steps(newest, graph))
        return await self._set("workflow.publish", row, {"active_version_id": newest.id, "topic": graph.on})

    async def switch_off(self, definition_id: UUID) -> WorkflowDefinition:
        """Start no more instances; those that run go on.

        Raises:
            NotFound. Conflict (`not_published`): it is off.
        """
        row = await self.get(definition_id, lock=True)
        if row.active_version_id is None:
            raise Conflict("No version of this workflow is switched on", code="not_published")
        return await self._set("workflow.switch_off", row, {"active_version_id": None, "topic": None})

    async def active_graph(self, row: WorkflowDefinition) -> Graph:
        """
        Raises:
            Conflict (`not_published`).
        """
        version = await self._session.get(WorkflowVersion, row.active_version_id) if row.active_version_id else None
        if version is None:
            raise Conflict("No version of this workflow is switched on", code="not_published")
        return decode(version.graph)

    async def _owner(self, asked: UUID | None) -> UUID:
        self._actor.for_whole_tenant("Workflows")
        scope = scope_of(self._session)
        if scope.plane is Plane.TENANT:
            if asked not in (None, scope.tenant_id):
                raise Invalid.field("tenantId", "there is no tenant with this id")
            return scope.tenant_id
        if asked is None:
            raise Invalid.field("tenantId", "is wanted")
        return (await TenantService(self._session, self._actor).get(asked)).id

    async def _set(self, action: str, row: WorkflowDefinition, values: dict[str, Any]) -> WorkflowDefinition:
        if all(getattr(row, name) == value for name, value in values.items()):
            return row
        before = _audited(row)
        for name, value in values.items():
            setattr(row, name, value)
        await self._session.flush()
        await self._session.refresh(row, ["updated_at"])
        await self._trace(action, row, before)
        return row

    async def _trace(self, action: str, row: WorkflowDefinition, before: dict[str, Any] | None) -> None:
        resource = ("workflow", row.id, row.name)
        after = _audited(row)
        await record(
            self._session, self._actor, action, resource=resource, before=before, after=after, tenant_id=row.tenant_id
        )
        signal(self._session, TOPIC, row.id, row.tenant_id)


async def listening(session: AsyncSession, tenant_id: UUID, topic: str) -> Sequence[WorkflowDefinition]:
    """The workflows of a tenant that this fact starts."""
    query = select(WorkflowDefinition).where(
        WorkflowDefinition.tenant_id == tenant_id,
        WorkflowDefinition.topic == topic,
        WorkflowDefinition.active_version_id.is_not(None),
    )
    return (await session.scalars(query.order_by(WorkflowDefinition.id))).all()


async def first_step(session: AsyncSession, version_id: UUID) -> str:
    query = select(WorkflowStep.key).where(WorkflowStep.version_id == version_id).order_by(WorkflowStep.position)
    return (await session.scalars(query.limit(1))).one()


async def step_of(session: AsyncSession, version_id: UUID, key: str) -> tuple[Step, str | None]:
    """A step, and the key of the one behind it."""
    query = select(WorkflowStep).where(WorkflowStep.version_id == version_id, WorkflowStep.key == key)
    row = (await session.scalars(query)).one()
    return _step(row), row.next


def _step(row: WorkflowStep) -> Step:
    step: Step = msgspec.convert(row.config | {"type": row.type, "key": row.key}, Step)
    return step


async def publishes(session: AsyncSession, version_id: UUID) -> Sequence[str]:
    """The places of the articles that steps of this version publish: `input.articleId`."""
    query = select(WorkflowStep).where(WorkflowStep.version_id == version_id, WorkflowStep.type == "publish")
    steps = [_step(row) for row in await session.scalars(query)]
    return sorted({step.article for step in steps if isinstance(step, Publish)})


def decode(stored: Any) -> Graph:
    """
    Raises:
        Invalid (`graph`): it is none, by what this program knows.
    """
    try:
        return msgspec.convert(stored, Graph)
    except msgspec.ValidationError as error:
        raise Invalid.field("graph", _where(error)) from None


def parse(text: str) -> Graph:
    """A graph as people type it.

    Raises:
        Invalid (`graph`): it is no JSON, or no graph; the message says where.
    """
    try:
        return msgspec.json.decode(text, type=Graph)
    except msgspec.ValidationError as error:
        raise Invalid.field("graph", _where(error)) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise Invalid.field("graph", f"is not JSON: {error}") from None


def checked(graph: Graph) -> dict[str, Any]:
    """The graph as it is stored.

    Raises:
        Invalid: naming each thing that does not fit together.
    """
    keys = [step.key for step in graph.steps]
    errors = []
    if graph.on is not None and graph.on not in public():
        errors.append(FieldError("graph.on", f"must be one of {', '.join(sorted(public()))}"))
    for n, step in enumerate(graph.steps):
        at = f"graph.steps[{n}]"
        if step.key in (END, FAIL, CONTINUE) or keys.index(step.key) != n:
            errors.append(FieldError(f"{at}.key", f"{step.key!r} stands for something already"))
        errors += [FieldError(at, f"there is no step {name!r} to go to") for name in step.targets if name not in keys]
        errors += [
            FieldError(at, f"{path!r} names no step")
            for path in step.paths
            if path.startswith("steps.") and path.split(".")[1] not in keys
        ]
        if isinstance(step, Condition) and not (step.all or step.any):
            errors.append(FieldError(at, "a condition wants a test in `all` or `any`"))
    stored: dict[str, Any] = msgspec.to_builtins(graph)
    if b"\\u0000" in msgspec.json.encode(stored):
        errors.append(FieldError("graph", "holds the character U+0000, which cannot be stored"))
    if errors:
        raise Invalid("; ".join(f"{error.field}: {error.message}" for error in errors), errors=errors)
    return stored


def _where(error: msgspec.ValidationError) -> str:
    found = FieldError.of_misfit(error, "")
    return f"{found.field}: {found.message}" if found.field else found.message


def _steps(version: WorkflowVersion, graph: Graph) -> list[WorkflowStep]:
    behind = [*(step.key for step in graph.steps[1:]), None]
    rows = []
    for position, (step, following) in enumerate(zip(graph.steps, behind, strict=True)):
        config: dict[str, Any] = msgspec.to_builtins(step)
        named = config.pop("next", None) or following
        rows.append(
            WorkflowStep(
                id=new_id(),
                tenant_id=version.tenant_id,
                version_id=version.id,
                position=position,
                key=config.pop("key"),
                type=config.pop("type"),
                config=config,
                next=None if named == END else named,
            )
        )
    return rows


def _audited(row: WorkflowDefinition) -> dict[str, Any]:
    names = ("key", "name", "draft", "active_version_id", "topic")
    return msgspec.to_builtins({name: getattr(row, name) for name in names})  # type: ignore[no-any-return]
