"""Every route × every kind of caller × one's own, another's and a missing thing, against the reviewed table."""

import os
import re
from collections import Counter
from typing import Any

import asyncpg
import pytest
from httpx2 import AsyncClient

from app import registry
from app.core.database import Database, Plane, Scope
from app.core.models import Base
from app.core.policy import UNSAFE
from tests.architecture.access import (
    THINGS,
    WRITE,
    Answer,
    Door,
    Stage,
    addresses,
    ask,
    cell,
    changing,
    doors,
    insider,
    kept,
    named,
    prepare,
    read,
    said,
    write,
)
from tests.conftest import OWNER_EMAIL, Made
from tests.flows.running import ROOT

ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
PASSING = {"date", "x-request-id", "x-correlation-id"}
READINESS = "/health/ready"  # what it answers changes with the time since a worker was seen
WITHOUT_RIGHTS = {"suspended", "expired", "revoked"}


def plain(answer: Answer, address: str) -> tuple[Any, ...]:
    """The answer without what differs from request to request; the id that was asked for is no secret."""
    asked = address.rsplit("/", 1)[-1]
    body = ID.sub("{id}", answer.body.replace(asked, "{id}"))
    headers = sorted((k, ID.sub("{id}", v)) for k, v in answer.headers if k.lower() not in PASSING)
    return answer.status, headers, body


async def test_every_caller_gets_from_every_route_what_the_reviewed_table_says(stage: Stage) -> None:
    """A new or changed route: `python -m tests.architecture.access --write`, and look at each status that is new."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    wrong, asked = [], Counter[str]()
    for door in sorted(doors(stage.app), key=lambda each: (each.path, each.method)):
        if door.path == READINESS:
            continue
        for caller, headers in stage.callers.items():
            statuses, answers = {}, {}
            for which, address in addresses(door, stage).items():
                answer = await ask(stage.app, door, address, headers)
                asked[which] += 1
                statuses[which], answers[which] = answer.status, plain(answer, address)
                if answer.status >= 500:
                    wrong.append(f"{caller}: {door.method} {address}: {answer.status} {answer.body[:300]}")
                if door.method in UNSAFE and answer.status < 400:
                    await stage.restore()
                if caller in WITHOUT_RIGHTS and answer.status in (401, 403):
                    break  # refused before anything is looked up, as the callers above are seen to be
            # Another tenant is one's own to its admin, and who is not signed in is sent to sign in for it.
            own_too = door.things[-1:] == ["slug"] and caller in ("anonymous", "foreign admin")
            if "foreign" in answers and answers["foreign"] != answers["missing"] and not own_too:
                wrong.append(f"{caller}: {door.method} {door.path}: {answers['foreign']} is not {answers['missing']}")
            found.setdefault(door.name, {})[caller] = cell(statuses)
    if os.environ.get(WRITE):
        write(found)
    assert not wrong, "\n".join(wrong)
    assert asked["foreign"] > 100 and asked["missing"] > 400
    reviewed = read()
    differs = [
        f"{' '.join(door)}, {caller}: {reviewed.get(door, {}).get(caller, 'no line')} in the table, {now} found"
        for door, cells in found.items()
        for caller, now in cells.items()
        if reviewed.get(door, {}).get(caller) != now
    ]
    gone = [" ".join(door) for door in reviewed.keys() - found.keys()]
    assert not differs and not gone, "\n".join([*differs, "no longer there:", *gone])


ROWS = "SELECT outcome, status, tenant_id::text FROM audit_log WHERE action = $1 AND id > $2 ORDER BY id"
# Nothing in the database is changed: a preview, a secret that is not confirmed yet, what readers did.
CHANGES_NOTHING = {
    ("POST", "/account/factor"),
    ("POST", "/api/account/factor"),
    ("POST", "/api/v1/events"),
    ("POST", "/dashboard/owner/email-templates/preview"),
    ("POST", "/dashboard/t/{slug:str}/email-templates/preview"),
}
# What the stage does not allow, and the test that does it and looks at its row.
NOT_DONE_HERE = {
    ("POST", "/account/factor/confirmation"): "tests/modules/account/test_account.py",
    ("POST", "/api/account/factor/confirmation"): "tests/modules/identity/test_second_factor.py",
    ("POST", "/impersonation/end"): "tests/modules/impersonation/test_impersonation.py",
}
TENANTS_TABLES = {table.name for table in Base.metadata.sorted_tables if "tenant_id" in table.c}
NEWEST = "SELECT max(id::text)::uuid FROM audit_log"


def holder(door: Door, stage: Stage, kind: str) -> str | None:
    """Under which tenant the rows of a request have to stand: that of the thing; None where it is no tenant's."""
    if (kind == "invalid" and door.things[-1:] in (["tenant_id"], ["slug"])) or "view_id" in door.things:
        return None  # there is no such tenant; a saved view is a person's own
    tables = {THINGS.get(named(door, place)) for place in range(len(door.things))}
    # Of what failed nobody has looked up whose it is, where the address does not say it.
    told = "tenant_id" in door.things or door.plane is Plane.TENANT
    return stage.ids["tenant"][0] if told or (kind == "success" and tables & TENANTS_TABLES) else None


