"""Who gets what answer from every route: asked of the running app, with every kind of caller.

`python -m tests.architecture.access --write` writes what it found into `access.tsv`; a person reviews the difference.
A new route joins by itself. A new kind of caller is a line in the fixture `stage`, a new kind of thing one in `THINGS`.
"""

import asyncio
import io
import mimetypes
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from litestar import Litestar
from litestar.routes import HTTPRoute
from sqlalchemy import ARRAY, Integer

from app import registry
from app.core.database import Plane
from app.core.ids import new_id
from app.core.models import Base
from app.core.policy import PUBLIC, UNSAFE
from app.modules.isolation.repository import sample
from app.modules.tokens.service import TokenService
from tests.conftest import ORIGIN, OWNER_EMAIL, OWNER_PASSWORD, PASSWORD

TABLE = Path(__file__).with_suffix(".tsv")
WRITE = "WRITE_ACCESS_TABLE"
NONE = "-"
STREAM_S = 5.0
# What names a thing in an address, and the table in which it stands; the first that fits the end of the path counts.
THINGS = {
    "owner/tokens/token_id": "platform_token",
    "tenant_id": "tenant",
    "slug": "slug",
    "user_id": "user",
    "session_id": "session",
    "device_id": "user_device",
    "role_id": "role",
    "member_id": "tenant_member",
    "invitation_id": "invitation",
    "workspace_id": "workspace",
    "token_id": "api_token",
    "client_id": "api_client",
    "export_id": "export",
    "article_id": "article",
    "tag_id": "tag",
    "category_id": "category",
    "funnel_id": "funnel",
    "release_id": "release",
    "task_id": "ai_task",
    "draft_id": "ai_draft",
    "report_id": "quality_report",
    "ai/event-logs/event_id": "ai_event_log",
    "events/event_id": "analytics_event",
    "ai/runs/run_id": "ai_run",
    "isolation/runs/run_id": "isolation_run",
    "isolation/run_id": "isolation_run",
    "logs/audit/entry_id": "audit_log",
    "logs/access/entry_id": "data_access_log",
    "email_id": "email_log",
    "file_id": "file",
    "template_id": "email_template",
    "suppression_id": "email_suppression",
    "import_id": "import_run",
    "plugin_id": "plugin",
    "delivery_id": "plugin_delivery",
    "job_id": "job",
    "worker_id": "worker",
    "view_id": "saved_view",
    "approval_id": "approval",
    "definition_id": "workflow_definition",
    "instance_id": "workflow_instance",
    "trace_id": "job",
}
RELEASE = {"action": "unpublish", "at": "2038-01-01T00:00:00Z"}
LOCALE, TEXTS = {"code": "de", "name": "Deutsch"}, {"texts": {"menu.home": "Accueil"}}
LOCALE_FORM, TEXT_FORM = LOCALE | {"enabled": "true"}, {"key": "menu.about", "text": "À propos"}
RELEASE_FORM = {"action": "unpublish", "at": "2038-01-01T00:00"}
# Names that are no row: what is there, and what is not.
NAMES = {
    "number": "1",
    "width": "320",
    "queue": "ai:content",
    "schedules/name": "purge-expired",
    "cards/name": "queues",
    "templates/name": "quality_check",
    "locales/code": "fr",
    "texts/key": "menu.home",
}
# What a type alone does not tell.
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("PATCH", "/api/owner/queues/{queue:str}/limits"): {"running": 3},
    ("PATCH", "/api/owner/schedules/{name:str}"): {"cron": "30 2 * * *"},
    ("PATCH", "/api/owner/tenants/{tenant_id:uuid}"): {"name": "Another name"},
    ("PATCH", "/api/v1/articles/{article_id:uuid}"): {"title": "Another title"},
    ("PATCH", "/api/owner/tenants/{tenant_id:uuid}/articles/{article_id:uuid}"): {"title": "Another title"},
    ("POST", "/api/v1/articles/{article_id:uuid}/releases"): RELEASE,
    ("POST", "/api/owner/tenants/{tenant_id:uuid}/articles/{article_id:uuid}/releases"): RELEASE,
    ("POST", "/dashboard/owner/tenants/{tenant_id:uuid}/articles/{article_id:uuid}/releases"): RELEASE_FORM,
    ("POST", "/dashboard/t/{slug:str}/articles/{article_id:uuid}/releases"): RELEASE_FORM,
    ("POST", "/api/v1/articles/{article_id:uuid}/translations"): {"language": "fr"},
    ("POST", "/api/owner/tenants/{tenant_id:uuid}/articles/{article_id:uuid}/translations"): {"language": "fr"},
    ("POST", "/dashboard/owner/tenants/{tenant_id:uuid}/articles/{article_id:uuid}/translations"): {"language": "fr"},
    ("POST", "/dashboard/t/{slug:str}/articles/{article_id:uuid}/translations"): {"language": "fr"},
    ("POST", "/api/owner/tenants/{tenant_id:uuid}/tokens"): {"name": "App", "scopes": ["articles:read"]},
    ("POST", "/api/owner/ai/templates/{name:str}/versions"): {"text": "Name what is wrong."},
    ("POST", "/api/v1/ai/tasks"): {"kind": "quality_check", "articleId": "01900000-0000-7000-8000-000000000000"},
    ("POST", "/dashboard/owner/ai/templates/{name:str}"): {"text": "Name what is wrong."},
    ("POST", "/api/owner/tokens"): {"name": "App", "scopes": ["queues:read"]},
    ("POST", "/api/v1/locales"): LOCALE,
    ("POST", "/api/owner/tenants/{tenant_id:uuid}/locales"): LOCALE,
    ("POST", "/dashboard/owner/tenants/{tenant_id:uuid}/locales"): LOCALE_FORM,
    ("POST", "/dashboard/t/{slug:str}/locales"): LOCALE_FORM,
    ("PATCH", "/api/v1/locales/{code:str}"): {"name": "French"},
    ("PATCH", "/api/owner/tenants/{tenant_id:uuid}/locales/{code:str}"): {"name": "French"},
    ("POST", "/dashboard/owner/tenants/{tenant_id:uuid}/locales/{code:str}"): {"name": "French", "enabled": "true"},
    ("POST", "/dashboard/t/{slug:str}/locales/{code:str}"): {"name": "French", "enabled": "true"},
    ("PATCH", "/api/v1/locales/{code:str}/texts"): TEXTS,
    ("PATCH", "/api/owner/tenants/{tenant_id:uuid}/locales/{code:str}/texts"): TEXTS,
    ("POST", "/dashboard/owner/tenants/{tenant_id:uuid}/locales/{code:str}/texts"): TEXT_FORM,
    ("POST", "/dashboard/t/{slug:str}/locales/{code:str}/texts"): TEXT_FORM,
    ("POST", "/api/owner/tenants"): {"name": "Another name"},
    ("POST", "/api/v1/email-templates/{template_id:uuid}/versions"): {"subject": "Hello", "body": "Good day."},
    ("POST", "/dashboard/owner/tenants"): {"name": "Another name"},
    ("POST", "/dashboard/owner/tenants/{tenant_id:uuid}"): {"name": "Another name", "status": "active"},
    ("POST", "/dashboard/owner/tenants/{tenant_id:uuid}/tokens"): {"name": "App", "scopes": "articles:read"},
    ("POST", "/dashboard/owner/tenants/{tenant_id:uuid}/workspaces"): {"name": "Another name"},
    ("POST", "/dashboard/owner/tokens"): {"name": "App", "scopes": "queues:read"},
}

