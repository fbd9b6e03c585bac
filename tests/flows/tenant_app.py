"""A tenant's program: the calls that the README makes with curl."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from httpx2 import AsyncClient

from tests.flows.waiting import until

SCOPES = ("articles:read", "articles:write", "articles:publish", "ai:run", "ai:read")
ARTICLE = (Path(__file__).parents[2] / "examples" / "article.md").read_text("utf-8")


class TenantApp:
    """Articles and tasks go by their addresses, `/api/v1/articles/…`, as the API gives them in `Location`."""

    def __init__(self, address: str, token: str) -> None:
        self._client = AsyncClient(base_url=address, headers={"Authorization": f"Bearer {token}"}, timeout=20)

    async def post(self, markdown: str = ARTICLE) -> str:
        answer = await self._client.post(
            "/api/v1/articles", content=markdown.encode(), headers={"Content-Type": "text/markdown"}
        )
        assert answer.status_code == 201, answer.text
        return answer.headers["Location"]

    async def send(self, place: str, body: dict[str, Any] | None = None, **more: Any) -> Any:
        """What a successful call under `/api/v1` answers."""
        answer = await self._client.post(f"/api/v1{place}", json=body, **more)
        assert answer.is_success, answer.text
        return answer.json()

    async def publish(self, article: str) -> None:
        answer = await self._client.post(f"{article}/publication")
        assert answer.status_code == 200 and answer.json()["status"] == "published", answer.text

    async def ask_for_summary(self, article: str) -> str:
        answer = await self._client.post(f"{article}/summaries")
        assert answer.status_code == 202, answer.text
        return answer.headers["Location"]

    async def ask(self, kind: str, article: str) -> str:
        """Ask for a task of another kind, which takes nothing but the article."""
        wanted = {"kind": kind, "articleId": article.rpartition("/")[2]}
        answer = await self._client.post("/api/v1/ai/tasks", json=wanted)
        assert answer.status_code == 202, answer.text
        return answer.headers["Location"]

    async def read(self, place: str) -> dict[str, Any]:
        answer = await self._client.get(place)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def until(self, task: str, status: str) -> dict[str, Any]:
        """Read the task until it has this status."""
        return await until(lambda: self.read(task), lambda found: found["status"] == status)

    async def until_counted(self, grain: str) -> None:
        """Read the views by the hour or the day until there are some."""
        since = (datetime.now(UTC) - timedelta(days=1)).date()
        place = f"/api/v1/analytics/series?grain={grain}&from={since}&to={datetime.now(UTC).date()}"
        await until(lambda: self.read(place), lambda found: any(point["value"] for point in found["points"]))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: type[BaseException] | BaseException | TracebackType | None) -> None:
        await self._client.aclose()
