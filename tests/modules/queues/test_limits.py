"""Limits of a queue, as the owner sets them."""

import json
from typing import Any

import asyncpg
import pytest
from httpx2 import AsyncClient

HERE, PAGES = "/api/owner/queues", "/dashboard/owner/queues"
NONE = {"rate": None, "running": None, "runningPerTenant": None}


@pytest.mark.promise("S0-29")
async def test_limits_are_set_in_parts_lifted_and_put_back(owner: AsyncClient, admin: asyncpg.Connection) -> None:
    async def now() -> tuple[dict[str, Any], bool]:
        found = (await owner.get(f"{HERE}/ai:content/stats")).json()
        return found["limits"], found["limitsChanged"]

    assert await now() == (NONE, False)
    answer = await owner.patch(f"{HERE}/ai:content/limits", json={"rate": {"jobs": 100, "perS": 1}, "running": 5})
    assert answer.status_code == 200, answer.text
    rate = {"jobs": 100, "perS": 1.0}
    assert answer.json()["limits"] == {"rate": rate, "running": 5, "runningPerTenant": None}
    await owner.patch(f"{HERE}/ai:content/limits", json={"running": None, "runningPerTenant": 2})
    assert await now() == ({"rate": rate, "running": None, "runningPerTenant": 2}, True)
    assert (await owner.delete(f"{HERE}/ai:content/limits")).status_code == 200
    assert await now() == (NONE, False)
    rows = await admin.fetch("SELECT before, after FROM audit_log WHERE action = 'owner.queue.limit' ORDER BY id")
    trace = [(json.loads(row["before"]), json.loads(row["after"])) for row in rows]
    told = {"jobs": 100, "per_s": 1.0}
    assert trace == [
        ({"declared": True, "rate": None, "running": None}, {"declared": False, "rate": told, "running": 5}),
        ({"running": 5, "running_per_tenant": None}, {"running": None, "running_per_tenant": 2}),
        (
            {"declared": False, "rate": told, "running_per_tenant": 2},
            {"declared": True, "rate": None, "running_per_tenant": None},
        ),
    ]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"running": 0}, "running"),
        ({"runningPerTenant": "many"}, "runningPerTenant"),
        ({"rate": {"jobs": 5}}, "rate.perS"),
        ({"rate": {"jobs": 5, "perS": 0}}, "rate.perS"),
        ({"speed": 1}, "speed"),
    ],
)
async def test_a_wrong_limit_names_its_field_and_changes_nothing(
    owner: AsyncClient, body: dict[str, Any], field: str, admin: asyncpg.Connection
) -> None:
    answer = await owner.patch(f"{HERE}/ai:content/limits", json=body)
    assert 400 <= answer.status_code < 500
    assert field.split(".")[0] in answer.text
    assert await admin.fetchval("SELECT count(*) FROM queue WHERE limits IS NOT NULL") == 0


async def test_an_unknown_queue_has_no_limits(owner: AsyncClient) -> None:
    assert (await owner.patch(f"{HERE}/nope/limits", json={"running": 1})).status_code == 404


async def test_the_form_sets_limits_and_goes_back_to_the_codes(owner: AsyncClient) -> None:
    token = {"_csrf_token": owner.headers["X-CSRF-Token"]}
    form = {"rate.jobs": "20", "rate.perS": "0.5", "running": "", "runningPerTenant": "3"}
    answer = await owner.post(f"{PAGES}/ai:seo/limits", data=form | token, headers={"HX-Request": "true"})
    assert answer.status_code == 200, answer.text
    assert "20 in 0.5 s, 3 of one tenant" in " ".join(answer.text.split())
    refused = await owner.post(f"{PAGES}/ai:seo/limits", data={"rate.jobs": "20"} | token)
    assert refused.status_code == 422 and "rate.perS" in refused.text
    wrong = await owner.post(f"{PAGES}/ai:seo/limits", data=form | {"running": "x"} | token)
    assert wrong.status_code == 422 and "running" in wrong.text
    back = await owner.post(f"{PAGES}/ai:seo/limits", data={"declared": "true"} | token)
    assert back.status_code == 200
    assert (await owner.get(f"{HERE}/ai:seo/stats")).json()["limits"] == NONE
