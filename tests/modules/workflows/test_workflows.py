"""Definitions: what is refused, how a draft becomes what runs, and who sees what of it."""

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from httpx2 import AsyncClient

from app.modules.workflows.schemas import Check, holds, value_at
from tests.conftest import Made, Person
from tests.modules.conftest import Teknav
from tests.modules.instances import flows

TenantClient = Callable[..., Awaitable[AsyncClient]]
PUBLISH = {"type": "publish", "key": "publish"}
PAGES = "/dashboard/owner/workflows"


@pytest.mark.parametrize(
    ("graph", "field", "says"),
    [
        ({"steps": []}, "graph.steps", "length"),
        ({"steps": [{"type": "shell", "key": "a"}]}, "graph.steps[0].type", "Invalid value"),
        ({"steps": [{"type": "wait", "key": "A b", "seconds": 5}]}, "graph.steps[0].key", "regex"),
        ({"steps": [{"type": "wait", "key": "a", "seconds": 0}]}, "graph.steps[0].seconds", ">= 1"),
        ({"steps": [{**PUBLISH, "retries": 3}]}, "graph.steps[0].retries", "not known"),
        ({"steps": [PUBLISH, PUBLISH]}, "graph.steps[1].key", "already"),
        ({"steps": [{**PUBLISH, "key": "end"}]}, "graph.steps[0].key", "already"),
        ({"steps": [{**PUBLISH, "next": "nowhere"}]}, "graph.steps[0]", "no step 'nowhere'"),
        ({"steps": [{**PUBLISH, "article": "steps.gone.id"}]}, "graph.steps[0]", "names no step"),
        ({"steps": [{**PUBLISH, "article": "os.environ"}]}, "graph.steps[0].article", "regex"),
        ({"steps": [{"type": "condition", "key": "a"}]}, "graph.steps[0]", "wants a test"),
        ({"steps": [PUBLISH], "on": "article.burned"}, "graph.on", "must be one of"),
    ],
)
async def test_a_graph_that_cannot_work_is_refused_by_its_field(
    tenant_client: TenantClient, graph: dict[str, Any], field: str, says: str
) -> None:
    client = await tenant_client(*flows.SCOPES)
    answer = await client.post("/api/v1/workflows", json={"key": "flow", "name": "Flow", "graph": graph})
    assert answer.status_code in (400, 422), answer.text
    errors = {error["field"]: error["message"] for error in answer.json()["errors"]}
    assert says in errors[field], errors
    assert (await client.get("/api/v1/workflows")).json()["items"] == []


@pytest.mark.parametrize(
    ("op", "left", "right", "expected"),
    [
        ("==", 1, 1, True), ("==", True, 1, False), ("==", None, None, True), ("!=", "a", "b", True),
        ("<", 1, 2.5, True), (">=", "b", "a", True), ("<", "1", 2, False), (">", None, 0, False), ("<", True, 2, False),
        ("in", "de", ["de", "en"], True), ("in", "x", "text", True), ("in", 1, "1", False),
        ("contains", ["a"], "a", True), ("contains", "some words", "word", True), ("contains", 7, 7, False),
    ],
)  # fmt: skip
def test_a_comparison_never_raises_and_compares_only_what_is_alike(
    op: Any, left: Any, right: Any, expected: bool
) -> None:
    assert holds(Check(path="input.x", op=op, value=right), {"input": {"x": left}, "steps": {}}) is expected


def test_a_path_reads_plain_data_only() -> None:
    context = {"input": {"tags": ["a", {"b": 2}]}, "steps": {}}
    assert value_at(context, "input.tags.1.b") == 2
    for nowhere in ("input.tags.9", "input.tags.b", "input.__class__", "input.tags.append", "steps.x.y"):
        assert value_at(context, nowhere) is None


@pytest.mark.promise("S4-7")
async def test_a_draft_changes_nothing_that_runs_until_it_is_published_as_a_version_that_never_changes(
    tenant_client: TenantClient, admin: asyncpg.Connection, make_tenant: Callable[[str], Awaitable[Made]]
) -> None:
    client = await tenant_client(*flows.SCOPES)
    definition = await flows.workflow(client, PUBLISH)
    url = f"/api/v1/workflows/{definition}"
    first = (await client.get(url)).json()
    (version,) = first["versions"]
    assert (version["number"], version["id"], len(version["checksum"])) == (1, first["activeVersionId"], 64)
    same = (await client.post(f"{url}/versions")).json()
    assert len(same["versions"]) == 1, "it is the newest version already"

    graph = {"steps": [{"type": "wait", "key": "rest", "seconds": 5}, PUBLISH], "on": "article.created"}
    stale = await client.patch(url, json={"graph": graph}, headers={"If-Match": '"99"'})
    assert stale.status_code == 412
    draft = (await client.patch(url, json={"graph": graph})).json()
    assert (draft["activeVersionId"], draft["topic"]) == (version["id"], None)
    second = (await client.post(f"{url}/versions")).json()
    assert [one["number"] for one in second["versions"]] == [2, 1]
    assert second["topic"] == "article.created" and second["versions"][1]["graph"] == {"steps": [PUBLISH]}
    steps = await admin.fetch("SELECT key, type, next, config FROM workflow_step ORDER BY version_id, position")
    assert [(row["key"], row["type"], row["next"]) for row in steps] == [
        ("publish", "publish", None), ("rest", "wait", "publish"), ("publish", "publish", None),
    ]  # fmt: skip
    for table in ("workflow_version", "workflow_step", "approval_decision"):
        for role in ("teknav_tenant", "teknav_platform"):
            assert not await admin.fetchval("SELECT has_table_privilege($1, $2, 'UPDATE')", role, table)

    off = (await client.post(f"{url}/switch-off")).json()
    assert (off["activeVersionId"], off["topic"]) == (None, None)
    refused = await client.post(f"{url}/run", json={"input": {}})
    assert (refused.status_code, refused.json()["code"]) == (409, "not_published")
    taken = {"key": "flow", "name": "Other", "graph": {"steps": [PUBLISH]}}
    assert (await client.post("/api/v1/workflows", json=taken)).json()["code"] == "key_taken"
    other = await tenant_client(*flows.SCOPES, of=await make_tenant("Other Press"))
    assert (await other.get(url)).status_code == (await other.post(f"{url}/run")).status_code == 404
    one_workspace = await admin.fetchval("SELECT id FROM workspace LIMIT 1")
    await admin.execute("UPDATE api_token SET workspace_id = $1 WHERE tenant_id = $2", one_workspace, await _of(admin))
    assert (await client.get(url)).status_code == 403, "workflows act with all the tenant's rights"