MANIFEST = {"key": "chat", "name": "Chat", "version": "1.0.0", "endpoint": "https://example.com/hook"}
# What the secrets' routes want, by the end of their path.
ASKS: dict[str, dict[str, Any]] = {
    "/rotation": {"overlapHours": 1},
    "/secrets": {"overlapHours": 1},
    "/tokens": {"name": "App", "scopes": ["articles:read"]},
    "/clients": {"name": "App", "scopes": ["articles:read"]},
    "/plugins": {"manifest": MANIFEST},
}
# What is ticked, by the part of the path that says in which list; and what the forms of these lists say besides.
TICKED = {
    "/users/": "user",
    "/sessions/": "session",
    "/members": "tenant_member",
    "/tokens/": "api_token",
    "/clients/": "api_client",
}
FORMS = {
    "/bans": ("ids", "reason"),
    "/unbans": ("ids",),
    "/revocations": ("ids",),
    "/removal": ("ids",),
    "/roles": ("ids", "roleId"),
    "/place": ("workspaceId",),
    "/{token_id:uuid}": ("name", "scopes"),
    "/{client_id:uuid}": ("name", "scopes"),
}
# What the API is told to change together, by the end of the path.
NAMED = {
    "/tenants/suspensions": "tenant",
    "/tenants/resumptions": "tenant",
    "/users/bans": "user",
    "/users/unbans": "user",
    "/sessions/revocations": "session",
    "/members/roles": "tenant_member",
    "/invitations/reminders": "invitation",
    "/invitations/revocations": "invitation",
    "/tokens/revocations": "api_token",
    "/clients/revocations": "api_client",
}
# What makes sense of a change, by the end of its path: so that it is done, and not only tried. `{role}` is our role.
CHANGES: dict[str, dict[str, str | int]] = {
    "/owner/tags": {"tenantId": "{tenant}", "name": "Another name"},
    "/owner/categories": {"tenantId": "{tenant}", "name": "Another name"},
    "/tenants/{tenant_id:uuid}/invitations": {"email": "new@example.org", "roleId": "{role}"},
    "/{slug:str}/invitations": {"email": "new@example.org", "roleId": "{role}"},
    "/members/{member_id:uuid}/impersonation": {"reason": "Ticket 12"},
    "/categories/{category_id:uuid}": {"name": "Another name"},
    "/tags/{tag_id:uuid}": {"name": "Another name"},
    "/funnels/{funnel_id:uuid}": {"name": "Another name"},
    "/users/{user_id:uuid}": {"name": "Another name"},
    "/users/{user_id:uuid}/ban": {"reason": "Spam"},
    "/roles/{role_id:uuid}": {"name": "Another name"},
    "/workspaces/{workspace_id:uuid}": {"name": "Another name"},
    "/tokens/{token_id:uuid}": {"name": "Another name"},
    "/clients/{client_id:uuid}": {"name": "Another name"},
    "/plugins/{plugin_id:uuid}/secrets": {"overlapHours": 1},
    "/tenants/{tenant_id:uuid}/deletion": {"reason": "They leave"},
    "/tenants/{tenant_id:uuid}/workspaces": {"name": "Another name"},
    "/cache/clear": {"area": "owner"},
    "/api/account": {"name": "Another name"},
    "/account/profile": {"name": "Another name"},
    "/email-suppressions": {"address": "reader@example.org"},
    "/dashboard/owner/users": {"email": "new@example.org", "name": "New"},
    "/exports": {"list": "audit", "format": "csv"},
    "/views": {"list": "logs/audit", "name": "Mine", "query": "action=owner"},
}

