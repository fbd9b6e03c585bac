"""One story through all six queues, under one correlation id, by real workers.

What came of it is judged by others: the receiver's own log, the mails that a server took, and a ledger that the test
keeps with plain numbers.
"""

import io
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4
from zipfile import ZipFile

import pytest
from httpx2 import AsyncClient
from standardwebhooks import Webhook

from app import registry
from app.queues.core import CORE_QUEUES
from tests.flows.owner_app import OwnerApp
from tests.flows.running import Running
from tests.flows.waiting import until
from tests.modules.email.conftest import MailServer
from tests.modules.email.conftest import mail_server as mail_server
from tests.modules.plugins.conftest import Receiver
from tests.modules.plugins.conftest import receiver as receiver
from tests.modules.plugins.conftest import receiving as receiving

Post = dict[str, Any]
EDITOR, SOON_S = "editor@example.org", 1.5
ROUGH = "# {title}\n\nThe the sea  rises twice a day. TODO say why {title} matters to the town and to the harbour."
GOOD, BAD = "Tides of the North Sea", "Gossip of the harbour"
STEPS = (
    {"type": "ai_task", "key": "look", "kind": "seo_audit"},
    {"type": "approval", "key": "ask", "title": "Shall {input.articleId} go out?"},
)


@pytest.fixture
def teknav(mail_server: MailServer) -> Iterator[Running]:
    with Running(SMTP_URL=mail_server.url, EGRESS_NETWORKS="127.0.0.1/32") as running:
        yield running