async def _of(admin: asyncpg.Connection) -> Any:
    return await admin.fetchval("SELECT tenant_id FROM workflow_definition LIMIT 1")


@pytest.mark.promise("S4-36", "S4-37", "S4-52", "S4-63")
async def test_the_owner_sees_and_runs_all_tenants_workflows(
    owner: AsyncClient, tenant: Made, tenant_client: TenantClient, member: Person, drain: Any, teknav: Teknav,
    admin: asyncpg.Connection,
) -> None:  # fmt: skip
    empty = (await owner.get(PAGES)).text
    assert "No workflows yet" in empty and "Begin with this one" in empty
    form = {
        "name": "Ask first",
        "key": "ask_first",
        "tenantId": str(tenant.id),
        "graph": '{"steps": [{"type": "publ"}]}',
    }
    wrong = await owner.post(PAGES, data=form, headers={"HX-Request": "true"})
    assert wrong.status_code == 422 and 'data-field="graph"' in wrong.text and "steps[0]" in wrong.text
    form["graph"] = '{"steps": [{"type": "approval", "key": "ask", "title": "Shall it?"}]}'
    made = await owner.post(PAGES, data=form, headers={"HX-Request": "true"})
    page = made.headers["HX-Redirect"]
    definition = page.rpartition("/")[2]
    assert (await owner.post(f"{page}/publish", headers={"HX-Request": "true"})).status_code == 200
    assert "runs" in (await owner.get(page)).text and "ask_first" in (await owner.get(PAGES)).text
    ran = await owner.post(f"/api/owner/workflows/{definition}/run", json={"input": {"articleId": "x"}})
    assert (ran.status_code, ran.json()["tenantId"]) == (202, str(tenant.id))
    await drain()

    instance = ran.json()["id"]
    shown = await owner.get(f"/api/owner/workflows/instances/{instance}")
    assert shown.json()["executions"][0]["status"] == "waiting"
    warm = await owner.get(f"/api/owner/workflows/instances/{instance}", headers={"Cache-Control": ""})
    assert warm.json()["id"] == instance
    seen = await admin.fetch("SELECT action, resource_id, tenant_id FROM data_access_log ORDER BY id")
    assert [tuple(row) for row in seen] == [("owner.read.workflow_instance", instance, tenant.id)] * 2
    listed = (await owner.get(f"/api/owner/workflows/instances?status=waiting&tenantId={tenant.id}")).json()["items"]
    assert [row["id"] for row in listed] == [instance]
    assert (await owner.get("/api/owner/workflows/instances?status=asleep")).status_code == 422
    listed_page = (await owner.get(f"{PAGES}/instances?status=waiting")).text
    assert "Ask first" in listed_page and listed_page.count('aria-current="page"') == 2, (
        "one line of the menu, one crumb"
    )
    assert "waits for approval" in (await owner.get(f"{PAGES}/instances/{instance}")).text

    ann = await member("ann@example.org", "editor")
    home = f"/dashboard/t/{tenant.slug}"
    asked = (await ann.get(f"{home}/approvals")).text
    assert "Shall it?" in asked and f"{home}/workflows/instances" in asked
    approval = str(await admin.fetchval("SELECT id FROM approval"))
    answer = await ann.post(
        f"{home}/approvals/{approval}/decisions", data={"decision": "approve"}, headers={"HX-Request": "true"}
    )
    assert answer.status_code == 200 and "ann@example.org" in answer.text
    await drain()
    assert "Succeeded" in (await ann.get(f"{home}/workflows/instances/{instance}")).text
    assert (await ann.post(f"{home}/workflows", data=form)).status_code == 403, "editors do not write workflows"

    assert "ask_first" in await teknav("workflows", "list")
    started = await teknav("workflows", "run", definition, "--input", '{"articleId": "y"}')
    second = started.split()[2]
    assert second in await teknav("workflows", "instances", "--status", "pending", "--json")
    assert "is cancelled" in await teknav("workflows", "cancel", second)
    assert "is cancelled" in await teknav("workflows", "cancel", second, code=1)
    assert "JSON object" in await teknav("workflows", "run", definition, "--input", "[]", code=2)
