"""What other sites, forged headers and caches try on every route of the running app. The routes are not listed here."""

import ast
import re
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

import asyncpg
import pytest
from litestar.response import Redirect, Response

import app
from app.core.policy import UNSAFE
from tests.architecture.access import Door, Stage, addresses, ask, asked, body_of, doors, insider, kept, pressed
from tests.conftest import ORIGIN

EVIL, ELSEWHERE = "evil.example", "elsewhere.example"
# What a refusal may write: its audit row, and that a session was used.
MAY_CHANGE = {"audit_log", "audit_unsealed", "session", "api_token"}
LEADS = {"location", "content-location", "refresh", "link", "hx-redirect", "hx-location", "hx-push-url"}
FORGED = {
    "host": EVIL,
    "referer": f"https://{EVIL}/page",
    "hx-current-url": f"https://{EVIL}/page",
    "forwarded": f"host={EVIL};proto=https",
    "x-forwarded-host": EVIL,
    "x-forwarded-server": EVIL,
    "x-forwarded-proto": "https",
    "x-forwarded-prefix": f"//{EVIL}",
    "x-original-url": f"https://{EVIL}/",
    "x-rewrite-url": f"//{EVIL}/",
    "x-host": EVIL,
}
PLACES = (
    f"https://{ELSEWHERE}/a",
    f"//{ELSEWHERE}/a",
    f"/\\{ELSEWHERE}/a",
    f"/dashboard//{ELSEWHERE}",
    f"/dashboard/../../{ELSEWHERE}",
    f"/dashboard/%2e%2e/{ELSEWHERE}",
)
WHERE = ("next", "next_", "return_to", "redirect", "url")
TAKEN_ALONG = re.compile(rf'(?:href|action|src|value|hx-\w+)="[^"]*{ELSEWHERE}')
# A file that a job has to write before there is one to read; tests/modules/exports has both.
SHOWS_NOTHING = {
    ("GET", "/api/owner/exports/{export_id:uuid}/file"),
    ("GET", "/dashboard/owner/exports/{export_id:uuid}/file"),
    ("GET", "/dashboard/t/{slug:str}/exports/{export_id:uuid}/file"),
}
# A form for a job that has its own page, and a file of no page.
NO_PAGE_OF_A_RECORD = {
    ("GET", "/dashboard/owner/queues/{queue:str}/dlq/{job_id:uuid}/edit"),
    ("GET", "/dashboard/owner/exports/{export_id:uuid}/file"),
    ("GET", "/dashboard/t/{slug:str}/exports/{export_id:uuid}/file"),
}
HTMX = {"HX-Request": "true"}
# Of what there are acts that answer with it.
ACTED_ON = ("user", "session", "member", "token", "client", "queue_job", "workflow_instance")
MODULES = Path(app.__file__).parent / "modules"
ROWS = "SELECT action, cached FROM data_access_log WHERE id > $1 ORDER BY id"
NEWEST = "SELECT coalesce(max(id::text)::uuid, gen_random_uuid()) FROM data_access_log"


@pytest.mark.promise("S4-61")
async def test_no_route_changes_anything_for_another_sites_page(stage: Stage, admin: asyncpg.Connection) -> None:
    """The cookie comes along, the token does not: none, one made up, that of another session."""
    wrong, seen = [], Counter[str]()
    before = await without(admin, MAY_CHANGE)
    for door in doors(stage.app):
        if door.method not in UNSAFE or door.opt.get("own_credentials"):
            continue
        who = insider(door)
        if door.public or who == "tenant's token":
            continue
        cookie = {"Cookie": stage.callers[who]["Cookie"], "Origin": f"https://{EVIL}", "Sec-Fetch-Site": "cross-site"}
        another = stage.callers["editor" if who == "owner" else "owner"]["X-CSRF-Token"]
        for kind, token in {
            "none": {},
            "made up": {"X-CSRF-Token": "x" * 43},
            "another's": {"X-CSRF-Token": another},
        }.items():
            answer = await ask(stage.app, door, addresses(door, stage)["own"], cookie | token)
            seen[kind] += 1
            if answer.status != 403 or "out of date" not in answer.body:
                wrong.append(f"{door.method} {door.path}, {kind}: {answer.status} {answer.body[:200]}")
    assert not wrong, "\n".join(wrong)
    assert await without(admin, MAY_CHANGE) == before
    assert seen["none"] == seen["made up"] == seen["another's"] > 200, seen