# What has to be so before an act can succeed, by its action or, before that, by the end of the path. `{table}` is the
# id of our row in it, `{other table}` of the other tenant's, `{me}` whoever asks.
TRASH = "UPDATE job SET state = 'removed', removed_from = 'dead', removed_at = '{now}' WHERE id = '{job}'"
DEAD, FAILED = (
    "UPDATE job SET state = 'dead' WHERE id = '{job}'",
    "UPDATE ai_task SET status = 'failed', kind = 'summarize_article'",
)
GRAPH = {"steps": [{"type": "publish", "key": "publish"}]}
DRAFT = """UPDATE workflow_definition SET draft = '{"steps": [{"type": "publish", "key": "publish"}]}'"""
ACTIVE = "UPDATE workflow_definition SET active_version_id = '{workflow_version}' WHERE id = '{workflow_definition}'; "
FACTOR = "INSERT INTO totp (user_id, secret, confirmed_at) VALUES ({me}, '', now())"
FEWER = """UPDATE {table} SET scopes = '["articles:read"]'"""
WAITING = "UPDATE job SET id = (SELECT job_id FROM ai_task WHERE id = '{ai_task}') WHERE id = '{job}'"
READY = {
    "/tenants/resumptions": "UPDATE tenant SET status = 'suspended' WHERE id = '{tenant}'",
    "account.device.forget": "UPDATE user_device SET user_id = {me} WHERE id = '{user_device}'",
    "account.factor.disable": FACTOR,
    "account.recovery.renew": FACTOR,
    "ai.task.cancel": WAITING,
    "ai.task.retry": FAILED,
    "approval.decide": "UPDATE approval SET expires_at = now() + interval '1 hour'",
    "article.translation_confirm": "UPDATE translation SET language = 'none', source_version = 0",
    "article.unpublish": "UPDATE article SET published_version = 1, published_at = now(), status = 'published'",
    "article.withdraw": "UPDATE article SET status = 'review'",
    "email.send": "UPDATE email_template SET name = 'hello'; UPDATE email_template_version SET subject = 'Hello'",
    "instance.resume": "UPDATE workflow_instance SET status = 'paused'",
    "instance.retry": "UPDATE workflow_instance SET status = 'failed'",
    "instance.start": ACTIVE + DRAFT.replace("workflow_definition SET draft", "workflow_version SET graph"),
    "invitation.accept": "UPDATE invitation SET token_hash = sha256('none'), email = '{mail}', role_id = '{role}', "
    "expires_at = now() + interval '1 hour' WHERE id = '{invitation}'",
    "member.update": "UPDATE tenant_member SET role_id = (SELECT id FROM role WHERE built_in = 'viewer' AND "
    "tenant_id = '{tenant}') WHERE id = '{tenant_member}'",
    "owner.ai_template.use": "UPDATE ai_template SET name = 'quality_check' WHERE id = '{ai_template}'",
    "owner.client.rotate": FEWER.replace("{table}", "api_client"),
    "owner.dlq.edit": DEAD.replace("SET", "SET kind = 'summarize_article',"),
    "owner.dlq.remove": DEAD,
    "owner.dlq.remove_many": DEAD,
    "owner.dlq.replay": DEAD,
    "owner.dlq.replay_many": DEAD,
    "owner.dlq.restore_many": TRASH,
    "owner.export.remove": "UPDATE export SET expires_at = now() + interval '1 hour'",
    "owner.isolation.run": "UPDATE isolation_run SET status = 'held'",
    "owner.job.restore": TRASH,
    "owner.job.retry": DEAD,
    "owner.queue.resume": "INSERT INTO queue (name, paused_at) VALUES ('ai:content', now())",
    "owner.schedule.remove": "UPDATE schedule SET name = 'orphan' WHERE name = (SELECT min(name) FROM schedule "
    "WHERE name LIKE 'isolation-%')",
    "owner.schedule.reset": "INSERT INTO schedule (name, next_run_at, cron, changed_at) "
    "VALUES ('purge-expired', now(), '1 2 3 * *', now())",
    "owner.schedule.resume": "INSERT INTO schedule (name, next_run_at, paused_at) "
    "VALUES ('purge-expired', now(), now())",
    "owner.tenant.undelete": "UPDATE tenant SET status = 'deleting', erase_at = now() + interval '1 day' "
    "WHERE id = '{tenant}'",
    "owner.token.rotate": FEWER.replace("{table}", "api_token"),
    "owner.user.factor_reset": "UPDATE totp SET confirmed_at = now()",
    "owner.user.unban": "UPDATE \"user\" SET disabled_at = now() WHERE id = '{user}'",
    "owner.worker.resume": "UPDATE worker SET command = 'quiet'",
    "owner.workspace.delete": "DELETE FROM api_client; DELETE FROM import_run; DELETE FROM publication; "
    "DELETE FROM article; UPDATE api_token SET workspace_id = NULL",
    "plugin.configure": """UPDATE plugin SET schema = '{"channel": {"title": "Channel"}}'""",
    "plugin.enable": "UPDATE plugin_config SET enabled = false",
    "plugin.redeliver": "UPDATE plugin_delivery SET status = 'failed'",
    "plugin.redeliver_failed": "UPDATE plugin_delivery SET status = 'failed'",
    "plugin.upgrade": "UPDATE plugin SET key = 'chat', release = '0.9.0' WHERE id = '{plugin}'",
    "role.delete": "DELETE FROM tenant_member WHERE role_id = '{role}'; DELETE FROM invitation; "
    "DELETE FROM workspace_role",
    "session.revoke": "UPDATE session SET user_id = {me}, expires_at = now() + interval '1 hour' "
    "WHERE id = '{session}'",
    "session.revoke_others": "UPDATE session SET user_id = {me}, expires_at = now() + interval '1 hour' "
    "WHERE id = '{session}'",
    "tag.merge": "UPDATE tag SET tenant_id = '{tenant}' WHERE id = '{other tag}'",
    "view.remove": "UPDATE saved_view SET owner = 'user:' || {me} WHERE id = '{saved_view}'",
    "workflow.publish": DRAFT,
    "workflow.switch_off": ACTIVE,
}
# What stands last in the address of an act, where that which `NAMES` has will not do.
ELSEWHERE = {"account.consent.update": "product_news", "owner.schedule.remove": "orphan"}
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55"
    "0000000a4944415478da6360000000020001e527defc0000000049454e44ae426082"
)
ARCHIVE = io.BytesIO()
with zipfile.ZipFile(ARCHIVE, "w") as _archive:
    _archive.writestr("one.md", "# One\n\nWords.")
