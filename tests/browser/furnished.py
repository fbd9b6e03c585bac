"""A TekNav in which every list has something to show."""

import io
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zipfile import ZipFile

from httpx2 import AsyncClient

from app import registry
from tests.flows.owner_app import EMAIL, PASSWORD, OwnerApp
from tests.flows.running import Running
from tests.flows.tenant_app import TenantApp

ARTICLES = 27  # more than one page
WORDLESS = "# Only a heading"  # no provider can summarise it, so its job dies at once

ROUGH = "# Tides\n\nThe the sea  rises twice a day. TODO say why."  # something to mend, so that there is a draft


@dataclass(frozen=True)
class Furnished:
    """`owner` is signed in, and a member of the tenant; `token` is the tenant's, `members` its members' dashboard."""

    owner: OwnerApp
    address: str
    token: str
    members: str


async def furnish(running: Running, owner: OwnerApp) -> Furnished:
    await owner.become_owner(running.owner_link)
    tenant = await owner.post("/api/owner/tenants", {"name": "Harbour Press"})
    tokens = f"/api/owner/tenants/{tenant['id']}/tokens"
    made = await owner.post(tokens, {"name": "Website", "scopes": _all_scopes()})
    await owner.post("/api/owner/tokens", {"name": "Monitoring", "scopes": ["queues:read"]})
    await owner.post("/api/owner/queues/ai:seo/pause", {"reason": "New rules for titles are on their way"})
    await owner.patch("/api/owner/schedules/purge-expired", {"cron": "30 2 * * *", "timezone": "Europe/Berlin"})
    await owner.post("/api/owner/schedules/purge-expired/run", {})
    place = {"tenantId": tenant["id"]}
    sea = await owner.post("/api/owner/categories", place | {"name": "The sea"})
    await owner.post("/api/owner/categories", place | {"name": "Tides", "parentId": sea["id"]})
    for name in ("Harbour", "Ships"):
        await owner.post("/api/owner/tags", place | {"name": name})
    async with TenantApp(running.address, made["token"]) as app:
        article = await app.post()
        await app.publish(article)
        tasks = [(await app.ask_for_summary(article), "completed")]
        tasks.append((await app.ask_for_summary(await app.post(WORDLESS)), "failed"))
        rough = await app.post(ROUGH)
        tasks += [(await app.ask(kind, rough), "completed") for kind in ("rewrite_article", "quality_check")]
        for number in range(ARTICLES - 3):
            await app.post(f"# Draft {number}\n\nNothing is written yet.")
        for task, status in tasks:
            await app.until(task, status)
        await write_mails(app)
        await install_plugin(app, article)
        await import_a_folder(app)
        await be_read(app, owner, article)
    steps = [{"type": "approval", "key": "ask", "title": "Shall it stay?"}, {"type": "publish", "key": "publish"}]
    flow = {"key": "ask_first", "name": "Ask first", "tenantId": tenant["id"], "graph": {"steps": steps}}
    workflow = f"/api/owner/workflows/{(await owner.post('/api/owner/workflows', flow))['id']}"
    await owner.post(f"{workflow}/versions", {})
    await owner.post(f"{workflow}/run", {"input": {"articleId": article}})
    await join(owner, tenant["id"])
    await be_elsewhere(owner, running.address)
    return Furnished(owner, running.address, made["token"], f"/dashboard/t/{tenant['slug']}")


def _all_scopes() -> list[str]:
    return sorted(name for name, each in registry.permissions().items() if each.tenant)


async def write_mails(app: TenantApp) -> None:
    """A template, a mail that leaves, and one to somebody who wants none."""
    variables = [{"name": "name", "sample": "Ann"}]
    weekly = {"name": "weekly", "subject": "{{ name }}: your week", "body": "Hello {{ name }}.", "variables": variables}
    await app.send("/email-templates", weekly | {"category": "newsletter"})
    await app.send("/email-suppressions", {"recipient": "gone@example.org"})
    for to in ("reader@example.org", "gone@example.org"):
        await app.send("/emails", {"template": "weekly", "to": to, "values": {"name": "Ann"}})


async def install_plugin(app: TenantApp, article: str) -> None:
    """One whose receiver may not be called, so that there is something to look at."""
    manifest = {"key": "chat", "name": "Team chat", "version": "1.0.0", "events": ["article.published"]}
    plugin = await app.send("/plugins", {"manifest": manifest | {"endpoint": "https://127.0.0.1/hooks"}})
    await app.send(f"/plugins/{plugin['id']}/tests", {})


async def import_a_folder(app: TenantApp) -> None:
    """Of two files, one can be read."""
    packed = io.BytesIO()
    with ZipFile(packed, "w") as archive:
        archive.writestr("tides.md", "# Tides\n\nTwice a day.")
        archive.writestr("bad.md", "---\ntitle: [open\n---\nText")
    await app.send("/imports", content=packed.getvalue(), headers={"Content-Type": "application/zip"})


async def be_read(app: TenantApp, owner: OwnerApp, article: str) -> None:
    """Readers come, and are counted."""
    view = {"name": "page_view", "articleId": article.rpartition("/")[2], "path": "/tides", "country": "DE"}
    events = [view | {"visitorId": f"reader {number}", "userId": f"reader-{number}"} for number in range(5)]
    now = datetime.now(UTC).isoformat()
    await app.send("/events", {"events": [*events, view | {"name": "sign_up", "userId": "reader-1", "ts": now}]})
    steps = [{"name": "page_view"}, {"name": "sign_up"}]
    await app.send("/funnels", {"name": "Readers who sign up", "steps": steps})
    for schedule, grain in (("aggregate-hourly", "hour"), ("aggregate-daily", "day")):
        await owner.post(f"/api/owner/schedules/{schedule}/run", {})
        await app.until_counted(grain)


async def be_elsewhere(owner: OwnerApp, address: str) -> None:
    """Sign in in another browser, end that session from here, and answer to a purpose."""
    async with AsyncClient(base_url=address) as other:
        answer = await other.post("/signin", data={"email": EMAIL, "password": PASSWORD})
        assert answer.status_code == 303, answer.text
    newest: Any = (await owner.get("/api/owner/sessions")).json()["items"][0]["id"]
    await owner.post("/api/owner/sessions/revocations", {"ids": [newest]})
    await owner.put("/api/account/consents/product_news", {"granted": True})


async def join(owner: OwnerApp, tenant_id: str) -> None:
    """Make the owner a member, who may do all."""
    roles: Any = (await owner.get(f"/api/owner/tenants/{tenant_id}/roles")).json()["items"]
    (role,) = (each["id"] for each in roles if each["builtIn"] == "owner")
    await owner.post(f"/api/owner/tenants/{tenant_id}/members", {"email": EMAIL, "roleId": role})