async def test_no_route_leads_to_another_site_whatever_the_headers_and_the_query_say(stage: Stage) -> None:
    wrong, seen = [], Counter[str]()
    for door in doors(stage.app):
        if door.method in UNSAFE and not may_lead(door):
            continue
        callers = {"anonymous": {}, insider(door): stage.callers[insider(door)]}
        for who, headers in callers.items():
            for query in queries(door):
                answer = await ask(stage.app, door, addresses(door, stage)["own"] + query, headers | FORGED, body(door))
                seen[who] += 1
                led = {name: value for name, value in answer.headers if name.lower() in LEADS}
                seen["led"] += bool(led)
                astray = any(outside(value) or ELSEWHERE in value for value in led.values())
                if astray or EVIL in answer.body + str(answer.headers) or TAKEN_ALONG.search(answer.body):
                    wrong.append(f"{who}: {door.method} {door.path}{query}: {answer.status} {led} {answer.body[:300]}")
                if door.method in UNSAFE and answer.status < 400:
                    await stage.restore()
    assert not wrong, "\n".join(wrong)
    assert seen["led"] > 150, seen


@pytest.mark.promise("S4-63")
async def test_every_sensitive_read_has_its_row_cold_and_from_the_cache(
    stage: Stage, admin: asyncpg.Connection
) -> None:
    wrong, seen, nothing, told = [], Counter[bool](), set(), set()
    for table in ("api_token", "api_client"):  # only what is good can be given another secret
        good = "scopes = '[\"articles:read\"]', revoked_at = NULL, expires_at = NULL"
        await admin.execute(f"UPDATE {table} SET {good} WHERE id = $1", stage.ids[table][0])
    await stage.keep()
    for door in doors(stage.app):
        if (access := door.opt.get("access")) is None:
            continue
        for cached in (False, True) if "cached" in door.opt else (False,):
            newest = await admin.fetchval(NEWEST)
            caller = stage.callers[insider(door)]
            answer = await ask(stage.app, door, addresses(door, stage)["own"], caller, asked(door))
            if answer.status >= 400:
                nothing.add(door.name)
                break
            hit = dict(answer.headers).get("x-cache") == "HIT"
            rows = [tuple(row) for row in await admin.fetch(ROWS, newest)]
            seen[cached] += 1
            if hit != cached or rows != [(access.action, cached)]:
                wrong.append(f"{door.method} {door.path}: {'HIT' if hit else 'cold'}, rows {rows}")
            if door.method in UNSAFE:
                await stage.restore()
            elif (
                door.path.startswith("/dashboard/owner/")
                and access.of in door.things
                and door.name not in NO_PAGE_OF_A_RECORD
            ):
                told.add(access.resource)
                if f"/logs/access/of/{access.resource}/" not in answer.body:
                    wrong.append(f"{door.method} {door.path} does not show who saw it")
    assert not wrong, "\n".join(wrong)
    assert nothing == SHOWS_NOTHING
    assert seen[False] > 60 and seen[True] >= 4, seen
    assert {"user", "member", "token", "job", "audit", "workflow_instance", "trace"} <= told, told