# What is said when an act is meant, likewise. Of these fields each door gets those that it takes; all, of which no type
# tells them. A pair is a file: its name and what is in it.
FIELDS = {"subject": "Hello", "body": "Good day.", "category": "news"}
FUNNEL = {"name": "Join", "tenantId": "{tenant}", "steps": [{"name": "page_view"}, {"name": "signup"}]}
FLOW = {"key": "flow", "name": "Flow", "tenantId": "{tenant}", "graph": GRAPH}
LETTERS = {"ids": ["{job}"]}
SAID: dict[str, dict[str, Any]] = {
    "/dashboard/owner/users/{user_id:uuid}": {"name": "Another name", "email": "other@example.org"},
    "/dashboard/owner/schedules/{name:str}": {"cron": "1 2 3 * *"},
    "/dlq/remove": LETTERS,
    "/dlq/replay": LETTERS,
    "/dlq/restore": {"removedAt": "{now}"},
    "/dlq/{job_id:uuid}/edit": {"payload": {"taskId": "{ai_task}"}},
    "/invitations/reminders": {"ids": ["{invitation}"]},
    "/invitations/revocations": {"ids": ["{invitation}"]},
    "/members/roles": {"ids": ["{tenant_member}"], "roleId": "{role}"},
    "/owner/plugins/{plugin_id:uuid}": {"values": {"channel": "news"}, "values.channel": "news"},
    "/owner/tokens/revocations": {"ids": ["{platform_token}"]},
    "/owner/tokens/{token_id:uuid}": {"name": "Another name", "scopes": ["queues:read"]},
    "/plugins/{plugin_id:uuid}": {"values": {"channel": "news"}, "values.channel": "news"},
    "/tenants/resumptions": {"ids": ["{tenant}"]},
    "/tenants/suspensions": {"ids": ["{tenant}"], "reason": "They do not pay"},
    "/tenants/{tenant_id:uuid}/quotas": {"articles": "7"},
    "/users/unbans": {"ids": ["{user}"]},
    "account.consent.update": {"granted": True},
    "ai.task.start": {"kind": "quality_check", "articleId": "{article}"},
    "approval.decide": {"decision": "approve"},
    "article.treat": {"treatment": "delete", "ids": ["{article}"]},
    "email.send": {"template": "hello", "to": "reader@example.org"},
    "email.suppression.create": {"address": "reader@example.org", "recipient": "reader@example.org"},
    "email.template.create": {"name": "another", **FIELDS},
    "email.template.preview": {"name": "another", **FIELDS},
    "email.template.revise": FIELDS,
    "file.create": {"file": ("a.png", PIXEL)},
    "funnel.create": FUNNEL,
    "funnel.update": FUNNEL,
    "import.start": {"file": ("a.zip", ARCHIVE.getvalue())},
    "/locales/{code:str}/file": {"file": ("fr.json", b'{"menu.home": "Maison"}')},
    "member.add": {"email": "foreign@example.org", "roleId": "{role}"},
    "member.update": {"roleId": "{role}"},
    "owner.ai_template.use": {"number": 1},
    "owner.client.revoke": {"ids": ["{api_client}"]},
    "owner.dlq.edit": {"payload": {"taskId": "{ai_task}"}},
    "owner.dlq.remove_many": LETTERS,
    "owner.dlq.replay_many": LETTERS,
    "owner.dlq.restore_many": {"removedAt": "{now}"},
    "owner.password.change": {"current": OWNER_PASSWORD, "password": PASSWORD, "repeat": PASSWORD},
    "owner.token.revoke": {"ids": ["{api_token}"]},
    "owner.user.role": {"role": "auditor"},
    "plugin.redeliver_failed": {"pluginId": "{plugin}"},
    "plugin.upgrade": {**MANIFEST, "manifest": MANIFEST},
    "role.create": {"name": "Readers", "permissions": ["articles:read"]},
    "role.update": {"name": "Readers", "permissions": ["articles:read"]},
    "session.confirm": {"proof": OWNER_PASSWORD},
    "tag.merge": {"into": "{other tag}"},
    "view.create": {"list": "logs/audit", "page": "logs/audit", "name": "Mine", "query": "action=owner"},
    "workflow.create": FLOW,
    "workflow.update": {"name": "Flow", "graph": GRAPH},
}