@pytest.mark.promise("S4-61")
async def test_every_change_leaves_its_row_however_it_ends(
    stage: Stage, admin: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One row for what was denied, invalid or crashed, in a transaction of its own; and one for what was done."""
    crash = False
    real = Database.transaction

    def transaction(self: Database, scope: Scope) -> Any:
        nonlocal crash
        if crash:
            crash = False  # the next one writes the row
            raise RuntimeError("the handler breaks")
        return real(self, scope)

    monkeypatch.setattr(Database, "transaction", transaction)
    wrong, seen = [], Counter[str]()
    for door in doors(stage.app):
        if door.method not in UNSAFE or door.public:
            continue
        allowed = stage.callers[insider(door)]
        denied = {"Cookie": allowed["Cookie"]} if "Cookie" in allowed else stage.callers["read-only token"]
        places = addresses(door, stage)
        nonsense = (b'{"nonsense": 1}', "application/json") if door.path.startswith("/api/") else (b"", "")
        for kind in ("denied", "invalid", "failed", "success"):
            if kind == "invalid" and door.shape is None and "missing" not in places:
                continue  # there is nothing that could be wrong about it
            place = places.get("missing", places["own"]) if kind == "invalid" else places["own"]
            given = nonsense if kind == "invalid" else None
            if kind == "success":
                place, given = await prepare(stage, door), said(door, stage)
            newest, crash = await admin.fetchval(NEWEST), kind == "failed"
            answer = await ask(stage.app, door, place, denied if kind == "denied" else allowed, given)
            crash = False
            if kind == "success" and answer.status >= 400 and (meant := changing(door, stage)) is not None:
                newest = await admin.fetchval(NEWEST)
                answer = await ask(stage.app, door, place, allowed, meant)
            found = await admin.fetch(ROWS, door.audit, newest)
            rows = [(row["outcome"], row["status"]) for row in found]
            fits = {"denied": {403}, "invalid": {400, 404, 409, 410, 422}, "failed": {500}}
            if kind == "success":
                await stage.restore()
            if kind == "success" and (door.name in NOT_DONE_HERE or (door.name in CHANGES_NOTHING and not rows)):
                continue
            seen[kind] += 1
            wanted = [(kind, None if kind == "success" else answer.status)]
            unfit = kind in fits and answer.status not in fits[kind]
            if unfit or rows[:1] != wanted or (kind != "success" and len(rows) != 1):
                wrong.append(f"{door.method} {door.path}, {kind}: {answer.status}, rows {rows}")
            whose, filed = holder(door, stage, kind), {row["tenant_id"] for row in found}
            if whose is not None and filed - {whose}:
                wrong.append(f"{door.method} {door.path}, {kind}: filed under {filed}, but it is {whose}'s")
    assert not wrong, "\n".join(wrong)
    for name, test in NOT_DONE_HERE.items():
        (action,) = {door.audit for door in doors(stage.app) if door.name == name}
        assert action in (ROOT / test).read_text(), f"{test} does not look at a row of {action}"
    assert seen["denied"] == seen["failed"] > seen["invalid"] > 50, seen
    assert seen["denied"] == seen["success"] + len(NOT_DONE_HERE) + len(CHANGES_NOTHING), seen


@pytest.mark.promise("S4-3")
async def test_every_dangerous_change_wants_a_fresh_confirmation_by_whichever_route(
    stage: Stage, admin: asyncpg.Connection
) -> None:
    """One at a time, many at once, by API and by page: the list stands in one place, and programs are not asked."""
    await admin.execute("UPDATE session SET confirmed_at = now() - interval '11 minutes'")
    wanted, refused, wrong = Counter[str](), "step_up_required", []
    dangerous = registry.dangerous()
    for door in doors(stage.app):
        if door.method not in UNSAFE or door.public:
            continue
        caller = insider(door)
        answer = await ask(stage.app, door, addresses(door, stage)["own"], stage.callers[caller])
        asked = caller != "tenant's token" and door.audit in dangerous
        found = answer.status == 403 and (refused in answer.body or "Confirm that it is you" in answer.body)
        wanted[door.audit] += asked
        if found != asked:
            wrong.append(f"{door.method} {door.path}: {answer.status} {answer.body[:100]}")
        if answer.status < 400:
            await stage.restore()
            await admin.execute("UPDATE session SET confirmed_at = now() - interval '11 minutes'")
    assert not wrong, "\n".join(wrong)
    assert {action for action, doors in wanted.items() if doors} == dangerous, "no action is misspelt"
    assert wanted["owner.user.ban"] == 4 and wanted["owner.token.revoke"] == 10, wanted


# What somebody who impersonates may send: the end of it, and of the whole session.
SENT_WHILE_IMPERSONATING = {("POST", "/impersonation/end"), ("POST", "/signout")}


async def test_who_impersonates_changes_nothing_by_any_route_and_every_page_says_so(
    stage: Stage, owner: AsyncClient, tenant: Made, admin: asyncpg.Connection
) -> None:
    chief = "ours@example.org"
    members = (await owner.get(f"/api/owner/tenants/{tenant.id}/members?limit=100")).json()["items"]
    [which] = [each["id"] for each in members if each["email"] == chief]
    place = f"/dashboard/owner/tenants/{tenant.id}/members/{which}/impersonation"
    assert (await owner.post(place, data={"reason": "Ticket 12"})).status_code == 200
    untold = {"audit_log", "audit_unsealed", "session", "data_access_log"}
    before = [(name, rows) for name, rows in await kept(admin) if name not in untold]
    newest, wrong, seen = await admin.fetchval(NEWEST), [], Counter[str]()
    for door in doors(stage.app):
        address = addresses(door, stage)["own"]
        if door.method in UNSAFE:
            if door.name in SENT_WHILE_IMPERSONATING or door.public:
                continue
            answer = await ask(stage.app, door, address, stage.callers["owner"])
            seen["refused"] += 1
            fits = answer.status == 403
        elif door.path.startswith("/dashboard/t/"):
            answer = await ask(stage.app, door, address, stage.callers["owner"])
            page = "<html" in answer.body and answer.status == 200
            seen["pages"] += page
            fits = answer.status < 500 and (not page or f"sees this as <strong>{chief}" in answer.body)
        else:
            continue
        if not fits:
            wrong.append(f"{door.method} {address}: {answer.status} {answer.body[:150]}")
    assert not wrong, "\n".join(wrong)
    assert [(name, rows) for name, rows in await kept(admin) if name not in untold] == before
    assert seen["refused"] > 250 and seen["pages"] > 30, seen
    both = f"{chief} (seen by {OWNER_EMAIL})"
    for table in ("audit_log", "data_access_log"):
        rows = f"SELECT DISTINCT actor_label, impersonator_id IS NOT NULL FROM {table} WHERE id > $1"
        told = {tuple(row) for row in await admin.fetch(rows, newest)}
        assert told == {(both, True)}, table
