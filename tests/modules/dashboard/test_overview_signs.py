"""What the overview says of the platform: all is well, or what is not, the heaviest first."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from httpx2 import AsyncClient
from litestar import Litestar
from msgspec.structs import replace
from sqlalchemy import func

from app import __version__
from app.core.database import SYSTEM, Database, Plane, Scope
from app.core.ids import PLATFORM_TENANT, new_id
from app.core.settings import Settings
from app.modules.ai.client import Local, Provider, provider_for
from app.modules.ai.jobs import ProbeProvider
from app.queues.enqueue import enqueue
from app.queues.inline import drain
from app.queues.models import LeaseRow, LoopRow, WorkerRow
from app.queues.runner import Runner
from tests.conftest import Made
from tests.modules.ai import stage
from tests.modules.ai.openai_server import OpenAIServer
from tests.modules.instances import flows

OVERVIEW, HOME, HTMX = "/api/owner/overview", "/dashboard/owner", {"HX-Request": "true"}
Teknav = Callable[..., Awaitable[str]]


async def standing(owner: AsyncClient) -> dict[str, Any]:
    answer = await owner.get(OVERVIEW)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def begin_to_work(database: Database) -> None:
    """As a worker does that leads."""
    async with database.transaction(SYSTEM) as session:
        worker = WorkerRow(id=new_id(), host="press-1", pid=77, version=__version__, queues=[], jobs=0)
        session.add(worker)
        session.add(LeaseRow(name="worker-loops", holder=worker.id, expires_at=func.now() + timedelta(minutes=1)))
        loop = {"name": "relay", "holder": worker.id, "every_s": 0.5, "took_ms": 1.0, "cut_off": 0}
        session.add(LoopRow(ran_at=func.now(), **loop))


@asynccontextmanager
async def web(client: AsyncClient, version: str = __version__) -> AsyncIterator[str]:
    """The address of a socket behind which the application answers `/health`, as a process of that version."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = (await client.get("/health")).content.replace(__version__.encode(), version.encode())
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1") as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.promise("S4-46")
async def test_an_owner_reads_in_one_sentence_that_all_is_well_or_what_is_not(
    owner: AsyncClient,
    tenant_client: Callable[..., Awaitable[AsyncClient]],
    drain: Callable[..., Awaitable[int]],
    database: Database,
    admin: asyncpg.Connection,
    teknav: Teknav,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alone = await standing(owner)
    assert not alone["well"]
    assert alone["items"][0]["text"] == "No worker runs, so no job is done"
    assert "No worker runs" in (await owner.get(HOME)).text

    await begin_to_work(database)
    well = await standing(owner)
    assert well["well"] and well["summary"].startswith("All is well"), well["summary"]
    assert "All is well." in (await owner.get(HOME)).text
    async with web(owner) as address:
        monkeypatch.setenv("PUBLIC_URL", address)
        assert "All is well" in await teknav("overview")

    # One thing after the other goes wrong.
    client = await tenant_client(*flows.SCOPES)
    await stage.ask(client, await stage.article(client, "An article without text", ""))
    question = {"type": "approval", "key": "ask", "title": "Shall it stay?", "expiresS": 3600}
    await flows.run(client, await flows.workflow(client, question))
    await drain(retries=True)
    await owner.post("/api/owner/queues/ai:seo/pause", json={"reason": "New rules"})
    mail = {"status": "failed", "template": "welcome", "template_version": 1, "recipient": "a@example.org"}
    tenant_id = await admin.fetchval("SELECT tenant_id FROM article LIMIT 1")
    names, marks = ", ".join(mail), ", ".join(f"${n}" for n in range(3, 3 + len(mail)))
    insert = f"INSERT INTO email_log (id, tenant_id, props, {names}) VALUES ($1, $2, '{{}}', {marks})"
    await admin.execute(insert, new_id(), tenant_id, *mail.values())

    found = await standing(owner)
    weights = [one["weight"] for one in found["items"]]
    assert weights == sorted(weights, key=["bad", "warn", "ok"].index), "the heaviest comes first"
    troubles = {one["part"]: one["text"] for one in found["items"] if one["weight"] != "ok"}
    assert troubles == {
        "AI": "1 AI run failed in the last hour, and none succeeded",
        "Mail": "1 mail could not be sent since yesterday",
        "Approvals": "1 approval will expire within a day",
        "Paused": "ai:seo is paused",
        "Dead letters": "1 dead letter in ai:content",
    }
    assert found["items"][0]["part"] == "AI" and not found["well"]
    assert all(text in found["summary"] for text in troubles.values())

    page = (await owner.get(HOME)).text
    fragment = await owner.get(f"{HOME}/signs", headers=HTMX)
    assert "<html" not in fragment.text and 'data-live="' in fragment.text
    for one in found["items"]:
        assert one["text"] in fragment.text or one["part"] == "PostgreSQL"
        if one["path"]:
            assert f'href="{HOME}{one["path"]}"'.replace("&", "&amp;") in page
            assert (await owner.get(f"{HOME}{one['path']}")).status_code == 200, one
    assert "asks for you" in found["summary"] or "ask for you" in found["summary"]
    assert json.loads(await teknav("workflows", "instances", "--json"))["items"][0]["status"] == "waiting"
    await teknav("overview", code=1)


async def test_a_paused_queue_does_not_hide_another_in_which_a_job_waits(
    owner: AsyncClient, tenant_client: Callable[..., Awaitable[AsyncClient]], admin: asyncpg.Connection
) -> None:
    client = await tenant_client(*flows.SCOPES)
    article = await stage.article(client, "Tides", "Twice a day.")
    await stage.start(client, "seo_audit", article)
    await stage.ask(client, article)
    past = "created_at = now() - $2::interval, run_at = now() - $2::interval"
    for queue, ago in (("ai:seo", timedelta(hours=1)), ("ai:content", timedelta(minutes=20))):
        await admin.execute(f"UPDATE job SET {past} WHERE queue = $1", queue, ago)
    await owner.post("/api/owner/queues/ai:seo/pause", json={"reason": "New rules"})
    told = {one["part"]: one["text"] for one in (await standing(owner))["items"]}
    assert told["Waiting"] == "A job of ai:content has waited for 20 minutes"


async def test_the_standing_of_the_platform_is_not_a_tenants_to_see(
    tenant_client: Callable[..., Awaitable[AsyncClient]],
) -> None:
    client = await tenant_client()
    for place in (OVERVIEW, f"{HOME}/signs"):
        assert (await client.get(place)).status_code == 403


async def test_the_overview_says_whether_web_answers_and_all_are_of_one_version(
    owner: AsyncClient, database: Database, teknav: Teknav, admin: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await begin_to_work(database)
    signs = {one["part"]: one for one in (await standing(owner))["items"]}
    assert signs["Web"]["text"] == f"The web process answers, of version {__version__}"
    assert signs["Workers"]["text"] == f"1 worker at work, of version {__version__}"
    async with web(owner) as address:
        monkeypatch.setenv("PUBLIC_URL", address)
        found = json.loads(await teknav("overview", "--json"))
        assert found["well"] and f"The web process answers at {address}, of version {__version__}" in [
            one["text"] for one in found["items"]
        ]
    await teknav("overview", code=1)  # nobody listens there any more
    async with web(owner, "0.0.9") as address:
        monkeypatch.setenv("PUBLIC_URL", address)
        await teknav("overview", code=1)
    await admin.execute("UPDATE worker SET version = '0.0.9'")
    older = (await standing(owner))["items"][0]
    assert (older["part"], older["weight"]) == ("Workers", "warn") and "of version 0.0.9" in older["text"]


async def test_the_overview_says_whether_the_ai_provider_answers(
    owner: AsyncClient, app: Litestar, database: Database, settings: Settings
) -> None:
    async def sign() -> tuple[str, str, str]:
        [found] = [one for one in (await standing(owner))["items"] if one["part"] == "AI provider"]
        return found["value"], found["weight"], found["text"]

    async def probe(provider: Provider) -> None:
        process = app.state.process
        async with database.transaction(Scope(Plane.PLATFORM, PLATFORM_TENANT)) as session:
            await enqueue(session, ProbeProvider())
        await drain(database, Runner(database, process.kinds, process.engine.specs, new_id(), {Provider: provider}))

    assert (await sign())[:2] == ("not asked", "ok")
    await probe(Local())
    assert await sign() == ("local", "ok", "The AI provider local is there")
    async with OpenAIServer(key="right") as server:
        named: Any = {"ai_provider": "openrouter", "ai_model": "acme/writer-2", "openrouter_base_url": server.url}
        egress = app.state.process.parts.egress
        provider = provider_for(replace(settings, openrouter_api_key="right", **named), egress)
        await probe(provider)
        assert await sign() == ("openrouter", "ok", "The AI provider openrouter is there")
        assert server.received[-1].path == "/v1/models" and not server.received[-1].body
        server.behaviour = "503"
        await probe(provider)
        assert (await sign())[:2] == ("away", "bad") and "503" in (await sign())[2]
        server.behaviour = "ok"
        await probe(provider_for(replace(settings, openrouter_api_key="wrong", **named), egress))
        value, weight, text = await sign()
        assert (value, weight) == ("away", "bad") and "wrong" not in text
    await probe(provider)
    assert (await sign())[:2] == ("away", "bad"), "nobody listens there any more"


async def test_members_read_what_waits_for_them_in_their_tenant_alone(
    member: Callable[..., Awaitable[AsyncClient]],
    tenant: Made,
    make_tenant: Callable[[str], Awaitable[Made]],
    tenant_client: Callable[..., Awaitable[AsyncClient]],
    owner: AsyncClient,
    drain: Callable[..., Awaitable[int]],
) -> None:
    home = f"/dashboard/t/{tenant.slug}"
    author, editor, chief = [await member(f"the-{role}@example.org", role) for role in ("author", "editor", "owner")]
    quiet = (await author.get(home)).text
    assert "All is well." in quiet and "for review" not in quiet and "PostgreSQL" not in quiet and "Web" not in quiet

    other = await make_tenant("Stranger")
    for of in (tenant, other):
        client = await tenant_client(*flows.SCOPES, of=of)
        waiting = await stage.article(client, "Tides", "Twice a day.")
        assert (await client.post(f"/api/v1/articles/{waiting}/submission")).status_code < 300
        rough = await stage.article(client, "Rough", "The the sea  rises twice a day.")
        await stage.start(client, "rewrite_article", rough)
        question = {"type": "approval", "key": "ask", "title": "Shall it stay?", "expiresS": 3600}
        await flows.run(client, await flows.workflow(client, question))
    await drain(retries=True)
    quota = f"/api/owner/tenants/{tenant.id}/quotas"
    assert (await owner.patch(quota, json={"quotas": {"articles": 2}})).status_code == 200

    shown = {who: (await who.get(f"{home}/signs", headers=HTMX)).text for who in (author, editor, chief)}
    for text in shown.values():
        assert "1 article waits for review" in text and "1 proposal of AI to accept or reject" in text
        assert "1 approval will expire within a day" in text
    assert "Articles: 2 of 2 are used" in shown[chief] and "are used" not in shown[author]
    assert "sent in 24 hours" in shown[editor] and "sent in 24 hours" not in shown[author]
    for path in set(re.findall(rf'href="({home}[^"]*)"', shown[chief])):
        assert (await chief.get(path.replace("&amp;", "&"))).status_code == 200, path
    everywhere = {one["part"]: one["value"] for one in (await standing(owner))["items"]}
    assert (everywhere["Review"], everywhere["Proposals"], everywhere["Approvals"]) == ("2", "2", "2")