TABLES = [table.name for table in Base.metadata.sorted_tables if table.name != "alembic_version"]
MARKS = " UNION ALL ".join(
    f"SELECT '{name}', count(*), coalesce(sum(xmin::text::bigint), 0)::bigint FROM \"{name}\"" for name in TABLES
)


@dataclass
class Door:
    """A method of a path. `things` are its parameters in their order, `shape` what its body has to look like."""

    method: str
    path: str
    audit: str
    public: bool
    things: list[str]
    plane: Plane | None
    shape: Any
    opt: dict[str, Any]
    answers: Any

    @property
    def name(self) -> tuple[str, str]:
        return self.method, self.path


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: str = ""


@dataclass
class Stage:
    """Two tenants that have one of everything. `ids` are what is there, by table: ours, and the other's."""

    app: Litestar
    admin: Any
    callers: dict[str, dict[str, str]]
    ids: dict[str, tuple[str, str]]
    now: str = ""
    _kept: list[tuple[str, list[Any]]] = field(default_factory=list)
    _marks: dict[str, tuple[int, int]] = field(default_factory=dict)

    async def keep(self) -> None:
        """From now on everything is restored to what it is now."""
        self.now = datetime.now(UTC).isoformat()
        self._kept, self._marks = await kept(self.admin), await marks(self.admin)

    async def restore(self) -> None:
        """Everything as it was, after a caller has changed something."""
        async with self.admin.transaction():
            found = await marks(self.admin)
            changed = [(name, rows) for name, rows in self._kept if found[name] != self._marks[name]]
            await self.admin.execute("SET LOCAL session_replication_role = replica")
            for name, rows in changed:
                await self.admin.execute(f'DELETE FROM "{name}"')
                if rows:
                    columns = ", ".join(f'"{column}"' for column in rows[0].keys())  # noqa: SIM118 - a record
                    places = ", ".join(f"${n}" for n in range(1, len(rows[0]) + 1))
                    statement = f'INSERT INTO "{name}" ({columns}) VALUES ({places})'
                    await self.admin.executemany(statement, [tuple(row.values()) for row in rows])
            mine = int(await self.admin.fetchval("SELECT pg_current_xact_id()::xid::text"))
            self._marks |= {name: (len(rows), len(rows) * mine) for name, rows in changed}
        await self.app.state.process.queue_redis.flushdb()
        self.now = datetime.now(UTC).isoformat()


def doors(app: Litestar) -> Iterator[Door]:
    for route in app.routes:
        assert isinstance(route, HTTPRoute)
        things = re.findall(r"\{(\w+):?\w*\}", route.path)
        for handler in route.route_handlers:
            given = handler.parsed_fn_signature.parameters.get("data")
            for method in sorted(handler.http_methods - {"OPTIONS", "HEAD"}):
                shape = given.annotation if given else None
                opt = handler.opt
                public = opt["permission"] == PUBLIC
                answers = handler.parsed_return_field.annotation
                yield Door(
                    method, route.path, opt.get("audit", ""), public, things, opt.get("plane"), shape, opt, answers
                )


