"""Every list of the dashboards and of the API, read from either end by whatever it can be sorted by.

The lists are found by asking all routes, over more rows than two pages hold in each table.
"""

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from itertools import pairwise
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import msgspec
import pytest

from app.core.ids import PLATFORM_TENANT, new_id
from app.core.models import Base
from app.modules.isolation.repository import sample
from tests.architecture.access import Door, Stage, addresses, ask, doors, insider
from tests.architecture.commands import commands

MORE, ON_A_PAGE = 56, 25
HTMX = {"HX-Request": "true"}
BODY = re.compile(r"<tbody>.*?</tbody>", re.S)
ROW = re.compile(r"<tr\b.*?</tr>", re.S)
PASSING = re.compile(r"<time\b.*?</time>", re.S)
NEXT = re.compile(r'rel="next" href="([^"]+)"')
HEAD = re.compile(r'<th\b[^>]*?(?:aria-sort="(\w+)")?>\s*<a class="sort" href="([^"]*?\bsort=)-?(\w+)')
OFFERED = re.compile(r"must be one of ([\w, -]+)")
# What a row cannot share with another of its table, and where that stands.
OF_ITS_OWN = {
    ("ai_task", "job_id"): "job",
    ("ai_run", "task_id"): "ai_task",
    ("tenant_member", "user_id"): "user",
    ("plugin_config", "plugin_id"): "plugin",
}
# What cannot be any word.
KEPT = ("list", "queue", "action", "status", "format")
# What else stands in the tables: one release at most is planned for an article, one impersonation open in a session.
OTHERWISE = {
    "release": {"status": "cancelled"},
    "impersonation": {"ended_at": datetime(2026, 1, 1, tzinfo=UTC)},
    "export": {"format": "csv"},
}
# Lists that cannot be sorted: docs/ui.md says why.
UNSORTED = {
    "/dashboard/owner/isolation",
    "/dashboard/owner/tenants/{tenant_id:uuid}/articles/{article_id:uuid}/releases",
    "/dashboard/owner/tenants/{tenant_id:uuid}/articles/{article_id:uuid}/versions",
    "/dashboard/owner/tenants/{tenant_id:uuid}/locales/{code:str}/texts",
    "/dashboard/owner/users/{user_id:uuid}",
    "/dashboard/t/{slug:str}/articles/{article_id:uuid}/releases",
    "/dashboard/t/{slug:str}/articles/{article_id:uuid}/versions",
    "/dashboard/t/{slug:str}/locales/{code:str}/texts",
    "/api/account/sessions",
    "/api/owner/isolation/runs",
    "/api/owner/tenants/{tenant_id:uuid}/articles/{article_id:uuid}/versions",
    "/api/owner/users/{user_id:uuid}/sessions",
    "/api/v1/articles/{article_id:uuid}/versions",
    "/api/v1/publications",
}
# Their commands: of lists that pages and the API do not sort either.
UNSORTED_COMMANDS = {"article versions", "isolation list"}


async def fill(stage: Stage) -> None:
    """More rows of our tenant beside the one that is in each table; two at a time have the same moment."""
    begin = datetime.now(UTC)
    ids: defaultdict[str, list[UUID]] = defaultdict(lambda: [new_id() for _ in range(MORE)])
    async with stage.admin.transaction():
        await stage.admin.execute("SET LOCAL session_replication_role = replica")
        for table in Base.metadata.sorted_tables:
            if table.name not in stage.ids:
                continue
            query = f'SELECT * FROM "{table.name}" WHERE id::text = $1'
            there = dict(await stage.admin.fetchrow(query, stage.ids[table.name][0]))
            if not isinstance(there["id"], UUID):
                continue
            rows = []
            for number in range(MORE):
                made, _ = sample(table, None, {})
                row = {name: anew(name, value, made.get(name), number, begin) for name, value in there.items()}
                row |= OTHERWISE.get(table.name, {}) | {"id": ids[table.name][number]}
                shared = [name for name in row if (table.name, name) in OF_ITS_OWN]
                rows.append(row | {name: ids[OF_ITS_OWN[table.name, name]][number] for name in shared})
            if table.name == "api_token":
                platform = {"tenant_id": PLATFORM_TENANT}
                rows += [row | platform | {"id": new_id(), "token_hash": os.urandom(32)} for row in rows]
            if table.name == "job":
                rows += [row | {"id": new_id(), "state": "dead"} for row in rows]
            columns = ", ".join(f'"{name}"' for name in there)
            marks = ", ".join(f"${n}" for n in range(1, len(there) + 1))
            statement = f'INSERT INTO "{table.name}" ({columns}) VALUES ({marks}) ON CONFLICT DO NOTHING'
            await stage.admin.executemany(statement, [tuple(row.values()) for row in rows])


