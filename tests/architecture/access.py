"""Who gets what answer from every route: asked of the running app, with every kind of caller.

`python -m tests.architecture.access --write` writes what it found into `access.tsv`; a person reviews the difference.
A new route joins by itself. A new kind of caller is a line in the fixture `stage`, a new kind of thing one in `THINGS`.
"""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args
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
from tests.conftest import ORIGIN

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
RELEASE_FORM = {"action": "unpublish", "at": "2038-01-01T00:00"}
# Names that are no row: what is there, and what is not.
NAMES = {
    "number": "1",
    "width": "320",
    "queue": "ai:content",
    "schedules/name": "purge-expired",
    "cards/name": "queues",
    "templates/name": "quality_check",
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
    ("POST", "/api/owner/tenants"): {"name": "Another name"},
    ("POST", "/api/v1/email-templates/{template_id:uuid}/versions"): {"subject": "Hello", "body": "Good day."},
    ("POST", "/dashboard/owner/tenants"): {"name": "Another name"},
    ("POST", "/dashboard/owner/tenants/{tenant_id:uuid}"): {"name": "Another name", "status": "active"},
    ("POST", "/dashboard/owner/tenants/{tenant_id:uuid}/tokens"): {"name": "App", "scopes": "articles:read"},
    ("POST", "/dashboard/owner/tenants/{tenant_id:uuid}/workspaces"): {"name": "Another name"},
    ("POST", "/dashboard/owner/tokens"): {"name": "App", "scopes": "queues:read"},
}


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
    kept: list[tuple[str, list[Any]]]

    async def restore(self) -> None:
        """Everything as it was, after a caller has changed something."""
        async with self.admin.transaction():
            await self.admin.execute("SET LOCAL session_replication_role = replica")
            await self.admin.execute("; ".join(f'DELETE FROM "{name}"' for name, _ in reversed(self.kept)))
            for name, rows in self.kept:
                if rows:
                    columns = ", ".join(f'"{column}"' for column in rows[0].keys())  # noqa: SIM118 - a record
                    marks = ", ".join(f"${n}" for n in range(1, len(rows[0]) + 1))
                    statement = f'INSERT INTO "{name}" ({columns}) VALUES ({marks})'
                    await self.admin.executemany(statement, [tuple(row.values()) for row in rows])
        await self.app.state.process.queue_redis.flushdb()


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


def addresses(door: Door, stage: Stage) -> dict[str, str]:
    """The door's address with what is ours, what is another's, and what is not there."""

    def value(place: int, whose: int | None) -> str:
        parameter = door.things[place]
        before = re.sub(r"\{[^}]*\}/?", "", door.path.split("{" + parameter)[0]).strip("/").split("/")
        for known, found in (*THINGS.items(), *NAMES.items()):
            *folders, name = known.split("/")
            if name != parameter or before[len(before) - len(folders) :] != folders:
                continue
            if whose is None:
                return str(new_id()) if known in THINGS else "9" if found.isdecimal() else "none"
            return stage.ids[found][whose] if known in THINGS else found
        assert not parameter.endswith("_id"), f"{door.path}: put the table of {parameter} into THINGS"
        return "none"

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
    names = [table.name for table in Base.metadata.sorted_tables if table.name != "alembic_version"]
    return [(name, await admin.fetch(f'SELECT * FROM "{name}"')) for name in names]


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
