"""`/api/owner/ai/runs`, `messages`, `event-logs` and `usage`, for the owner; `/api/v1/ai/usage`, for tenants' apps."""

from typing import Annotated

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.moments import moment
from app.core.paging import Pager
from app.core.queries import one_of, text_of, uuid_of
from app.modules.runs.models import RunStatus
from app.modules.runs.permissions import READ, USE
from app.modules.runs.repository import EntryFilter, RunFilter, Spent, UsedPart
from app.modules.runs.schemas import (
    MESSAGES_SEEN,
    RUN_ANSWERS,
    AiEventPage,
    AiMessagePage,
    AiRunPage,
    AiUsageList,
    AiUsagePart,
    AiUsageParts,
    AiUsageRead,
    By,
    Level,
    read,
)
from app.modules.runs.service import EVENT_SORTS, MESSAGE_SORTS, SORTS, Runs

Text = str | None
Tenant = Annotated[Text, QueryParameter(name="tenantId")]
Task = Annotated[Text, QueryParameter(name="taskId")]
Run = Annotated[Text, QueryParameter(name="runId")]
Type = Annotated[Text, QueryParameter(name="type")]
Since = Annotated[Text, QueryParameter(name="from")]
Until = Annotated[Text, QueryParameter(name="to")]


def provide_runs(session: NamedDependency[AsyncSession]) -> Runs:
    return Runs(session)


def provide_run_filter(
    status: FromQuery[Text] = None,
    tenant: Tenant = None,
    task: Task = None,
    since: Since = None,
    until: Until = None,
) -> RunFilter:
    """The filters of the address; an empty one is none, as browsers send it. So is the one below.

    Raises:
        Invalid: naming the parameter.
    """
    return RunFilter(
        one_of("status", status, RunStatus),
        uuid_of("tenantId", tenant),
        uuid_of("taskId", task),
        moment("from", since),
        moment("to", until, end=True),
    )


def provide_entry_filter(
    tenant: Tenant = None,
    task: Task = None,
    run: Run = None,
    level: FromQuery[Text] = None,
    type_: Type = None,
    since: Since = None,
    until: Until = None,
) -> EntryFilter:
    return EntryFilter(
        uuid_of("tenantId", tenant),
        uuid_of("taskId", task),
        uuid_of("runId", run),
        one_of("level", level, Level),
        text_of("type", type_),
        moment("from", since),
        moment("to", until, end=True),
    )


class UsageController(Controller):
    path = "/ai/usage"

    @get("/", permission=USE)
    async def show(self, runs: NamedDependency[Runs], month: FromQuery[Text] = None) -> AiUsageList:
        """Read what the tenant's AI runs used in a month, this one where none is named."""
        return _usage(await runs.usage(month))

    @get("/parts", permission=USE)
    async def parts(
        self, runs: NamedDependency[Runs], by: FromQuery[By], month: FromQuery[Text] = None
    ) -> AiUsageParts:
        """Read what the tenant's AI runs used in a month, by day, kind of task or model."""
        return _parts(by, await runs.parts(by, month))


class OwnerRunController(Controller):
    """All lists are newest first."""

    path = "/ai"

    @get("/usage", permission=USE, cached=RUN_ANSWERS)
    async def usage(self, runs: NamedDependency[Runs], month: FromQuery[Text] = None) -> AiUsageList:
        """Read what all tenants' AI runs used in a month, the dearest tenant first."""
        return _usage(await runs.usage(month))

    @get("/usage/parts", permission=USE, cached=RUN_ANSWERS)
    async def parts(
        self, runs: NamedDependency[Runs], by: FromQuery[By], month: FromQuery[Text] = None, tenant: Tenant = None
    ) -> AiUsageParts:
        """Read what AI runs of all tenants or of one used in a month, by day, kind of task or model."""
        return _parts(by, await runs.parts(by, month, uuid_of("tenantId", tenant)))

    @get("/runs", permission=READ, sorts=SORTS, cached=RUN_ANSWERS)
    async def runs(
        self,
        runs: NamedDependency[Runs],
        pager: NamedDependency[Pager],
        wanted_runs: NamedDependency[RunFilter],
        limit: FromQuery[int] = 25,
        cursor: FromQuery[Text] = None,
    ) -> AiRunPage:
        """List the runs of AI tasks, newest first."""
        return read(await runs.runs(pager, wanted_runs, limit=limit, cursor=cursor), AiRunPage)

    @get("/messages", permission=READ, access=MESSAGES_SEEN, sorts=MESSAGE_SORTS, cached=RUN_ANSWERS)
    async def messages(
        self,
        runs: NamedDependency[Runs],
        pager: NamedDependency[Pager],
        wanted_entries: NamedDependency[EntryFilter],
        limit: FromQuery[int] = 25,
        cursor: FromQuery[Text] = None,
    ) -> AiMessagePage:
        """List what was said to providers and what they answered, newest first."""
        return read(await runs.messages(pager, wanted_entries, limit=limit, cursor=cursor), AiMessagePage)

    @get("/event-logs", permission=READ, sorts=EVENT_SORTS, cached=RUN_ANSWERS)
    async def events(
        self,
        runs: NamedDependency[Runs],
        pager: NamedDependency[Pager],
        wanted_entries: NamedDependency[EntryFilter],
        limit: FromQuery[int] = 25,
        cursor: FromQuery[Text] = None,
    ) -> AiEventPage:
        """List what happened in AI runs, newest first."""
        return read(await runs.events(pager, wanted_entries, limit=limit, cursor=cursor), AiEventPage)


def _usage(found: tuple[str, list[Spent]]) -> AiUsageList:
    return AiUsageList(month=found[0], items=[read(row, AiUsageRead) for row in found[1]])


def _parts(by: By, found: tuple[str, list[UsedPart]]) -> AiUsageParts:
    return AiUsageParts(month=found[0], by=by, items=[read(row, AiUsagePart) for row in found[1]])
