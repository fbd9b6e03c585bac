"""What the tests of workflows share: a client that may do all with them, and workflows in few words."""

from typing import Any

from httpx2 import AsyncClient

SCOPES = (
    *("articles:read", "articles:write", "articles:publish", "ai:run", "ai:read"),
    *("workflows:read", "workflows:write", "instances:read", "instances:manage", "approvals:read", "approvals:decide"),
)


async def article(client: AsyncClient, title: str = "How the ladder was built") -> str:
    """The id of a new draft."""
    answer = await client.post("/api/v1/articles", json={"title": title, "body": "The weir stands in the town."})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def workflow(client: AsyncClient, *steps: dict[str, Any], key: str = "flow", **graph: Any) -> str:
    """The id of a workflow that is published."""
    body = {"key": key, "name": key.capitalize(), "graph": {"steps": list(steps), **graph}}
    made = await client.post("/api/v1/workflows", json=body)
    assert made.status_code == 201, made.text
    answer = await client.post(f"/api/v1/workflows/{made.json()['id']}/versions")
    assert answer.status_code == 200, answer.text
    return str(made.json()["id"])


async def run(client: AsyncClient, definition: str, **given: Any) -> str:
    """The id of a new instance."""
    answer = await client.post(f"/api/v1/workflows/{definition}/run", json={"input": given})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def instance(client: AsyncClient, instance_id: str) -> dict[str, Any]:
    answer = await client.get(f"/api/v1/workflows/instances/{instance_id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def instances(client: AsyncClient, **wanted: str) -> list[dict[str, Any]]:
    """The newest first."""
    answer = await client.get("/api/v1/workflows/instances", params=wanted)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def act(client: AsyncClient, instance_id: str, what: str) -> int:
    return (await client.post(f"/api/v1/workflows/instances/{instance_id}/{what}")).status_code


def steps(found: dict[str, Any]) -> list[tuple[str, int, int, str]]:
    """Each try at each step: key, iteration, attempt, status."""
    return [(one["stepKey"], one["iteration"], one["attempt"], one["status"]) for one in found["executions"]]