def named(door: Door, place: int) -> str:
    """What this parameter of the path names: a key of `THINGS` or `NAMES`, or nothing that is listed."""
    parameter = door.things[place]
    before = re.sub(r"\{[^}]*\}/?", "", door.path.split("{" + parameter)[0]).strip("/").split("/")
    for known in (*THINGS, *NAMES):
        *folders, name = known.split("/")
        if name == parameter and before[len(before) - len(folders) :] == folders:
            return known
    assert not parameter.endswith("_id"), f"{door.path}: put the table of {parameter} into THINGS"
    return ""


def addresses(door: Door, stage: Stage) -> dict[str, str]:
    """The door's address with what is ours, what is another's, and what is not there."""

    def value(place: int, whose: int | None) -> str:
        known = named(door, place)
        found = (THINGS | NAMES).get(known, "none")
        if whose is None:
            return str(new_id()) if known in THINGS else "9" if found.isdecimal() else "none"
        return stage.ids[found][whose] if known in THINGS else found

    def address(last: int | None) -> str:
        values = [value(place, 0) for place in range(len(door.things) - 1)]
        values += [value(len(door.things) - 1, last)] if door.things else []
        found = iter(values)
        return re.sub(r"\{[^}]*\}", lambda _: next(found), door.path)

    told = {"own": address(0)}
    if door.things:
        # To the platform only what stands under something else can be another's.
        if (door.things[-1].endswith("_id") or door.things[-1] == "slug") and (
            door.plane is not Plane.PLATFORM or len(door.things) > 1
        ):
            told["foreign"] = address(1)
        told["missing"] = address(None)
    return told


def insider(door: Door) -> str:
    """The caller of the stage who may use the door: the owner, or who may most in the tenant."""
    if door.plane is not Plane.TENANT:
        return "owner"
    return "tenant's owner" if door.path.startswith("/dashboard/t/") else "tenant's token"


def asked(door: Door) -> tuple[bytes, str] | None:
    found = next((wanted for end, wanted in ASKS.items() if door.path.endswith(end)), None)
    if door.method not in UNSAFE or found is None:
        return None
    if door.path.startswith("/api/"):
        return msgspec.json.encode(found), "application/json"
    values = {
        name: msgspec.json.encode(each).decode() if isinstance(each, dict) else each for name, each in found.items()
    }
    return urlencode(values, doseq=True).encode(), "application/x-www-form-urlencoded"


def pressed(door: Door, stage: Stage) -> tuple[bytes, str] | None:
    """What the form of an act sends: what is ticked, and what else it asks for."""
    table = next((table for part, table in TICKED.items() if part in door.path), None)
    given = next((wanted for end, wanted in FORMS.items() if door.path.endswith(end)), None)
    if given is None or table is None:
        return asked(door)
    values = {"name": "App", "scopes": "articles:read", "reason": "Spam"}
    values |= {"ids": stage.ids[table][0], "roleId": stage.ids["role"][0], "workspaceId": stage.ids["workspace"][0]}
    return urlencode({name: values[name] for name in given}).encode(), "application/x-www-form-urlencoded"


def told(table: dict[str, Any], door: Door) -> Any:
    """What a table says of a door: of the end of its path, the longest, or of its action."""
    ends = [end for end in table if end.startswith("/") and door.path.endswith(end)]
    return table[max(ends, key=len)] if ends else table.get(door.audit)


def filled(value: Any, stage: Stage, door: Door) -> Any:
    """With our ids for what stands in braces."""
    if isinstance(value, dict):
        return {name: filled(each, stage, door) for name, each in value.items()}
    if isinstance(value, list):
        return [filled(each, stage, door) for each in value]
    if not isinstance(value, str) or "{" not in value:
        return value
    mail = "ours@example.org" if insider(door) == "tenant's owner" else OWNER_EMAIL
    ours = {"mail": mail, "me": f"(SELECT id FROM \"user\" WHERE email = '{mail}')", "now": stage.now}
    ours |= {name: ids[0] for name, ids in stage.ids.items()} | {f"other {name}": v[1] for name, v in stage.ids.items()}
    return re.sub(r"\{([a-z_ ]+)\}", lambda each: ours[each[1]], value)


def _typed(value: Any) -> Any:
    """As it stands in a field of a form: an object as JSON, a list of them as lines of their names."""
    if isinstance(value, dict):
        return msgspec.json.encode(value).decode()
    if isinstance(value, list) and isinstance(value[0], dict):
        return "\n".join(each["name"] for each in value)
    return str(value).lower() if isinstance(value, bool) else value


async def prepare(stage: Stage, door: Door) -> str:
    """Make it so that the door's act can succeed; returns the address at which it then can."""
    if statement := filled(told(READY, door), stage, door):
        async with stage.admin.transaction():
            await stage.admin.execute("SET LOCAL session_replication_role = replica")
            await stage.admin.execute(statement)
    address, last = addresses(door, stage)["own"], ELSEWHERE.get(door.audit)
    if last is None:
        return address
    return re.sub(r"\{[^}]*\}", last, door.path)


