"""What a processor gets: its job, and transactions that count each step once."""

from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Database, Plane, Scope
from app.core.direct import Direct
from app.core.ids import PLATFORM_TENANT
from app.core.threads import in_thread
from app.queues import record
from app.queues.batch import Claim
from app.queues.children import Child
from app.queues.children import children as children_of
from app.queues.failure import RecordAway, Superseded, plain
from app.queues.progress import Teller, Told
from app.queues.quota import inside_a_job

MAX_LOG_LINES = 200
MAX_LINE = 2_000
MAX_NOTE = 500
R = TypeVar("R")


def scope_for_job(tenant_id: UUID) -> Scope:
    """A tenant's job runs with that tenant's rights only; the platform's own jobs with the platform's."""
    return Scope(Plane.PLATFORM if tenant_id == PLATFORM_TENANT else Plane.TENANT, tenant_id)


class Work:
    """One attempt at one job. Redis delivers at least once, so effects belong in `transaction`.

    Never hold a transaction open across a call to a third party.
    """

    def __init__(self, database: Database, claim: Claim, resources: Mapping[type, Any]) -> None:
        self._database = database
        self._resources = resources
        self.claim = claim
        self._row = claim.row
        self.scope = scope_for_job(claim.row.tenant_id)
        self.completed = False
        self._over = False
        self.lines: list[str] = []
        self._teller = Teller(self._tell)

    @property
    def job_id(self) -> UUID:
        return self._row.id

    @property
    def tenant_id(self) -> UUID:
        return self._row.tenant_id

    @property
    def attempt(self) -> int:
        """Which try this is, from 1."""
        return self._row.attempt

    @property
    def this_try(self) -> str:
        """Names this attempt among all of the job's, also those before a replay or an undone removal.

        For steps that each attempt takes anew, such as reading what is to be done: a new run counts its attempts
        from 1 again, and what the job has committed under a step's name stays done in all of its runs.
        """
        return f"{self._row.run}.{self._row.attempt}"

    @property
    def last_attempt(self) -> bool:
        return self._row.last_attempt

    async def in_thread(self, function: Callable[..., R], *args: Any) -> R:
        """Call what burns CPU in a thread, so that other jobs and queues go on. It runs to its end, heard or not."""
        return await in_thread(function, *args)

    def resource(self, kind: type[R]) -> R:
        """What the worker was given under this type, such as a provider of texts."""
        found: R = self._resources[kind]
        return found

    def log(self, line: str) -> None:
        """Keep a line with this attempt, for people; secrets in it are hidden, and its end where it is too long."""
        if len(self.lines) < MAX_LOG_LINES:
            self.lines.append(plain(line)[:MAX_LINE])

    async def progress(self, percent: float | None, note: str | None = None) -> None:
        """Show people how far this attempt is, with the lines logged so far. Cheap: written twice a second at most.

        Args:
            percent: from 0 to 100; what lies outside is cut off. None: nobody knows how much is left, so no bar.
            note: what is being done, "page 4 of 10"; secrets in it are hidden.
        """
        cut = None if percent is None else round(min(100.0, max(0.0, percent)))
        await self._teller.say((cut, plain(note)[:MAX_NOTE] if note else None))

    def end(self) -> None:
        """The attempt is over: nothing more is told about it, and a step that is still open does not commit."""
        self._over = True
        self._teller.stop()

    def _check_open(self) -> None:
        """
        Raises:
            Superseded: the handler has ended, or was let go, and something of it goes on.
        """
        if self._over:
            raise Superseded

    async def _tell(self, told: Told) -> None:
        await self.claim.confirm()
        async with self._database.transaction(self.scope) as session:
            await record.tell(session, self._row, *told, self.lines)

    async def children(self) -> list[Child]:
        """How the jobs ended that this one waited for, with their results, in the order in which they were given."""
        async with self._database.transaction(self.scope) as session:
            return await children_of(session, self._row.id)

    @asynccontextmanager
    async def transaction(self, step: str) -> AsyncGenerator[AsyncSession | None, None]:
        """The transaction of one step; None when an earlier attempt, of any run, has committed this step already.

        A step that every attempt has to take carries `this_try` in its name.

        ```
        async with work.transaction("result") as session:
            if session is not None:
                ...
                await work.complete(session)
        ```

        Raises:
            Superseded: another attempt is the current one. RecordAway: there is nothing to connect to.
        """
        with _reaching_the_record():
            await self.claim.confirm()
        done = False
        async with self._database.transaction(self.scope) as session:
            with _reaching_the_record():
                new = await record.mark_effect(session, self._row, step)
            inside_a_job(session)
            yield session if new else None
            self._check_open()
            done = "completed" in session.info
        self.completed = self.completed or done

    @asynccontextmanager
    async def connection(self, step: str) -> AsyncGenerator[Direct | None, None]:
        """`transaction` for handlers whose own Python is the limit: asyncpg's connection in place of a session.

        ```
        async with work.connection("result") as direct:
            if direct is not None:
                await direct.connection.execute("UPDATE ...", ...)
                await work.complete(direct)
        ```

        Raises:
            Superseded: another attempt is the current one. RecordAway: there is nothing to connect to.
        """
        done = False
        async with AsyncExitStack() as stack:
            with _reaching_the_record():
                await self.claim.confirm()
                # The end of a child may wake its parent, which is written with a session.
                opening = self._database.connection(self.scope, session=self._row.parent_id is not None)
                opened = await stack.enter_async_context(opening)
                new = await record.mark_effect(opened, self._row, step)
            yield opened if new else None
            self._check_open()
            done = "completed" in opened.info
        self.completed = self.completed or done

    async def complete(self, session: AsyncSession | Direct, result: dict[str, Any] | None = None) -> None:
        """Finish the job in this transaction: its effects and its end commit together.

        Raises:
            Superseded: another attempt is the current one; the transaction rolls back.
        """
        # From here on this transaction holds the row: who told progress now would wait for it.
        self._teller.stop()
        if not await record.complete(session, self._row, result, self.lines):
            raise Superseded
        session.info["completed"] = True


@contextmanager
def _reaching_the_record() -> Generator[None, None, None]:
    """Nobody is there: told apart from the same error of something else that a handler talks to."""
    try:
        yield
    except OSError as error:
        raise RecordAway(str(error) or type(error).__name__) from error