@pytest.mark.promise("S4-63")
async def test_whatever_was_pressed_a_page_shows_nothing_sensitive_without_its_row(
    stage: Stage, admin: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What sensitive reads alone draw is sensitive, wherever it is drawn: acts answer with the same fragments."""
    drawn = drawing(stage, monkeypatch)
    sensitive = await drawn_by_reads_alone(stage, drawn)
    assert {"people/_list.html", "members/_member.html", "queues/_job.html", "tokens/_body.html"} <= sensitive.keys()
    wrong, shown = unmarked(sensitive), set()
    for door in doors(stage.app):
        if door.method not in UNSAFE or not door.path.startswith("/dashboard/"):
            continue
        newest = await admin.fetchval(NEWEST)
        headers = stage.callers[insider(door)] | HTMX
        drawn.clear()
        answer = await ask(stage.app, door, addresses(door, stage)["own"], headers, pressed(door, stage))
        if answer.status >= 400:
            continue
        rows = [row["action"] for row in await admin.fetch(ROWS, newest)]
        access = door.opt.get("access")
        due = {access.action} if access else set().union(*(sensitive.get(name, ()) for name in drawn))
        if len(rows) != bool(due) or not due.issuperset(rows):
            wrong.append(f"{door.method} {door.path} draws {sorted(drawn & sensitive.keys())}, rows {rows}")
        shown |= {(door.path, action) for action in rows if not access}
        await stage.restore()
    assert not wrong, "\n".join(wrong)
    assert {action for _, action in shown} >= {f"owner.read.{name}" for name in ACTED_ON}, shown
    assert len(shown) > 20, sorted(shown)


async def without(admin: asyncpg.Connection, names: set[str]) -> dict[str, list[Any]]:
    return {name: rows for name, rows in await kept(admin) if name not in names}


def drawing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names of all templates that are drawn from now on, those that others include among them."""
    drawn = set[str]()
    engine: Any = stage.app.template_engine
    found = engine.engine.get_template

    def draw(name: Any, *more: Any, **options: Any) -> Any:
        drawn.add(getattr(name, "name", name))
        return found(name, *more, **options)

    monkeypatch.setattr(engine.engine, "get_template", draw)
    return drawn


async def drawn_by_reads_alone(stage: Stage, drawn: set[str]) -> dict[str, set[str]]:
    """Templates that no page draws but those with `access`, and the actions of these."""
    by_reads, by_others = dict[str, set[str]](), set[str]()
    for door in doors(stage.app):
        if door.method in UNSAFE or not door.path.startswith("/dashboard/"):
            continue
        access = door.opt.get("access")
        for query, more in (("", {}), ("", HTMX), ("?part=true", HTMX)):
            drawn.clear()
            await ask(stage.app, door, addresses(door, stage)["own"] + query, stage.callers[insider(door)] | more)
            for name in drawn:
                if access:
                    by_reads.setdefault(name, set()).add(access.action)
                else:
                    by_others.add(name)
    return {name: actions for name, actions in by_reads.items() if name not in by_others}


def unmarked(sensitive: Collection[str]) -> list[str]:
    """Calls that may draw one of these for an act and name no `access`; the acts' own state does not matter here."""
    found = []
    for file in sorted(MODULES.glob("*/*.py")):
        for function in ast.walk(ast.parse(file.read_text())):
            if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            if any(word.arg == "access" for each in function.decorator_list for word in getattr(each, "keywords", ())):
                continue
            for call in ast.walk(function):
                if not isinstance(call, ast.Call) or not names_one(call, file.parent.name, sensitive):
                    continue
                # The wrapper of a module takes it as its fourth.
                if len(call.args) < 4 and not any(word.arg == "access" for word in call.keywords):
                    found.append(f"{file.parent.name}/{file.name}:{call.lineno}: {ast.unparse(call)}")
    return found


def names_one(call: ast.Call, folder: str, sensitive: Collection[str]) -> bool:
    """Whether a call of `render`, or of a module's `_render`, may draw one of these; without a name it may draw any."""
    if ast.unparse(call.func).rpartition(".")[::2] not in (("", "render"), ("self", "_render")):
        return False
    given = [*call.args, *(word.value for word in call.keywords)]
    names = [each.value for each in given if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    full = {name if "/" in name else f"{folder}/{name}.html" for name in names}
    return bool(full & {*sensitive}) if full else any(name.startswith(f"{folder}/") for name in sensitive)


def may_lead(door: Door) -> bool:
    """Whether the handler answers with something that can carry a browser away."""
    kinds = get_args(door.answers) or (door.answers,)
    return any(kind is Redirect or getattr(kind, "__origin__", kind) is Response for kind in kinds)


def queries(door: Door) -> list[str]:
    """Where the page is told to lead: the API takes no parameter that it does not know."""
    if door.path.startswith("/api/") or door.method in UNSAFE:
        return [""]
    return ["?" + "&".join(f"{name}={where}" for name in WHERE) for where in PLACES[: None if may_lead(door) else 1]]


def body(door: Door) -> tuple[bytes, str] | None:
    if door.method not in UNSAFE or door.path.startswith("/api/"):
        return None
    made, kind = body_of(door)
    more = "&".join(f"{name}={PLACES[0]}" for name in WHERE)
    return made + b"&" * bool(made) + more.encode(), kind


def outside(value: str) -> bool:
    plain = re.sub(r"[\\\s]", "/", value)
    found = urlsplit(plain)
    return f"{found.scheme}://{found.netloc}" != ORIGIN and bool(found.scheme or found.netloc)
