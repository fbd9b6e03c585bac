"""Mails of tenants over the API, on the pages, by command, and the way out that stands in them."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from httpx2 import AsyncClient

from app.core.ids import new_id
from app.core.secrets import Signer
from app.core.settings import Settings
from tests.conftest import ORIGIN, Made, Person, TenantClient
from tests.modules.conftest import Teknav
from tests.modules.email.conftest import Deliver, MailServer
from tests.modules.email.test_own_templates import TO, VALUES, WEEKLY

SCOPES = (
    *("emails:send", "emails:read", "emails:open", "email_templates:read", "email_templates:write"),
    *("email_preferences:read", "email_preferences:write"),
)
TEMPLATES, EMAILS = "/api/v1/email-templates", "/api/v1/emails"


@pytest.mark.promise("S4-14")
async def test_programs_write_templates_and_send_mails_of_them(
    tenant: Made,
    make_tenant: Callable[[str], Awaitable[Made]],
    tenant_client: TenantClient,
    owner: AsyncClient,
    admin: asyncpg.Connection,
    mail_server: MailServer,
    deliver: Deliver,
) -> None:
    api = await tenant_client(*SCOPES)
    stranger = await tenant_client(*SCOPES, of=await make_tenant("Stranger"))
    made = await api.post(TEMPLATES, json=WEEKLY)
    assert made.status_code == 201, made.text
    address, template = made.headers["Location"], made.json()
    assert (template["latest"], template["current"]["category"]) == (1, "newsletter")
    assert (await api.post(TEMPLATES, json=WEEKLY)).json()["code"] == "name_taken"
    for field, changed in {
        "body": {"body": "{{ ''.__class__() }}"},
        "subject": {"subject": "{{ nobody }}"},
        "variables[0].name": {"variables": [{"name": "password"}]},
        "variables.name": {"variables": [{"name": "name", "kind": "number", "sample": "x"}], "body": "x"},
    }.items():
        refused = await api.post(TEMPLATES, json=WEEKLY | {"name": "other", "subject": "x"} | changed)
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, field)
    preview = (await api.get(f"{address}/versions/1/preview")).json()
    assert preview["subject"] == "ANN: your week" and 'href="https://example.org"' in preview["html"]

    # A new version is sent from now on; the first stays as it was.
    change = {name: WEEKLY[name] for name in ("body", "category", "variables")} | {"subject": "Now {{ name }}"}
    stale = await api.post(f"{address}/versions", json=change, headers={"If-Match": '"7"'})
    assert stale.status_code == 412
    revised = await api.post(f"{address}/versions", json=change, headers={"If-Match": made.headers["ETag"]})
    assert revised.json()["latest"] == 2
    assert (await api.post(f"{address}/versions", json=change)).json()["latest"] == 2
    assert (await api.get(f"{address}/versions/1")).json()["subject"] == WEEKLY["subject"]
    assert [one["number"] for one in (await api.get(f"{address}/versions")).json()["items"]] == [2, 1]

    # Sent once for one key, whoever asks how often; and never for somebody else's template.
    letter = {"template": "weekly", "to": TO, "values": VALUES, "deduplicationKey": "week 7"}
    first = await api.post(EMAILS, json=letter, headers={"Idempotency-Key": "a"})
    assert first.status_code == 202 and first.json()["status"] == "queued"
    again = [await api.post(EMAILS, json=letter, headers={"Idempotency-Key": key}) for key in ("a", "b")]
    assert {one.json()["id"] for one in again} == {first.json()["id"]}
    assert (await stranger.post(EMAILS, json=letter)).json()["errors"][0]["field"] == "template"
    for wrong in ({"to": None}, {"memberId": str(new_id())}, {"to": None, "memberId": str(new_id())}):
        assert (await api.post(EMAILS, json=letter | wrong | {"deduplicationKey": None})).status_code == 422
    await deliver()
    assert [mail["Subject"] for mail in mail_server.mails] == ["Now <b>**Ann**</b>"]

    # The log tells it, and what it said; another tenant's answers as a missing one.
    shown = (await api.get(first.headers["Location"])).json()
    assert (shown["status"], shown["templateVersion"]) == ("sent", 2) and "Maps: 3" in shown["text"]
    for asked, count in (
        ({"template": "weekly", "status": "sent", "q": "READER"}, 1),
        ({"template": "other"}, 0),
        ({"from": "2999-01-01"}, 0),
        ({"to": "2999-01-01"}, 1),
    ):
        assert len((await api.get(EMAILS, params=asked)).json()["items"]) == count, asked
    assert (await api.get(EMAILS, params={"status": "lost"})).status_code == 422
    missing = await stranger.get(f"{EMAILS}/{new_id()}")
    theirs = await stranger.get(first.headers["Location"])
    assert (theirs.status_code, theirs.json()["detail"]) == (404, missing.json()["detail"])
    assert (await stranger.get(address)).status_code == 404

    # The owner sees whose it is; a quota ends it.
    of = {"tenantId": str(tenant.id)}
    (seen,) = (await owner.get("/api/owner/emails", params=of)).json()["items"]
    assert seen["templateId"] == template["id"]
    limited = await owner.patch(f"/api/owner/tenants/{tenant.id}/quotas", json={"quotas": {"emailsPerDay": 1}})
    assert limited.status_code == 200, limited.text
    full = await api.post(EMAILS, json=letter | {"deduplicationKey": "week 8"})
    assert (full.status_code, full.json()["code"]) == (409, "quota_exceeded")
    assert (await api.delete(address)).status_code == 204
    assert (await api.get(first.headers["Location"])).json()["text"] == shown["text"]
    actions = await admin.fetch("SELECT action FROM audit_log WHERE outcome = 'success' ORDER BY id")
    told = [row["action"] for row in actions if row["action"].startswith("email")]
    assert told == ["email.template.create", "email.template.revise", "email.send", "email.template.delete"]


@pytest.mark.promise("S4-14")
async def test_one_click_unsubscribes_and_a_person_may_come_back(
    client: AsyncClient,
    tenant_client: TenantClient,
    settings: Settings,
    admin: asyncpg.Connection,
    mail_server: MailServer,
    deliver: Deliver,
) -> None:
    api = await tenant_client(*SCOPES)
    await api.post(TEMPLATES, json=WEEKLY)
    await api.post(TEMPLATES, json=WEEKLY | {"name": "offers", "category": "offers"})

    async def got(template: str = "weekly") -> bool:
        before = len(mail_server.mails)
        sent = await api.post(EMAILS, json={"template": template, "to": TO, "values": VALUES})
        await deliver()
        ended = (await api.get(sent.headers["Location"])).json()["status"]
        assert ended == ("sent" if len(mail_server.mails) > before else "suppressed")
        return bool(ended == "sent")

    assert await got()
    link = mail_server.mails[0]["List-Unsubscribe"].strip("<>").removeprefix(ORIGIN)
    page = await client.get(link, headers={"Accept": "text/html"})
    assert page.status_code == 200 and TO in page.text and "Unsubscribe from newsletter" in page.text
    assert await got()  # looking changes nothing, as mail programs look at every link
    # What a mail program sends: no cookie, no token, no origin; either kind of form.
    for sent in ({"data": {"List-Unsubscribe": "One-Click"}}, {"files": {"List-Unsubscribe": (None, "One-Click")}}):
        form: dict[str, Any] = sent
        done = await client.post(link, **form)
        assert done.status_code == 200 and "gets no more of these mails" in done.text
    assert not await got() and await got("offers")
    await client.post(link, data={"choice": "all"})
    assert not await got("offers")
    await client.post(link, data={"choice": "again"})
    assert await got() and await got("offers")
    rows = await admin.fetch("SELECT actor_kind, actor_label FROM audit_log WHERE action = 'email.unsubscribe'")
    assert len(rows) == 4 and {tuple(row) for row in rows} == {("anonymous", TO)}
    assert (await client.post(link, data={"choice": "what"})).status_code == 422
    others = Signer(settings.secret_key).ticket("reset", UUID(link[-64:-32]))
    for wrong in ("none", others):
        assert (await client.post(f"/unsubscribe/{wrong}")).status_code == 404

    # Programs say it for people, and say that an address bounced.
    change = {"recipient": TO.upper(), "category": "offers", "subscribed": False}
    assert (await api.put("/api/v1/email-preferences", json=change)).json()["recipient"] == TO
    assert not await got("offers")
    always = await api.put("/api/v1/email-preferences", json=change | {"category": "transactional"})
    assert (always.status_code, always.json()["errors"][0]["field"]) == (422, "category")
    chosen = (await api.get("/api/v1/email-preferences", params={"q": "read"})).json()["items"]
    assert {(one["category"], one["subscribed"]) for one in chosen} == {
        ("newsletter", True),
        ("*", True),
        ("offers", False),
    }
    bounced = await api.post("/api/v1/email-suppressions", json={"recipient": TO, "reason": "bounced"})
    assert bounced.status_code == 201 and not await got()
    assert (await api.delete(f"/api/v1/email-suppressions/{bounced.json()['id']}")).status_code == 204
    assert await got()


async def test_members_read_and_change_on_pages_what_programs_do(
    tenant: Made,
    member: Person,
    owner: AsyncClient,
    teknav: Teknav,
    admin: asyncpg.Connection,
    mail_server: MailServer,
    deliver: Deliver,
) -> None:
    ann = await member("ann@example.org", "admin")
    at = f"/dashboard/t/{tenant.slug}"
    form = {
        "name": "weekly",
        "subject": "Hello {{ name }}",
        "body": "![x](https://example.org/x.png) *Dear* {{ name }}",
        "category": "newsletter",
        "variables": '[{"name": "name", "sample": "<Ann>"}]',
    }
    hx = {"HX-Request": "true"}
    listed = await ann.post(f"{at}/email-templates", data=form, headers=hx)
    assert listed.status_code == 200 and "weekly" in listed.text, listed.text
    template = await admin.fetchval("SELECT id FROM email_template")
    for headers in ({}, hx):
        shown = (await ann.get(f"{at}/email-templates/{template}", headers=headers)).text
        assert "<em>Dear</em> &lt;Ann&gt;" in shown and "Hello &lt;Ann&gt;" in shown and "<img" not in shown
    page = f"{at}/email-templates/{template}"
    change = {name: form[name] for name in ("subject", "category", "variables")} | {"version": "1"}
    tried = await ann.post(f"{at}/email-templates/preview", data=change | {"body": "# Try {{ name }}"}, headers=hx)
    assert "<h1>Try &lt;Ann&gt;</h1>" in tried.text
    for wrong, field in (({"body": "{% x %}"}, "body"), ({"variables": "[{]"}, "variables")):
        refused = await ann.post(f"{page}/versions", data=change | {"body": "x"} | wrong, headers=hx)
        assert refused.status_code == 422 and f'data-field="{field}"' in refused.text
    saved = await ann.post(f"{page}/versions", data=change | {"body": "Newer, {{ name }}"}, headers=hx)
    assert "Newer, &lt;Ann&gt;" in saved.text
    assert (await ann.post(f"{page}/versions", data=change | {"body": "Lost"}, headers=hx)).status_code == 412
    assert "<em>Dear</em>" in (await ann.get(f"{page}?number=1")).text

    command = ("email", "send", "weekly", "--tenant", tenant.slug, "--to", TO)
    assert f"weekly to {TO}: queued" in await teknav(*command, "--values", '{"name": "Zoe"}')
    assert "values.name: is required" in await teknav(*command, code=1)
    await deliver()
    assert "weekly" in await teknav("email", "list", "--tenant", tenant.slug, "--template", "weekly")
    email = await admin.fetchval("SELECT id FROM email_log WHERE template = 'weekly'")
    assert "Newer, Zoe" in await teknav("email", "show", str(email))
    for base, reader in ((at, ann), ("/dashboard/owner", owner)):
        log = await reader.get(f"{base}/emails", params={"template": "weekly"})
        assert log.status_code == 200 and TO in log.text
        assert "Newer, Zoe" in (await reader.get(f"{base}/emails/{email}", headers=hx)).text
        for path in ("email-templates", f"email-templates/{template}", "email-suppressions"):
            assert (await reader.get(f"{base}/{path}")).status_code == 200
    read = await admin.fetch("SELECT action FROM data_access_log WHERE resource_id = $1", str(email))
    assert {row["action"] for row in read} == {"email.read", "owner.read.email"}

    # What lets a member in is the mail of its recipient, and shown to nobody else.
    role = await admin.fetchval("SELECT id FROM role WHERE tenant_id = $1 AND built_in = 'viewer'", tenant.id)
    await ann.post(f"{at}/invitations", data={"email": "new@example.org", "roleId": str(role)}, headers=hx)
    await deliver()
    invitation = await admin.fetchval("SELECT id FROM email_log WHERE template = 'invitation'")
    closed = (await ann.get(f"{at}/emails/{invitation}")).text
    assert "new@example.org" in closed and "shown to nobody else" in closed and "/invitations/otp_" not in closed

    add = {"recipient": "x@example.org", "reason": "manual"}
    assert "x@example.org" in (await ann.post(f"{at}/email-suppressions", data=add, headers=hx)).text
    kept = await admin.fetchval("SELECT id FROM email_suppression")
    gone = await owner.post(f"/dashboard/owner/email-suppressions/{kept}/removal", headers=hx)
    assert gone.status_code == 200 and await admin.fetchval("SELECT count(*) FROM email_suppression") == 0
    assert (await ann.post(f"{page}/removal", headers=hx)).status_code == 200
    assert (await ann.get(page)).status_code == 404
