"""Every route × every kind of caller × one's own, another's and a missing thing, against the reviewed table."""

import os
import re
from collections import Counter
from typing import Any

import asyncpg
import pytest

from app.core.database import Database, Scope
from app.core.policy import UNSAFE
from tests.architecture.access import (
    WRITE,
    Answer,
    Stage,
    addresses,
    ask,
    cell,
    doors,
    insider,
    read,
    write,
)

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


ROWS = "SELECT outcome, status FROM audit_log WHERE action = $1 AND id > $2 ORDER BY id"
CHANGES_NOTHING = {
    ("DELETE", "/api/v1/articles/{article_id:uuid}/publication"),
    ("DELETE", "/api/v1/articles/{article_id:uuid}/submission"),
    ("DELETE", "/api/owner/tenants/{tenant_id:uuid}/articles/{article_id:uuid}/publication"),
    ("DELETE", "/api/owner/tenants/{tenant_id:uuid}/articles/{article_id:uuid}/submission"),
    ("POST", "/dashboard/owner/tenants/{tenant_id:uuid}/articles/{article_id:uuid}/unpublication"),
    ("POST", "/dashboard/owner/tenants/{tenant_id:uuid}/articles/{article_id:uuid}/withdrawal"),
    ("POST", "/dashboard/t/{slug:str}/articles/{article_id:uuid}/unpublication"),
    ("POST", "/dashboard/t/{slug:str}/articles/{article_id:uuid}/withdrawal"),
    ("POST", "/dashboard/owner/tenants/{tenant_id:uuid}/quotas"),
    ("DELETE", "/api/owner/users/{user_id:uuid}/ban"),
    ("POST", "/dashboard/owner/users/{user_id:uuid}/unban"),
    ("DELETE", "/api/owner/users/{user_id:uuid}/factor"),
    ("POST", "/dashboard/owner/users/{user_id:uuid}/factor-removal"),
    ("POST", "/dashboard/owner/users/{user_id:uuid}/role"),
    # The secret of a second factor that is not confirmed yet; none that could be removed; no other session to end.
    ("POST", "/account/factor"),
    ("POST", "/api/account/factor"),
    ("POST", "/account/factor/removal"),
    ("DELETE", "/api/account/factor"),
    ("POST", "/account/sessions/others"),
    ("DELETE", "/api/account/sessions"),
    ("POST", "/api/owner/schedules/{name:str}/reset"),
    # No change is named; none of the tokens and clients that are named is there; what readers did is no change of ours.
    ("PATCH", "/api/v1/plugins/{plugin_id:uuid}"),
    ("PATCH", "/api/owner/plugins/{plugin_id:uuid}"),
    ("POST", "/api/owner/tenants/{tenant_id:uuid}/tokens/revocations"),
    ("POST", "/api/owner/tokens/revocations"),
    ("POST", "/api/owner/tenants/{tenant_id:uuid}/clients/revocations"),
    ("POST", "/api/v1/events"),
    ("POST", "/dashboard/owner/schedules/{name:str}/reset"),
    ("POST", "/dashboard/owner/schedules/{name:str}"),
    # The plugin is enabled, and has nothing that could be set.
    ("POST", "/api/v1/plugins/{plugin_id:uuid}/activation"),
    ("POST", "/api/owner/plugins/{plugin_id:uuid}/activation"),
    ("POST", "/dashboard/owner/plugins/{plugin_id:uuid}"),
    ("POST", "/dashboard/owner/plugins/{plugin_id:uuid}/activation"),
    ("POST", "/dashboard/t/{slug:str}/plugins/{plugin_id:uuid}"),
    ("POST", "/dashboard/t/{slug:str}/plugins/{plugin_id:uuid}/activation"),
}
NEWEST = "SELECT max(id::text)::uuid FROM audit_log"


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
            newest, crash = await admin.fetchval(NEWEST), kind == "failed"
            answer = await ask(
                stage.app,
                door,
                places.get("missing", places["own"]) if kind == "invalid" else places["own"],
                denied if kind == "denied" else allowed,
                nonsense if kind == "invalid" else None,
            )
            crash = False
            rows = [tuple(row) for row in await admin.fetch(ROWS, door.audit, newest)]
            fits = {"denied": {403}, "invalid": {400, 404, 409, 410, 422}, "failed": {500}}
            if kind == "success" and (answer.status >= 400 or (door.name in CHANGES_NOTHING and not rows)):
                continue  # the stage does not allow it, as the table of access shows, or it is so already
            seen[kind] += 1
            wanted = [(kind, None if kind == "success" else answer.status)]
            unfit = kind in fits and answer.status not in fits[kind]
            if unfit or rows[:1] != wanted or (kind != "success" and len(rows) != 1):
                wrong.append(f"{door.method} {door.path}, {kind}: {answer.status}, rows {rows}")
            if answer.status < 400:
                await stage.restore()
    assert not wrong, "\n".join(wrong)
    assert seen["denied"] == seen["failed"] > seen["invalid"] > 50 and seen["success"] > 30, seen