def said(door: Door, stage: Stage) -> tuple[bytes, str] | None:
    """What `SAID` has for a door, of it what the door takes."""
    values = filled(told(SAID, door), stage, door)
    if values is None:
        return None
    structs = [kind for kind in (get_args(door.shape) or (door.shape,)) if hasattr(kind, "__struct_fields__")]
    takes = {name for kind in structs for name in (*kind.__struct_encode_fields__, kind.__struct_config__.tag_field)}
    values = {name: each for name, each in values.items() if not structs or name in takes}
    file = next((each for each in values.values() if isinstance(each, tuple)), None)
    if file:
        head = f'--x\r\nContent-Disposition: form-data; name="file"; filename="{file[0]}"\r\n'
        head += f"Content-Type: {mimetypes.guess_type(file[0])[0]}\r\n\r\n"
        return head.encode() + file[1] + b"\r\n--x--\r\n", "multipart/form-data; boundary=x"
    if door.path.startswith("/api/"):
        return (msgspec.json.encode(values), "application/json") if values and door.shape else None
    plain = {name: _typed(each) for name, each in values.items()}
    return urlencode(plain, doseq=True).encode(), "application/x-www-form-urlencoded"


def changing(door: Door, stage: Stage) -> tuple[bytes, str] | None:
    """What such a request says when it is meant: what is ticked or typed."""
    api = door.path.startswith("/api/")
    wanted = next((given for end, given in CHANGES.items() if door.path.endswith(end)), None)
    if wanted is None and not api:
        return pressed(door, stage)
    if wanted is None:
        table = next((table for end, table in NAMED.items() if door.path.endswith(end)), None)
        if table is None:
            return asked(door)
        more = {"roleId": stage.ids["role"][0]} if door.path.endswith("/roles") else {}
        return msgspec.json.encode({"ids": [stage.ids[table][0]]} | more), "application/json"
    ours = {f"{{{table}}}": ids[0] for table, ids in stage.ids.items()}
    said = {name: ours.get(str(value), value) for name, value in wanted.items()}
    if api:
        return msgspec.json.encode(said), "application/json"
    return urlencode(said).encode(), "application/x-www-form-urlencoded"


