"""What a tenant's members see of who read what, and the files they make of their logs."""

import csv
import io
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from httpx2 import AsyncClient

from tests.conftest import Made

Person = Callable[..., Awaitable[AsyncClient]]
Drain = Callable[..., Awaitable[int]]
MakeTenant = Callable[[str], Awaitable[Made]]
HTMX = {"HX-Request": "true"}


async def entry_of(owner: AsyncClient, of: Made) -> str:
    """The owner reads the newest row of a tenant's audit log, by which a row stands in that tenant's access log."""
    await owner.post(f"/api/owner/tenants/{of.id}/articles", json={"title": "Tides", "body": "Words."})
    [row] = (await owner.get("/api/owner/logs/audit", params={"tenantId": str(of.id), "limit": 1})).json()["items"]
    assert (await owner.get(f"/api/owner/logs/audit/{row['id']}")).status_code == 200
    return str(row["id"])


@pytest.mark.promise("S4-63")
async def test_members_see_who_read_what_of_their_tenant_and_nothing_of_another(
    owner: AsyncClient, tenant: Made, make_tenant: MakeTenant, member: Person
) -> None:
    other = await make_tenant("Stranger")
    ours, theirs = await entry_of(owner, tenant), await entry_of(owner, other)
    home = f"/dashboard/t/{tenant.slug}"
    chief = await member("chief@example.org", "admin")
    shown = (await chief.get(f"{home}/logs/access")).text
    assert ours in shown and theirs not in shown and "owner@example.org" in shown
    assert f'href="{home}/logs/access"' in shown
    assert "/dashboard/owner" not in shown and 'data-label="Tenant"' not in shown
    assert "Nothing fits" in (await chief.get(f"{home}/logs/access?resource=audit:{theirs}", headers=HTMX)).text
    rows = {}
    for id_, of in ((ours, tenant), (theirs, other)):
        [row] = (await owner.get("/api/owner/logs/access", params={"resource": f"audit:{id_}"})).json()["items"]
        assert row["tenantId"] == str(of.id)
        rows[id_] = row["id"]
    drawer = await chief.get(f"{home}/logs/access/{rows[ours]}", headers=HTMX)
    assert drawer.status_code == 200 and "/dashboard/owner" not in drawer.text
    assert (await chief.get(f"{home}/logs/access/{rows[theirs]}")).status_code == 404
    # Beside each thing stands who saw it, asked for where the members are.
    page = (await chief.get(f"{home}/logs/audit/{ours}")).text
    assert f'hx-get="{home}/logs/access/of/audit/{ours}"' in page
    seen = (await chief.get(f"{home}/logs/access/of/audit/{ours}", headers=HTMX)).text
    assert "owner@example.org" in seen and "chief@example.org" in seen
    assert "Nobody so far" in (await chief.get(f"{home}/logs/access/of/audit/{theirs}", headers=HTMX)).text
    both = (await chief.get(f"{home}/logs")).text
    assert "Latest changes" in both and "Latest looks" in both and "/dashboard/owner" not in both
    assert (await (await member("auditor@example.org", "auditor")).get(f"{home}/logs/access")).status_code == 200
    editor = await member("editor@example.org", "editor")
    for path in ("logs", "logs/access", f"logs/access/{rows[ours]}", "exports"):
        assert (await editor.get(f"{home}/{path}")).status_code == 403, path


async def test_members_export_their_tenants_logs_and_no_row_of_another(
    owner: AsyncClient, tenant: Made, make_tenant: MakeTenant, member: Person, drain: Drain
) -> None:
    other = await make_tenant("Stranger")
    ours, theirs = await entry_of(owner, tenant), await entry_of(owner, other)
    home = f"/dashboard/t/{tenant.slug}"
    chief = await member("chief@example.org", "admin")
    assert f'hx-post="{home}/exports"' in (await chief.get(f"{home}/logs/audit")).text

    async def file(**form: Any) -> tuple[str, str]:
        made = await chief.post(f"{home}/exports", data={"list": "audit", "format": "ndjson", "query": ""} | form)
        assert made.status_code == 200 and made.headers["hx-redirect"] == f"{home}/exports"
        assert await drain() == 1
        listed = (await chief.get(f"{home}/exports")).text
        assert "/dashboard/owner" not in listed and '<td class="actions">' in listed
        place = re.findall(r'href="([^"]*/file)"', listed)[0]
        answer = await chief.get(place)
        assert answer.status_code == 200
        return answer.text, place

    text, place = await file()
    lines = [json.loads(line) for line in text.splitlines()]
    assert {line["tenantId"] for line in lines} == {str(tenant.id)}, "also no block: those hold other tenants' rows"
    assert {ours} <= {line["id"] for line in lines} and theirs not in text
    # Filters do not reach further.
    assert (await file(query=f"tenantId={other.id}"))[0] == ""
    seen = [*csv.DictReader(io.StringIO((await file(list="access", format="csv"))[0]))]
    assert {row["tenantId"] for row in seen} == {str(tenant.id)}
    assert ("owner.read.export", "chief@example.org") in {(row["action"], row["actorLabel"]) for row in seen}
    assert (await chief.post(f"{home}/exports", data={"list": "tenant", "format": "csv"})).status_code == 403
    # Another tenant's members find none of it, an auditor fetches and makes none, the owner sees whose it is.
    stranger = await member("stranger@example.org", "admin", of=other)
    away = place.replace(f"/t/{tenant.slug}/", f"/t/{other.slug}/")
    assert (await stranger.get(away)).status_code == 404
    assert (await stranger.post(away.replace("/file", "/removal"))).status_code == 404
    assert "There is no export" in (await stranger.get(f"/dashboard/t/{other.slug}/exports")).text
    auditor = await member("auditor@example.org", "auditor")
    assert (await auditor.get(place)).status_code == 200
    assert (await auditor.post(f"{home}/exports", data={"list": "audit", "format": "csv"})).status_code == 403
    assert ">Export<" not in (await auditor.get(f"{home}/logs/audit")).text
    assert tenant.name in (await owner.get("/dashboard/owner/exports")).text
    gone = await chief.post(place.replace("/file", "/removal"), headers=HTMX)
    assert gone.status_code == 200 and place not in gone.text
    assert (await chief.get(place)).status_code == 404
