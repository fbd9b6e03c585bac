"""What models are told: the code's words, until a person writes others."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from httpx2 import AsyncClient
from litestar import Litestar

from app.core.database import Database
from app.modules.prompts.service import Prompts
from app.modules.runs.models import AiRun
from app.queues.inline import drain
from tests.modules.ai import stage
from tests.modules.ai.openai_server import OpenAIServer

TenantClient = Callable[..., Awaitable[AsyncClient]]
API, PAGE = "/api/owner/ai/templates/rewrite_article", "/dashboard/owner/ai/templates/rewrite_article"
HTMX = {"HX-Request": "true"}


@pytest.mark.promise("S4-6", "S4-18")
async def test_a_run_tells_the_version_in_use_and_names_it(
    app: Litestar, owner: AsyncClient, tenant_client: TenantClient, database: Database
) -> None:
    program = await tenant_client()
    article = await stage.article(program)
    saved = await owner.post(
        f"{API}/versions",
        json={"text": "Costs $$5. Do: $instructions", "temperature": 0.2, "message": "Shorter"},
    )
    assert (saved.status_code, saved.json()["current"]) == (201, 1), saved.text
    assert [version["number"] for version in saved.json()["versions"]] == [1, 0]
    await stage.start(program, "rewrite_article", article, instructions="say $language and $title")
    async with OpenAIServer() as server:
        worker = stage.worker(database, server.url, prompts=Prompts(database))
        await drain(database, worker)
        back = await owner.put(f"{API}/current", json={"number": 0})
        assert back.json()["current"] == 0
        await stage.start(program, "rewrite_article", article, instructions="again")
        await drain(database, worker)
        first, second = [request.body.decode() for request in server.received]
    assert "Costs $5. Do: say $language and $title" in first, "what stands in a value is not filled in again"
    assert '"temperature":0.2' in first.replace(" ", "")
    assert "Rewrite this article" in second and "temperature" not in second
    assert [run.template_version for run in await stage.rows(database, AiRun, AiRun.id)] == [1, 0]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"text": "Do it"}, "instructions"),
        ({"text": "$instructions $secret"}, "secret"),
        ({"text": "$instructions costs $5"}, "text"),
        ({"text": " "}, "text"),
        ({"text": "$instructions", "temperature": 3}, "temperature"),
        ({"text": "$instructions", "model": "x"}, "model"),
    ],
)
async def test_a_text_that_cannot_be_is_refused(owner: AsyncClient, change: dict[str, object], field: str) -> None:
    answer = await owner.post(f"{API}/versions", json=change)
    assert answer.status_code in (400, 422)
    assert field in answer.text
    assert (await owner.get(API)).json()["versions"][0]["number"] == 0


async def test_two_who_save_at_once_get_two_versions(owner: AsyncClient) -> None:
    given = [owner.post(f"{API}/versions", json={"text": f"{n}: $instructions"}) for n in range(3)]
    assert {answer.status_code for answer in await asyncio.gather(*given)} == {201}
    found = (await owner.get(API)).json()
    assert [version["number"] for version in found["versions"]] == [3, 2, 1, 0]
    assert [version["current"] for version in found["versions"]].count(True) == 1
    assert (await owner.put(f"{API}/current", json={"number": 9})).status_code == 422
    assert (await owner.get("/api/owner/ai/templates/none")).status_code == 404


async def test_a_template_is_edited_on_its_page(owner: AsyncClient, tenant_client: TenantClient) -> None:
    page = (await owner.get(PAGE)).text
    assert "The code&#39;s own words" in page or "The code's own words" in page
    saved = await owner.post(PAGE, data={"text": "Be <b>brief</b>: $instructions", "use": "true"}, headers=HTMX)
    assert saved.status_code == 200, saved.text
    assert "&lt;b&gt;brief" in saved.text
    assert "Version 1 of rewrite_article is saved" in saved.headers["HX-Trigger"]
    wrong = await owner.post(PAGE, data={"text": "$instructions", "temperature": "warm"}, headers=HTMX)
    assert wrong.status_code == 422 and "temperature" in wrong.text
    used = await owner.post(f"{PAGE}/current", data={"number": "0"}, headers=HTMX)
    assert used.status_code == 200
    listed = (await owner.get("/dashboard/owner/ai/templates")).text
    for kind in ("generate_article_draft", "quality_check", "seo_audit"):
        assert kind in listed
    assert (await (await tenant_client()).get(PAGE)).status_code == 403