def anew(name: str, value: Any, made: Any, number: int, begin: datetime) -> Any:
    """What differs from row to row: numbers, moments and words. What it belongs to stays, and so does its age.

    The moments are to come, so that nothing is over while it is read.
    """
    if isinstance(value, datetime):
        return begin if name == "created_at" else begin + timedelta(minutes=10 + number // 2)
    if isinstance(value, int) and not isinstance(value, bool):
        return number + 2
    if name in KEPT:
        return value
    own = isinstance(value, (str, bytes)) and isinstance(made, type(value))
    return made if own or name in ("event_id", "token_id") else value


def readers(stage: Stage, under: str) -> Iterator[tuple[Door, str, dict[str, str]]]:
    for door in doors(stage.app):
        if door.method == "GET" and door.path.startswith(under) and not door.public:
            yield door, addresses(door, stage)["own"], stage.callers[insider(door)]


@pytest.mark.promise("S4-55")
async def test_every_list_is_sorted_by_each_of_its_columns_over_all_its_pages(stage: Stage) -> None:
    await fill(stage)
    unsorted = set[str]()
    wrong = [*await of_the_dashboards(stage, unsorted), *await of_the_api(stage, unsorted)]
    assert not wrong, "\n".join(wrong)
    assert unsorted == UNSORTED


def test_every_command_of_a_list_with_pages_sorts_it() -> None:
    options = {words: {one.name for one in command.params} for words, command in commands()}
    assert {words for words, has in options.items() if "cursor" in has and "sort" not in has} == UNSORTED_COMMANDS


async def of_the_dashboards(stage: Stage, unsorted: set[str]) -> list[str]:
    """What is wrong with lists on pages: each header is followed through all pages, then from the other end."""
    wrong, tried = [], set[str]()
    for door, address, caller in readers(stage, "/dashboard/"):
        if door.path.endswith("/components"):
            continue
        first = await ask(stage.app, door, address, caller)
        headers = HEAD.findall(first.body)
        if not headers and NEXT.search(first.body):
            unsorted.add(door.path)
        for _, link, key in headers:
            if (name := unescape(link) + key) in tried:
                continue
            tried.add(name)
            up, pages = await leaf_through(stage, door, unescape(link) + key, caller, key)
            down, _ = await leaf_through(stage, door, f"{unescape(link)}-{key}", caller, f"-{key}", most=1)
            if pages < 3 or len({*up}) < len(up) or len(up) <= 2 * ON_A_PAGE:
                wrong.append(f"{door.path} by {key}: {len(up)} rows on {pages} pages")
            if len(down) != ON_A_PAGE or down != up[: -ON_A_PAGE - 1 : -1]:
                wrong.append(f"{door.path} by {key}: not the same from both ends")
    assert len(tried) > 100
    return wrong


async def leaf_through(
    stage: Stage, door: Door, path: str, caller: dict[str, str], sort: str, most: int = 100
) -> tuple[list[str], int]:
    """The rows of so many pages, without their moments, which are told by how long ago they are."""
    rows, pages = list[str](), 0
    while path and pages < most:
        answer = await ask(stage.app, door, path, caller | HTMX)
        assert answer.status == 200, (path, answer.body)
        shown = {mark for mark, _, key in HEAD.findall(answer.body) if key == sort.lstrip("-")}
        assert shown == {"descending" if sort[0] == "-" else "ascending"}, path
        rows += [PASSING.sub("", row) for row in ROW.findall(BODY.findall(answer.body)[-1])]
        following = NEXT.search(answer.body)
        path, pages = unescape(following[1]) if following else "", pages + 1
    return rows, pages


async def of_the_api(stage: Stage, unsorted: set[str]) -> list[str]:
    wrong, tried = [], 0
    for door, address, caller in readers(stage, "/api/"):
        offered = OFFERED.search((await ask(stage.app, door, f"{address}?sort=~", caller)).body)
        keys = {name.lstrip("-") for name in offered[1].split(", ")} - {"relevance"} if offered else set[str]()
        if not keys and "next_cursor" in getattr(door.answers, "__struct_fields__", ()):
            unsorted.add(door.path)
        if "sorts" in door.opt and keys != door.opt["sorts"].columns.keys():
            wrong.append(f"{door.path} says that it is sorted by {[*door.opt['sorts'].columns]}, not by {keys}")
        if keys and (status := (await ask(stage.app, door, f"{address}?sort=", caller)).status) != 422:
            wrong.append(f"{door.path} answers {status} where it is to be sorted by nothing")
        for key in sorted(keys):
            pages = await walk(stage, door, address, caller, key)
            back = await walk(stage, door, address, caller, key, "prevCursor", pages[-1]["prevCursor"])
            other = await walk(stage, door, address, caller, f"-{key}", most=1)
            up = [one for page in pages for one in page["items"]]
            ids, values = [ident(one) for one in up], [one[key] for one in up if key in one]
            if len(pages) < 3 or len({*ids}) < len(ids):
                wrong.append(f"{door.path} by {key}: {len(ids)} rows on {len(pages)} pages")
            if [ident(one) for page in reversed(back) for one in page["items"]] != ids[: -len(pages[-1]["items"])]:
                wrong.append(f"{door.path} by {key}: not the same on the way back")
            down = [ident(one) for one in other[0]["items"] if ident(one) in ids]  # a log that is read has more by now
            if not down or down != ids[: -len(down) - 1 : -1]:
                wrong.append(f"{door.path} by {key}: not the same from both ends")
            if any(one > following for one, following in pairwise(values)):
                wrong.append(f"{door.path} by {key}: {values}")
            tried += 1
    assert tried > 120
    return wrong


def ident(one: dict[str, Any]) -> str:
    return str(one.get("id") or one.get("eventId") or msgspec.json.encode(one))


async def walk(
    stage: Stage,
    door: Door,
    address: str,
    caller: dict[str, str],
    sort: str,
    way: str = "nextCursor",
    cursor: str | None = "",
    most: int = 100,
) -> list[dict[str, Any]]:
    """So many pages from a cursor on, the first page where it is empty, none where there is none."""
    pages = list[dict[str, Any]]()
    while cursor is not None and len(pages) < most:
        asked = {"sort": sort, "limit": str(ON_A_PAGE)} | ({"cursor": cursor} if cursor else {})
        answer = await ask(stage.app, door, f"{address}?{urlencode(asked)}", caller)
        assert answer.status == 200, (door.path, answer.body)
        pages.append(msgspec.json.decode(answer.body))
        cursor = pages[-1][way]
    return pages
