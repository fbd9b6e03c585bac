"""Mails of tenants' own templates: what they say, to whom they go, and what others hear of their end."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from msgspec import convert
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Database, Plane, Scope
from app.core.errors import Invalid
from app.core.ids import new_id
from app.core.policy import Actor
from app.core.sandbox import SandboxedText, Unfit
from app.modules.email.events import EmailEnded
from app.modules.email.service import TemplateLetter, send_template, status_of
from app.modules.email_preferences.service import choose
from app.modules.email_templates.schemas import EmailTemplateCreate, EmailTemplateVersionCreate
from app.modules.email_templates.service import EmailTemplates
from tests.conftest import Made
from tests.modules.email.conftest import Deliver, MailServer

TO = "reader@example.org"
BODY = """# Hello {{ name }}

{% for one in lines %}
- {{ one.title }}: {{ one.count }}
{% endfor %}

[Read it]({{ address }}), or `{{ name }}`.
"""
WEEKLY = {
    "name": "weekly",
    "subject": "{{ name|upper }}: your week",
    "body": BODY,
    "category": "newsletter",
    "variables": [
        {"name": "name", "sample": "Ann"},
        {"name": "lines", "kind": "list", "required": False},
        {"name": "address", "sample": "https://example.org"},
    ],
}
VALUES = {
    "name": "<b>**Ann**</b>",
    "lines": [{"title": "Maps", "count": 3}],
    "address": "https://example.org/?a=1&b=2",
}


@contextmanager
def heard(database: Database) -> Iterator[list[tuple[EmailEnded, Scope]]]:
    """What a module above is told."""
    found: list[tuple[EmailEnded, Scope]] = []

    async def hear(session: AsyncSession, event: EmailEnded) -> None:
        found.append((event, session.info["scope"]))

    before = database._ports["subscribers"]
    database.provide(subscribers={EmailEnded: [hear]})
    yield found
    database.provide(subscribers=before)


async def write(database: Database, actor: Actor, tenant: Made, **changed: Any) -> UUID:
    async with database.transaction(Scope(Plane.TENANT, tenant.id)) as session:
        new = convert(WEEKLY | changed, EmailTemplateCreate)
        template, _ = await EmailTemplates(session, actor).create(new)
        return template.id


async def post(database: Database, tenant: Made, **changed: Any) -> UUID:
    asked: dict[str, Any] = {"template": "weekly", "to": TO, "values": VALUES} | changed
    async with database.transaction(Scope(Plane.TENANT, tenant.id)) as session:
        return await send_template(session, TemplateLetter(**asked))


@pytest.mark.promise("S4-14", "S4-28")
async def test_a_mail_of_a_template_arrives_as_it_was_when_it_was_wanted(
    database: Database,
    operator: Actor,
    tenant: Made,
    admin: asyncpg.Connection,
    mail_server: MailServer,
    deliver: Deliver,
) -> None:
    template = await write(database, operator, tenant)
    with heard(database) as ends:
        first = await post(database, tenant, to=TO.upper(), key="step 1")
        assert await post(database, tenant, values=VALUES | {"name": "Other"}, key="step 1") == first
        new = convert({"subject": "Later", "body": "Later words"}, EmailTemplateVersionCreate)
        async with database.transaction(Scope(Plane.TENANT, tenant.id)) as session:
            await EmailTemplates(session, operator).revise(template, new)
        await deliver()
        assert ends == [(EmailEnded(first, "sent", tenant.id), Scope(Plane.TENANT, tenant.id))]
    async with database.transaction(Scope(Plane.TENANT, tenant.id)) as session:
        assert await status_of(session, first) == "sent"
    (mail,) = mail_server.mails
    assert (mail["To"], mail["Subject"], mail["Auto-Submitted"]) == (TO, "<B>**ANN**</B>: your week", "auto-generated")
    assert str(first) in mail["Message-ID"]
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    link = mail["List-Unsubscribe"].strip("<>")
    plain, html = (mail.get_body((kind,)) for kind in ("plain", "html"))
    assert plain is not None and html is not None and mail.get_content_type() == "multipart/alternative"
    assert "Hello <b>**Ann**</b>" in plain.get_content() and f"Unsubscribe: {link}" in plain.get_content()
    page = html.get_content()
    assert "<h1>Hello &lt;b&gt;**Ann**&lt;/b&gt;</h1>" in page and "<li>Maps: 3</li>" in page and link in page
    assert 'href="https://example.org/?a=1&amp;b=2"' in page and "<code>&lt;b&gt;" in page
    # Nobody may change what a mail was written with.
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with admin.transaction():
            await admin.execute("SET LOCAL ROLE teknav_tenant")
            await admin.execute("UPDATE email_template_version SET body = 'x'")
    # The version that says that it is transactional has no way out in it.
    await post(database, tenant, values={})
    await deliver()
    assert mail_server.mails[1]["Subject"] == "Later" and "List-Unsubscribe" not in mail_server.mails[1]


async def test_what_is_not_wanted_or_cannot_arrive_is_not_sent(
    database: Database,
    operator: Actor,
    tenant: Made,
    admin: asyncpg.Connection,
    mail_server: MailServer,
    deliver: Deliver,
) -> None:
    await write(database, operator, tenant)
    await write(database, operator, tenant, name="receipt", category="transactional")
    async with database.transaction(Scope(Plane.TENANT, tenant.id)) as session:
        await choose(session, tenant.id, TO, "newsletter", subscribed=False)
    with heard(database) as ends:
        unwanted = await post(database, tenant)
        receipt = await post(database, tenant, template="receipt")
        await deliver()
        mail_server.refused.append(TO)
        bounced = await post(database, tenant, template="receipt")
        await deliver()
        after = await post(database, tenant, template="receipt")
        await deliver()
        told = [(event.email_id, event.status) for event, _ in ends]
    assert sorted(told[:2]) == sorted([(unwanted, "suppressed"), (receipt, "sent")])
    assert told[2:] == [(bounced, "failed"), (after, "suppressed")]
    assert len(mail_server.mails) == 1
    errors = await admin.fetch("SELECT error FROM email_log WHERE status = 'suppressed' ORDER BY id")
    assert [row["error"] for row in errors] == ["unsubscribed from newsletter", "bounced"]
    suppression = await admin.fetchrow("SELECT reason, email_id FROM email_suppression")
    assert tuple(suppression) == ("bounced", bounced)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"to": "nobody"}, "to"),
        ({"to": "a@b.org\r\nBcc: c@d.org"}, "to"),
        ({"to": new_id()}, "memberId"),
        ({"template": "monthly"}, "template"),
        ({"values": {}}, "values.name"),
        ({"values": VALUES | {"more": 1}}, "values.more"),
        ({"values": VALUES | {"name": 1}}, "values.name"),
        ({"values": VALUES | {"lines": [[1]]}}, "values.lines"),
        ({"values": VALUES | {"address": "https://u:p4ssw0rd@example.org"}}, "values.address"),
        ({"values": VALUES | {"lines": [1]}}, "body"),
        ({"key": ""}, "deduplicationKey"),
    ],
)
async def test_a_letter_that_cannot_be_written_is_refused_by_its_field(
    database: Database, operator: Actor, tenant: Made, admin: asyncpg.Connection, changed: dict[str, Any], field: str
) -> None:
    await write(database, operator, tenant)
    with pytest.raises(Invalid) as refused:
        await post(database, tenant, **changed)
    assert [error.field for error in refused.value.errors] == [field]
    assert await admin.fetchval("SELECT count(*) FROM email_log") == 0


@pytest.mark.parametrize(
    "text",
    [
        "{{ x() }}",
        "{{ x|attr('y') }}",
        "{{ x|replace('', x) }}",
        "{% for i in range(9) %}{% endfor %}",
        "{% include 'email/_own.html' %}",
        "{% set a = 1 %}",
        "{{ 'a' * 10 ** 9 }}",
        "{{ " + "(" * 5000 + "x" + ")" * 5000 + " }}",
        "{% if x %}" * 200 + "{% endif %}" * 200,
        "{% for a in x %}" * 3 + "{% endfor %}" * 3,
        "{{ x",
    ],
)
def test_a_text_that_asks_for_more_than_its_values_is_refused(text: str) -> None:
    with pytest.raises(Unfit):
        SandboxedText(text)


@pytest.mark.parametrize(
    "text",
    [
        *("{{ x.__class__ }}", "{{ ''.__class__ }}", "{{ self }}", "{{ y }}", "{{ l }}", "{{ loop }}", "{{ config }}"),
        "{% for a in l %}{% for b in l %}much more and more text{% endfor %}{% endfor %}" * 3,
    ],
)
def test_a_text_reaches_nothing_but_its_values_and_has_an_end(text: str) -> None:
    with pytest.raises(Unfit):
        SandboxedText(text).fill({"x": "abc", "l": list(range(100))})
