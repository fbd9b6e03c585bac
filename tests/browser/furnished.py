"""A TekNav in which every list has something to show."""

from dataclasses import dataclass

from tests.flows.owner_app import OwnerApp
from tests.flows.running import Running
from tests.flows.tenant_app import SCOPES, TenantApp

ARTICLES = 27  # more than one page
WORDLESS = "# Only a heading"  # no provider can summarise it, so its job dies at once

ROUGH = "# Tides\n\nThe the sea  rises twice a day. TODO say why."  # something to mend, so that there is a draft


@dataclass(frozen=True)
class Furnished:
    """`owner` is signed in; `token` is a tenant's."""

    owner: OwnerApp
    address: str
    token: str


async def furnish(running: Running, owner: OwnerApp) -> Furnished:
    await owner.become_owner(running.owner_link)
    tenant = await owner.post("/api/owner/tenants", {"name": "Harbour Press"})
    tokens = f"/api/owner/tenants/{tenant['id']}/tokens"
    made = await owner.post(tokens, {"name": "Website", "scopes": list(SCOPES)})
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
    steps = [{"type": "approval", "key": "ask", "title": "Shall it stay?"}, {"type": "publish", "key": "publish"}]
    flow = {"key": "ask_first", "name": "Ask first", "tenantId": tenant["id"], "graph": {"steps": steps}}
    workflow = f"/api/owner/workflows/{(await owner.post('/api/owner/workflows', flow))['id']}"
    await owner.post(f"{workflow}/versions", {})
    await owner.post(f"{workflow}/run", {"input": {"articleId": article}})
    return Furnished(owner, running.address, made["token"])