class Press:
    """A tenant's program. What it asks for is under its `chain` as soon as it has one."""

    def __init__(self, client: AsyncClient) -> None:
        self.client = client

    async def post(self, place: str, body: Post | None = None, **more: Any) -> Any:
        answer = await self.client.post(f"/api/v1{place}", json=body, **more)
        assert answer.is_success, answer.text
        return answer.json()

    async def get(self, place: str, **params: str) -> Any:
        answer = await self.client.get(f"/api/v1{place}", params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def until(self, place: str, good: Callable[[Any], bool], **params: str) -> Any:
        return await until(lambda: self.get(place, **params), good)

    async def task(self, kind: str, article: str) -> Any:
        """Ask AI for something, and wait until it is done."""
        task = await self.post("/ai/tasks", {"kind": kind, "articleId": article})
        return await self.until(f"/ai/tasks/{task['id']}", lambda found: found["status"] == "completed")

    async def workflow(self, key: str, on: str, *steps: Post) -> None:
        made = await self.post("/workflows", {"key": key, "name": key, "graph": {"on": on, "steps": list(steps)}})
        await self.post(f"/workflows/{made['id']}/versions")


@asynccontextmanager
async def press(teknav: Running, owner: OwnerApp) -> AsyncIterator[Press]:
    await owner.become_owner(teknav.owner_link)
    tenant = await owner.post("/api/owner/tenants", {"name": "Harbour Press"})
    scopes = sorted(name for name, each in registry.permissions().items() if each.tenant)
    made = await owner.post(f"/api/owner/tenants/{tenant['id']}/tokens", {"name": "app", "scopes": scopes})
    headers = {"Authorization": f"Bearer {made['token']}", "Cache-Control": "no-cache"}
    async with AsyncClient(base_url=teknav.address, headers=headers, timeout=20) as client:
        yield Press(client)


def folder() -> bytes:
    packed = io.BytesIO()
    with ZipFile(packed, "w") as archive:
        for number, title in enumerate((GOOD, BAD)):
            archive.writestr(f"{number}.md", ROUGH.format(title=title))
    return packed.getvalue()


@pytest.mark.promise("S4-69", "S4-71")
async def test_an_imported_article_goes_through_all_six_queues_to_readers_under_one_correlation_id(
    teknav: Running, mail_server: MailServer, receiver: Receiver
) -> None:
    async with OwnerApp(teknav.address) as owner, press(teknav, owner) as app:
        secret = await set_up(app, receiver)
        chain = str(uuid4())
        app.client.headers["X-Correlation-Id"] = chain
        owner.under(chain)

        articles = await import_them(app)
        for article in articles.values():
            await check_and_rewrite(app, article)
            await app.post(f"/articles/{article}/submission")
        await decide(owner, app, {articles[GOOD]: "approve", articles[BAD]: "reject"})
        await publish_soon(app, articles[GOOD])

        (call,) = await until(lambda: told(receiver), lambda calls: len(calls) > 0)
        message = Webhook(secret).verify(call["body"], call["sent"])
        assert (message["type"], message["data"]) == ("article.published", {"articleId": articles[GOOD]})
        (mail,) = await until(lambda: arrived(mail_server), lambda mails: len(mails) > 0)
        assert (mail["To"], mail["Subject"]) == (EDITOR, "An article is out")
        assert articles[GOOD] in mail.get_body(("plain",)).get_content()
        await read_it_twice(owner, app, articles[GOOD])

        owner.under(str(uuid4()))  # who looks at a trace is no part of it
        found = await until(lambda: traced(owner, chain), done)
        # The ledger: what each of the others was told, and how often.
        assert len(receiver.calls()) == 1 and len(mail_server.mails) == 1
        seen = [(step["kind"], step["label"]) for step in found["items"]]
        kinds = {kind for kind, _ in seen}
        assert kinds >= {"change", "job", "attempt", "AI run", "workflow", "workflow step", "approval"}
        assert kinds >= {"release", "webhook", "mail"}
        jobs = [step for step in found["items"] if step["kind"] == "job" and step["status"] != "delayed"]
        assert {job["note"] for job in jobs} >= {queue.name for queue in CORE_QUEUES}
        assert {job["status"] for job in jobs} == {"completed"}
        asked = {"import_articles": 1, "quality_check": 2, "rewrite_article": 2, "seo_audit": 2, "release_article": 1}
        asked |= {"plugin_execute_hook": 1, "send_email": 1, "aggregate_hourly": 1}
        assert {kind: sum(job["label"] == kind for job in jobs) for kind in asked} == asked
        tries = [step for step in found["items"] if step["kind"] == "attempt"]
        assert len(tries) == len(jobs), "nothing was done twice"
        changes = [label for kind, label in seen if kind == "change"]
        for action in ("import.start", "ai.draft.accept", "article.submit", "approval.decide", "article.publish"):
            assert action in changes, action
        page = await owner.get(f"/dashboard/owner/traces/{chain}")
        assert page.status_code == 200
        assert all(label in page.text for label in (*asked, "article.published to Chat", f"published to {EDITOR}"))


async def set_up(app: Press, receiver: Receiver) -> str:
    """A template, two workflows and a plugin; returns the secret that the plugin's calls are signed with."""
    name = {"name": "article", "sample": "7"}
    body = {"name": "published", "subject": "An article is out", "body": "Look at {{ article }}.", "variables": [name]}
    await app.post("/email-templates", body)
    values = {"article": "{input.articleId}"}
    mail = {"type": "email", "key": "tell", "template": "published", "to": EDITOR, "values": values}
    await app.workflow("review", "article.submitted", *STEPS)
    await app.workflow("tell", "article.published", mail)
    manifest = {"key": "chat", "name": "Chat", "version": "1.0.0", "events": ["article.published"], "schema": {}}
    plugin = {"manifest": manifest | {"endpoint": f"{receiver.url}/ok"}, "values": {}}
    return str((await app.post("/plugins", plugin))["signingSecret"])


async def import_them(app: Press) -> dict[str, str]:
    """The articles' ids, by title."""
    run = await app.post("/imports", content=folder(), headers={"Content-Type": "application/zip"})
    await app.until(f"/imports/{run['id']}", lambda found: found["status"] == "completed")
    items = (await app.get(f"/imports/{run['id']}/items"))["items"]
    assert {item["title"]: item["outcome"] for item in items} == {GOOD: "created", BAD: "created"}
    return {item["title"]: item["articleId"] for item in items}


async def check_and_rewrite(app: Press, article: str) -> None:
    """AI reports what is wrong, proposes to mend it, and a person accepts that."""
    await app.task("quality_check", article)
    (report,) = (await app.get("/reports", articleId=article))["items"]
    assert report["score"] < 100 and report["findings"]
    await app.task("rewrite_article", article)
    (draft,) = (await app.get("/drafts", articleId=article, status="proposed"))["items"]
    await app.post(f"/drafts/{draft['id']}/acceptance")
    assert "The the" not in (await app.get(f"/articles/{article}"))["body"]


async def decide(owner: OwnerApp, app: Press, decisions: dict[str, str]) -> None:
    """Each article's workflow asks; the owner says yes or no, and the workflow ends accordingly."""
    listed = lambda: app.get("/approvals", status="pending")  # noqa: E731
    asked = (await until(listed, lambda found: len(found["items"]) == len(decisions)))["items"]
    for article, decision in decisions.items():
        (one,) = (each for each in asked if article in each["title"])
        await owner.post(f"/api/owner/approvals/{one['id']}/decisions", {"decision": decision})
    ended = {article: "succeeded" if decision == "approve" else "failed" for article, decision in decisions.items()}

    async def read() -> dict[str, str]:
        items = (await app.get("/workflows/instances", trigger="article.submitted"))["items"]
        return {item["subject"]: item["status"] for item in items}

    await until(read, lambda found: found == ended)


async def publish_soon(app: Press, article: str) -> None:
    at = datetime.now(UTC) + timedelta(seconds=SOON_S)
    await app.post(f"/articles/{article}/releases", {"action": "publish", "at": at.isoformat()})
    assert (await app.get(f"/articles/{article}"))["status"] != "published"
    await app.until(f"/articles/{article}", lambda found: found["status"] == "published")
    assert datetime.now(UTC) >= at


async def read_it_twice(owner: OwnerApp, app: Press, article: str) -> None:
    """Three events are sent, two of them the same: two views stand in their hour, and nowhere else."""
    now = datetime.now(UTC)
    view = {"name": "page_view", "articleId": article, "ts": now.isoformat(), "path": "/tides"}
    once, again = view | {"eventId": str(uuid4())}, view | {"eventId": str(uuid4())}
    receipt = await app.post("/events", {"events": [once, again, once]})
    assert receipt == {"accepted": 2, "duplicates": 1}
    await owner.post("/api/owner/schedules/aggregate-hourly/run", {})
    span = {"grain": "hour", "from": (now - timedelta(days=1)).date().isoformat(), "to": now.date().isoformat()}
    hours = await app.until("/analytics/series", lambda found: any(at["value"] for at in found["points"]), **span)
    counted = {datetime.fromisoformat(at["bucket"]): at["value"] for at in hours["points"] if at["value"]}
    assert counted == {now.replace(minute=0, second=0, microsecond=0): 2}


async def told(receiver: Receiver) -> list[dict[str, Any]]:
    return receiver.calls()


async def arrived(mail_server: MailServer) -> list[Any]:
    return mail_server.mails


def done(trace: Any) -> bool:
    """Whether nothing is left to do but to look, later, whether a workflow's step has taken too long."""
    return {step["status"] for step in trace["items"] if step["open"]} <= {"delayed"}


async def traced(owner: OwnerApp, chain: str) -> Any:
    return (await owner.get(f"/api/owner/traces/{chain}")).json()