async def ask(
    app: Litestar, door: Door, address: str, headers: dict[str, str], given: tuple[bytes, str] | None = None
) -> Answer:
    """One request, without a client in between; a stream is left once it has begun."""
    body, kind = given or body_of(door)
    path, _, query = address.partition("?")
    wanted = headers | ({"content-type": kind} if body else {})
    stated = {"host": "testserver", "origin": ORIGIN} | {name.lower(): value for name, value in wanted.items()}
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": door.method, "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in stated.items()],
        "client": ("192.0.2.1", 1), "server": ("testserver", 80),
    }  # fmt: skip
    answer, gone = Answer(0), asyncio.Event()
    parts = [body]

    async def receive() -> dict[str, Any]:
        if parts:
            return {"type": "http.request", "body": parts.pop(), "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = [(name.decode(), value.decode()) for name, value in message["headers"]]
            if dict(answer.headers).get("content-type", "").startswith("text/event-stream"):
                gone.set()
        else:
            answer.body += message.get("body", b"").decode()

    async with asyncio.timeout(STREAM_S):
        await app(scope, receive, send)  # type: ignore[arg-type]
    return answer


def body_of(door: Door) -> tuple[bytes, str]:
    """The least that the route takes, as its type says; some need more sense than types have."""
    if door.method not in UNSAFE:
        return b"", ""
    given = BODIES.get(door.name)
    if given is None:
        kinds = [kind for kind in (get_args(door.shape) or (door.shape,)) if isinstance(kind, type)]
        struct = next((kind for kind in kinds if issubclass(kind, msgspec.Struct)), None)
        given = least(struct) if struct else {}
    if door.path.startswith("/api/"):
        return (msgspec.json.encode(given), "application/json") if given else (b"", "")
    text = "&".join(f"{name}={value}" for name, value in given.items() if isinstance(value, (str, int)))
    return text.encode(), "application/x-www-form-urlencoded"


def least(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """A value for each field that has to be there."""
    info: Any = msgspec.inspect.type_info(struct)
    tag = {info.tag_field: info.tag} if info.tag_field else {}
    return tag | {each.encode_name: _value(each.type) for each in info.fields if each.required}


def _value(kind: Any) -> Any:
    """An example of the API's description where there is one."""
    inspect = msgspec.inspect
    if isinstance(kind, inspect.Metadata):
        examples = (kind.extra_json_schema or {}).get("examples")
        return examples[0] if examples else _value(kind.type)
    if isinstance(kind, inspect.UnionType):
        return _value(kind.types[0])
    if isinstance(kind, inspect.EnumType):
        return next(iter(kind.cls)).value
    if isinstance(kind, inspect.LiteralType):
        return kind.values[0]
    if isinstance(kind, inspect.UUIDType):
        return str(UUID(int=7))
    if isinstance(kind, (inspect.BoolType, inspect.IntType)):
        return isinstance(kind, inspect.BoolType) or 1
    if isinstance(kind, inspect.StructType):
        return least(kind.cls)
    if isinstance(kind, (inspect.ListType, inspect.VarTupleType, inspect.CollectionType)):
        return [_value(kind.item_type)] * (kind.min_length or 0)
    if isinstance(kind, inspect.DateTimeType):
        return "2026-01-01T00:00:00Z"
    return {} if isinstance(kind, inspect.DictType) else "Sample words"


async def tokens(stage_app: Litestar, operator: Any, tenant_id: UUID, scopes: list[str], **more: Any) -> dict[str, str]:
    async with stage_app.state.database.transaction(operator.scope) as session:
        _, secret = await TokenService(session, operator).create(tenant_id, name="caller", scopes=scopes, **more)
        return {"Authorization": f"Bearer {secret}"}


def tenant_scopes(end: str = "") -> list[str]:
    return sorted(name for name, each in registry.permissions().items() if each.tenant and name.endswith(end))


def _lists() -> dict[str, set[str]]:
    """The columns of JSON that hold a list, by table, as the models' annotations say."""
    found: dict[str, set[str]] = {}
    for mapper in Base.registry.mappers:
        hints: dict[str, Any] = {}
        for kind in mapper.class_.__mro__:
            hints |= vars(kind).get("__annotations__", {})
        found[str(mapper.class_.__tablename__)] = {name for name, hint in hints.items() if "list[" in str(hint)}
    return found


def _given(value: Any, kind: Any) -> Any:
    plain = isinstance(kind, ARRAY) or not isinstance(value, (dict, list))
    return value if plain else msgspec.json.encode(value).decode()


async def one_of_everything(admin: Any, ours: UUID, theirs: UUID, owned: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """A row in each table for each of two tenants, whatever tables there are; what is global is there twice as well."""
    ids: dict[str, tuple[str, str]] = {"tenant": (str(ours), str(theirs))}
    made: dict[str, list[str]] = {}
    lists = _lists()
    async with admin.transaction():
        await admin.execute("SET LOCAL session_replication_role = replica")  # a key may point at what is not there
        for number, tenant_id in enumerate((ours, theirs), 1):
            parents: dict[str, dict[str, Any]] = {"tenant": {"id": tenant_id}}
            for table in Base.metadata.sorted_tables:
                if table.name in ("tenant", "alembic_version"):
                    continue
                row, _ = sample(table, tenant_id if "tenant_id" in table.columns else None, parents, every_key=True)
                row |= {name: [] for name in lists.get(table.name, set()) & row.keys()}
                row |= {name: value for name, value in owned.get(table.name, {}).items() if name in table.columns}
                row |= {key.name: number for key in table.primary_key if isinstance(key.type, Integer)}
                if table.name == "job":
                    row["queue"] = "ai:content" if tenant_id == ours else "ai:seo"
                    row["correlation_id"] = row["id"]  # a trace by the id of its first step
                parents[table.name] = row
                columns = ", ".join(f'"{name}"' for name in row)
                marks = ", ".join(f"${n}" for n in range(1, len(row) + 1))
                values = [_given(value, table.columns[name].type) for name, value in row.items()]
                await admin.execute(f'INSERT INTO "{table.name}" ({columns}) VALUES ({marks})', *values)
                if "id" in row:
                    made.setdefault(table.name, []).append(str(row["id"]))
    return ids | {name: (both[0], both[1]) for name, both in made.items()}


async def kept(admin: Any) -> list[tuple[str, list[Any]]]:
    """All rows of all tables, in an order in which they can be written."""
    return [(name, await admin.fetch(f'SELECT * FROM "{name}"')) for name in TABLES]


async def marks(admin: Any) -> dict[str, tuple[int, int]]:
    """By table, how many rows it has and the sum of the transactions that wrote them: any change changes one of both.

    Of ninety tables a request changes a few, and to write all of them anew took most of the time.
    """
    return {name: (count, wrote) for name, count, wrote in await admin.fetch(MARKS)}


def cell(statuses: dict[str, int]) -> str:
    """`200` where all are alike, else own, foreign and missing."""
    if len(set(statuses.values())) == 1:
        return str(next(iter(statuses.values())))
    return " ".join(str(statuses.get(which, NONE)) for which in ("own", "foreign", "missing"))


def read() -> dict[tuple[str, str], dict[str, str]]:
    """The reviewed table: by method and path, the cell of each caller."""
    head, *lines = [line.split("\t") for line in TABLE.read_text().splitlines() if line and not line.startswith("#")]
    return {(line[0], line[1]): dict(zip(head[2:], line[2:], strict=True)) for line in lines}


def write(found: dict[tuple[str, str], dict[str, str]]) -> None:
    callers = list(next(iter(found.values())))
    about = "# Statuses by route and caller, reviewed by hand: own, foreign and missing thing where they differ.\n"
    lines = [["method", "path", *callers], *([*door, *cells.values()] for door, cells in found.items())]
    TABLE.write_text(about + "\n".join("\t".join(line) for line in lines) + "\n")


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit(f"{__doc__}")
    command = [sys.executable, "-m", "pytest", "-q", "tests/architecture/test_access.py"]
    sys.exit(subprocess.run(command, env=os.environ | {WRITE: "1"}, check=False).returncode)
