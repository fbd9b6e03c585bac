"""Dead letters in bulk, grouped, and edited."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import delete, func, select, update

from app.core.database import SYSTEM, Database, Plane, Scope
from app.core.errors import Conflict, Invalid
from app.core.ids import new_id
from app.queues import trash
from app.queues.engine import Engine
from app.queues.enqueue import Wanted, enqueue, enqueue_many
from app.queues.failure import fingerprint
from app.queues.flow import Flow, enqueue_flow
from app.queues.letters import Which, edit, groups, remove_letters, replay_all
from app.queues.models import JobRow, KeyRow, State
from tests.queues.kinds import PLATFORM, QUICK, Fail, Free, Note, Sin

RowOf = Callable[[UUID], Awaitable[JobRow]]
ALL = Which()


async def dead(database: Database, *jobs: Any, error: str = "boom", scope: Scope = PLATFORM) -> list[UUID]:
    """Jobs that have died, with nothing in Redis."""
    async with database.transaction(scope) as session:
        ids = await enqueue_many(session, jobs)
        session.info["to_push"].clear()
    values = {
        "state": State.DEAD,
        "attempts_made": 3,
        "error_class": "ValueError",
        "error_message": error,
        "error_fingerprint": fingerprint("ValueError", "", error),
        "finished_at": datetime.now(UTC),
    }
    async with database.transaction(SYSTEM) as session:
        await session.execute(update(JobRow).where(JobRow.id.in_(ids)).values(values))
        await session.execute(delete(KeyRow))
    return ids


async def test_a_thousand_replays_asked_for_twice_at_once_are_a_thousand_runs(
    own_database: Database, engine: Engine
) -> None:
    await dead(own_database, *(Note(text=str(n)) for n in range(1000)))

    async def click() -> int:
        async with own_database.transaction(PLATFORM) as session:
            return len((await replay_all(session, QUICK.name, ALL)).rows)

    assert sum(await asyncio.gather(*(click() for _ in range(4)))) == 1000
    async with own_database.transaction(SYSTEM) as session:
        runs = (await session.execute(select(JobRow.run, func.count()).group_by(JobRow.run))).all()
    assert [tuple(row) for row in runs] == [(1, 1000)]


async def test_a_bulk_act_is_bounded_and_says_how_many_are_left(own_database: Database) -> None:
    await dead(own_database, *(Note(text=str(n)) for n in range(1003)))
    async with own_database.transaction(PLATFORM) as session:
        done = await remove_letters(session, QUICK.name, ALL)
    assert (len(done.rows), done.left) == (1000, 3)
    async with own_database.transaction(PLATFORM) as session:
        done = await replay_all(session, QUICK.name, ALL)
    assert (len(done.rows), done.left) == (3, 0)


async def test_only_what_fits_every_condition_is_taken(own_database: Database, row_of: RowOf) -> None:
    tenant = Scope(Plane.TENANT, new_id())
    (a,) = await dead(own_database, Note(text="a"), error="host 1 is away")
    b, c = await dead(own_database, Note(text="b"), Fail(message="c"), error="host 2 is away")
    (d,) = await dead(own_database, Note(text="d"), error="other")
    (e,) = await dead(own_database, Note(text="e"), scope=tenant)
    away = (await row_of(a)).error_fingerprint

    async def replayed(which: Which, queue: str = QUICK.name) -> set[UUID]:
        async with own_database.transaction(PLATFORM) as session:
            return {row.id for row in (await replay_all(session, queue, which)).rows}

    assert await replayed(ALL, "ai:content") == set()
    assert await replayed(Which(tenant_id=tenant.tenant_id)) == {e}
    assert await replayed(Which(ids=[d, new_id()])) == {d}
    assert await replayed(Which(fingerprint=away, kind="note")) == {a, b}
    assert await replayed(Which(ids=[])) == set()
    assert (await row_of(c)).state == State.DEAD


async def test_of_letters_with_one_key_one_runs_again(own_database: Database) -> None:
    (first,) = await dead(own_database, Wanted(job=Note(text="1"), key="k"))
    (second,) = await dead(own_database, Wanted(job=Note(text="2"), key="k"))
    async with own_database.transaction(PLATFORM) as session:
        done = await replay_all(session, QUICK.name, ALL)
    assert ([row.id for row in done.rows], done.skipped, done.left) == ([first], 1, 1)
    assert second != first


async def test_letters_of_one_cause_are_one_group(own_database: Database) -> None:
    await dead(own_database, Note(text="a"), error="host 1 is away")
    await dead(own_database, Fail(message="b"), Note(text="c"), error="host 22 is away")
    await dead(own_database, Note(text="d"), error="other")
    async with own_database.transaction(PLATFORM) as session:
        found = await groups(session, QUICK.name)
    assert [(group.error_message, group.count, sorted(group.kinds)) for group in found] == [
        ("host 22 is away", 3, ["fail", "note"]),
        ("other", 1, ["note"]),
    ]
    assert found[0].first_failed_at < found[0].last_failed_at


async def test_an_edited_letter_becomes_a_new_job_in_its_place_and_cannot_come_back(
    own_database: Database, row_of: RowOf, engine: Engine
) -> None:
    tenant = Scope(Plane.TENANT, new_id())
    (old,) = await dead(own_database, Wanted(job=Note(text="wrong"), key="k", priority=4), scope=tenant)
    async with own_database.transaction(PLATFORM) as session:
        new = await edit(session, await session.get_one(JobRow, old), {"text": "right"})
    row, before = await row_of(new), await row_of(old)
    assert (row.edited_from, row.payload, row.run, row.priority) == (old, {"text": "right"}, 0, 4)
    assert (row.tenant_id, row.key, row.kind, row.max_attempts) == (tenant.tenant_id, "k", "note", 3)
    assert await engine.places([row]) == ["here"]
    assert (before.state, before.removed_from, before.payload) == (State.REMOVED, State.DEAD, {"text": "wrong"})
    for act in (
        lambda session, row: edit(session, row, {"text": "again"}),
        lambda session, row: trash.restore(session, row),
    ):
        with pytest.raises(Conflict):
            async with own_database.transaction(PLATFORM) as session:
                await act(session, await session.get_one(JobRow, old))
    async with own_database.transaction(SYSTEM) as session:
        assert (await session.scalars(select(func.count()).select_from(JobRow))).one() == 2


async def test_a_key_that_outlives_its_job_goes_with_the_edited_letter_to_the_new_one(
    own_database: Database, row_of: RowOf
) -> None:
    async with own_database.transaction(PLATFORM) as session:
        old = await enqueue(session, Note(text="wrong"), key="k", keep_key=True)
        session.info["to_push"].clear()
    async with own_database.transaction(SYSTEM) as session:
        await session.execute(update(JobRow).values(state=State.DEAD, finished_at=func.now()))
    async with own_database.transaction(PLATFORM) as session:
        new = await edit(session, await session.get_one(JobRow, old), {"text": "right"})
    assert (await row_of(new)).key == "k"
    async with own_database.transaction(SYSTEM) as session:
        held = (await session.execute(select(KeyRow.job_id, KeyRow.kept))).one()
    assert tuple(held) == (new, True)
    async with own_database.transaction(PLATFORM) as session:
        assert await enqueue(session, Note(text="again"), key="k", keep_key=True) == new


HIDDEN_PLACES: list[tuple[Any, Any, Any]] = [
    # what the letter has, what comes back, what the new job has; None where that is refused
    ({"token": "s", "n": 1}, {"token": "***", "n": 2}, {"token": "s", "n": 2}),
    ({"keys": [{"api_key": "a"}, {"api_key": "b"}]}, {"keys": [{"api_key": "***", "x": 1}, {"api_key": "c"}]},
     {"keys": [{"api_key": "a", "x": 1}, {"api_key": "c"}]}),
    ({"tokens": ["a", "b"]}, {"tokens": ["***", "c"]}, {"tokens": ["a", "c"]}),
    ({"keys": [{"api_key": "a", "n": 1}, {"api_key": "b", "n": 2}]}, {"keys": [{"api_key": "***", "n": 2}]},
     {"keys": [{"api_key": "b", "n": 2}]}),
    ({"at": "redis://u:p@h/0"}, {"at": "redis://u:***@h/0"}, {"at": "redis://u:p@h/0"}),
    ({"at": "redis://u:p@h/0"}, {"at": "redis://u:***@other/0"}, None),
    ({"password": {"of": "a"}}, {"password": {"of": "***"}}, None),
    ({"keys": [{"api_key": "a"}, {"api_key": "b"}]}, {"keys": [{"api_key": "***"}]}, None),
    ({"token": "s"}, {"other": {"token": "***"}}, None),
    ({"a": "s"}, {"a": "***"}, None),
    ({"a": {"token": "***"}}, {"a": {"token": "***"}, "b": 1}, {"a": {"token": "***"}, "b": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("before", "given", "after"), HIDDEN_PLACES)
async def test_what_was_hidden_stays_what_it_was_or_is_refused(
    own_database: Database, row_of: RowOf, before: Any, given: Any, after: Any
) -> None:
    (old,) = await dead(own_database, Free(what=before))
    async with own_database.transaction(PLATFORM) as session:
        letter = await session.get_one(JobRow, old)
        if after is None:
            with pytest.raises(Invalid) as refused:
                await edit(session, letter, {"what": given})
            assert "hidden" in refused.value.errors[0].message
            assert refused.value.errors[0].field.startswith("payload.what.")
            return
        new = await edit(session, letter, {"what": given})
    assert (await row_of(new)).payload == {"what": after}


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ({"text": 7}, "payload.text"),
        ({}, "payload.text"),
        ({"text": "x", "more": 1}, "payload.more"),
        ([], "payload"),
    ],
)
async def test_a_payload_that_does_not_fit_is_refused_by_field(
    own_database: Database, row_of: RowOf, payload: Any, field: str
) -> None:
    (old,) = await dead(own_database, Note(text="wrong"))
    async with own_database.transaction(PLATFORM) as session:
        with pytest.raises(Invalid) as refused:
            await edit(session, await session.get_one(JobRow, old), payload)
    assert [error.field for error in refused.value.errors] == [field]
    assert (await row_of(old)).state == State.DEAD


async def test_an_edited_child_takes_its_place_in_the_flow(own_database: Database, row_of: RowOf) -> None:
    async with own_database.transaction(PLATFORM) as session:
        parent = await enqueue_flow(session, Flow(job=Note(text="p"), children=[Note(text="c"), Sin(what="hang")]))
        await enqueue(session, Note(text="bystander"))
    async with own_database.transaction(SYSTEM) as session:
        child = (await session.scalars(select(JobRow).filter_by(parent_id=parent, kind="note"))).one()
        values = {"state": State.DEAD, "finished_at": func.now()}
        await session.execute(update(JobRow).where(JobRow.id == child.id).values(values))
    async with own_database.transaction(PLATFORM) as session:
        new = await edit(session, child, {"text": "mended"})
    assert ((await row_of(new)).parent_id, (await row_of(child.id)).parent_id) == (parent, None)
    assert (await row_of(parent)).state == State.WAITING_CHILDREN
