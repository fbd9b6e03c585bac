"""Files of tenants: only what is taken, the same bytes once, small pictures without the camera's notes."""

import asyncio
import io
import os
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from httpx2 import AsyncClient
from PIL import Image

from app.core.policy import Actor
from app.core.settings import Settings
from app.modules.media import client as pictures
from app.modules.media.jobs import SweepFiles
from app.modules.tenants.service import QuotaService
from app.queues.enqueue import enqueue
from tests.conftest import Made

Drain = Callable[..., Awaitable[int]]
Client = Callable[..., Awaitable[AsyncClient]]
PATH = "/api/v1/files"
SCOPES = ("files:read", "files:write")
SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def picture(kind: str = "JPEG", size: tuple[int, int] = (1200, 600), colour: str = "teal") -> bytes:
    """With an EXIF block that names a camera and says that it was held on its side."""
    out, notes = io.BytesIO(), Image.Exif()
    notes[0x0110], notes[0x0112] = "Spy camera", 6
    Image.new("RGB", size, colour).save(out, kind, exif=notes)
    return out.getvalue()


@pytest.mark.promise("S4-8", "S2-35")
async def test_a_picture_is_kept_once_and_served_in_small(
    tenant_client: Client, make_tenant: Callable[[str], Awaitable[Made]], drain: Drain, settings: Settings
) -> None:
    client, data = await tenant_client(*SCOPES), picture()
    answer = await client.post(PATH, files={"file": ("../../etc/pa\nssé.jpg", data, "image/jpeg")})
    assert answer.status_code == 201, answer.text
    file = answer.json()
    assert (file["name"], file["mediaType"], file["byteCount"]) == ("passé.jpg", "image/jpeg", len(data))
    assert (file["width"], file["height"], file["images"]) == (1200, 600, "pending")
    again = await client.post(PATH, content=data, params={"fileName": "other.jpg"})
    assert (again.status_code, again.json()["id"], again.json()["name"]) == (200, file["id"], "passé.jpg")
    many = await asyncio.gather(*(client.post(PATH, content=b"%PDF-1.7 at once") for _ in range(4)))
    assert sorted(one.status_code for one in many) == [200, 200, 200, 201], "at the same moment too"
    assert len({one.json()["id"] for one in many}) == 1
    await drain()
    where = f"{PATH}/{file['id']}"
    found = (await client.get(where)).json()
    assert found["images"] == "completed"
    assert [(one["width"], one["height"]) for one in found["assets"]] == [(320, 640), (600, 1200)], "turned upright"
    small = await client.get(f"{where}/images/320")
    assert small.headers["content-type"] == "image/webp" and len(small.content) == found["assets"][0]["byteCount"]
    shown = Image.open(io.BytesIO(small.content))
    assert shown.size == (320, 640) and not shown.getexif() and b"Spy camera" not in small.content
    whole = await client.get(f"{where}/content")
    assert whole.content == data and whole.headers["x-content-type-options"] == "nosniff"
    assert whole.headers["content-disposition"] == "inline; filename*=UTF-8''pass%C3%A9.jpg"
    tag = {"If-None-Match": whole.headers["etag"]}
    assert (await client.get(f"{where}/content", headers=tag)).status_code == 304
    assert (await client.get(f"{where}/images/320", headers=tag)).status_code == 200
    assert (await client.get(f"{where}/images/321")).status_code == 404

    other = await tenant_client(*SCOPES, of=await make_tenant("Stranger"))
    for path in (where, f"{where}/content", f"{where}/images/320"):
        assert (await other.get(path)).status_code == 404
    assert (await other.delete(where)).status_code == 404
    assert (await other.post(PATH, content=data)).status_code == 201, "the same bytes are another tenant's own"
    lying = list((settings.data_dir / "files").glob(f"*/{file['id']}*"))
    assert len(lying) == 3
    assert (await client.delete(where)).status_code == 204
    assert (await client.get(where)).status_code == 404 and not any(path.exists() for path in lying)


async def test_what_is_not_taken_is_said(
    tenant_client: Client, tenant: Made, database: Any, operator: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, png = await tenant_client(*SCOPES), picture("PNG")

    async def refused(data: bytes, kind: str = "application/octet-stream") -> str:
        answer = await client.post(PATH, files={"file": ("a", data, kind)})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "file"), answer.text
        return str(answer.json()["errors"][0]["message"])

    for data in (SVG, b"<!doctype html><p>Hello", b"MZ\x90\x00", b"words"):
        assert "must be one of" in await refused(data)
    assert "is image/png by its first bytes, not image/jpeg" in await refused(png, "image/jpeg")
    assert "cannot be read" in await refused(b"\x89PNG\r\n\x1a\n" + b"x" * 40)
    assert "is empty" in await refused(b"")
    monkeypatch.setattr(pictures, "MOST_PIXELS", 100_000)
    assert "1,200 × 600 pixels" in await refused(png)
    document = await client.post(PATH, content=b"%PDF-1.7 words", params={"fileName": "a.pdf"})
    assert (document.json()["images"], document.json()["width"]) == ("none", None)
    served = await client.get(f"{PATH}/{document.json()['id']}/content")
    assert served.headers["content-disposition"].startswith("attachment;")
    async with database.transaction(operator.scope) as session:
        await QuotaService(session, operator).change(tenant.id, {"fileBytes": 20})
    assert (await client.post(PATH, content=b"%PDF-1.7 other words")).json()["code"] == "quota_exceeded"
    found = (await client.get(PATH, params={"mediaType": "application"})).json()["items"]
    assert [one["name"] for one in found] == ["a.pdf"]
    reader = await tenant_client("files:read")
    assert (await reader.post(PATH, content=png)).status_code == 403


async def test_a_broken_picture_says_so_and_the_folder_is_tidied(
    tenant_client: Client, drain: Drain, settings: Settings, database: Any, operator: Actor, admin: asyncpg.Connection
) -> None:
    client = await tenant_client(*SCOPES)
    broken = (await client.post(PATH, content=picture("PNG", colour="red")[:400])).json()
    kept = (await client.post(PATH, content=picture("GIF", (20, 10)))).json()
    await drain()
    assert (await client.get(f"{PATH}/{broken['id']}")).json()["images"] == "failed"
    (small,) = (await client.get(f"{PATH}/{kept['id']}")).json()["assets"]
    assert small["width"] == 20
    await admin.execute("DELETE FROM file WHERE id = $1", broken["id"])
    folder = settings.data_dir / "files"
    young = next(folder.glob(f"*/{broken['id']}"))
    (young.parent / "cut.1.part").write_bytes(b"x")
    lying = {path for path in folder.glob("*/*") if kept["id"] not in path.name}
    for path in folder.glob("*/*"):
        os.utime(path, (0, 0))
    async with database.transaction(operator.scope) as session:
        await enqueue(session, SweepFiles())
    await drain()
    assert not any(path.exists() for path in lying) and len(list(folder.glob(f"*/{kept['id']}*"))) == 2


async def test_a_dead_job_of_pictures_that_is_replayed_makes_them(
    tenant_client: Client,
    drain: Drain,
    owner: AsyncClient,
    settings: Settings,
    admin: asyncpg.Connection,
    database: Any,
    operator: Actor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client, queue = await tenant_client(*SCOPES), "/api/owner/queues/platform:tasks"
    file = (await client.post(PATH, content=picture("PNG"))).json()
    lying = next((settings.data_dir / "files").glob(f"*/{file['id']}"))
    away = lying.rename(lying.with_name("away"))
    await drain(retries=True)
    assert (await client.get(f"{PATH}/{file['id']}")).json()["images"] == "failed"
    away.rename(lying)
    job = await admin.fetchval("SELECT id FROM job WHERE state = 'dead'")
    assert (await owner.post(f"{queue}/dlq/{job}/replay")).status_code == 200
    assert (await client.get(f"{PATH}/{file['id']}")).json()["images"] == "pending"
    await drain()
    assert (await client.get(f"{PATH}/{file['id']}")).json()["images"] == "completed"

    def broken(self: Any, tenant: Any, name: str) -> None:
        raise OSError("the disk is away")

    stray = lying.with_name("cut.1.part")
    stray.write_bytes(b"x")
    os.utime(stray, (0, 0))
    async with database.transaction(operator.scope) as session:
        await enqueue(session, SweepFiles())
    with monkeypatch.context() as patched:
        patched.setattr(pictures.Folder, "discard", broken)
        await drain()
    assert stray.exists()
    await drain(retries=True)
    assert not stray.exists(), "the next attempt looks for itself"


async def test_members_upload_on_their_page_and_the_owner_sees_it(
    member: Client, owner: AsyncClient, tenant: Made, drain: Drain, admin: asyncpg.Connection
) -> None:
    ann = await member("ann@example.org", "author")
    page = f"/dashboard/t/{tenant.slug}/files"
    assert "No files yet" in (await ann.get(page)).text
    sent = {"file": ("harbour.png", picture("PNG"), "image/png")}
    answer = await ann.post(page, files=sent, headers={"HX-Request": "true"})
    assert answer.status_code == 200 and "harbour.png" in answer.text
    await drain()
    (file,) = (await owner.get("/api/owner/files", params={"tenantId": str(tenant.id)})).json()["items"]
    for client, prefix in ((ann, page), (owner, "/dashboard/owner/files")):
        assert f'src="{prefix}/{file["id"]}/images/320"' in (await client.get(prefix)).text
        assert (await client.get(f"{prefix}/{file['id']}/images/320")).headers["content-type"] == "image/webp"
        shown = (await client.get(f"{prefix}/{file['id']}")).text
        assert "harbour.png" in shown and ("/traces/" in shown) is (client is owner), "the trace is the platform's"
    viewer = await member("vic@example.org", "viewer")
    assert "new-file" not in (await viewer.get(page)).text
    assert (await viewer.post(f"{page}/{file['id']}/removal")).status_code == 403
    gone = await ann.post(f"{page}/{file['id']}/removal", headers={"HX-Request": "true"})
    assert gone.status_code == 200 and "No files yet" in gone.text

    # The owner does the same in a tenant's name, having chosen it.
    owners, acts = "/dashboard/owner/files", f"/dashboard/owner/tenants/{tenant.id}/files"
    assert acts not in (await owner.get(owners)).text
    chosen = await owner.get(owners, params={"tenantId": str(tenant.id)})
    assert f'hx-post="{acts}"' in chosen.text and f"Upload a file for {tenant.name}" in chosen.text
    kept = await owner.post(acts, files=sent, headers={"HX-Request": "true"})
    assert kept.status_code == 200 and "harbour.png" in kept.headers["hx-trigger"]
    api = f"/api/owner/tenants/{tenant.id}/files"
    (file,) = (await owner.get(api)).json()["items"]
    await drain()
    trace = await admin.fetchval("SELECT correlation_id FROM file")
    told = (await owner.get(f"/api/owner/traces/{trace}")).json()["items"]
    assert ("file", "harbour.png", "completed") in [(one["kind"], one["label"], one["status"]) for one in told]
    assert file["name"] == "harbour.png" and (await ann.get(f"{page}/{file['id']}")).status_code == 200
    again = await owner.post(f"{api}?fileName=b.png", content=picture("PNG"), headers={"Content-Type": "image/png"})
    assert again.status_code == 200 and again.headers["location"] == f"{api}/{file['id']}"
    assert (await owner.get(f"{again.headers['location']}/content")).headers["content-type"] == "image/png"
    removed = await owner.post(f"{acts}/{file['id']}/removal", headers={"HX-Request": "true"})
    assert removed.status_code == 200 and (await owner.get(api)).json()["items"] == []
    log = (await owner.get("/api/owner/logs/audit", params={"tenantId": str(tenant.id)})).json()["items"]
    assert [row["action"] for row in log][:2] == ["file.delete", "file.create"]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_picture_with_broken_notes_is_shown_as_it_lies() -> None:
    out, notes = io.BytesIO(), Image.Exif()
    notes[0x0112], notes[0x8825] = 6, {1: "N", 2: (1.0, 2.0, 3.0)}
    Image.new("RGB", (8, 4)).save(out, "JPEG", exif=notes)
    whole, shapes = out.getvalue(), set()
    assert [made[:2] for made in pictures.smaller("image/jpeg", whole)] == [(4, 8)]
    begin = whole.index(b"Exif")
    for place in range(begin, begin + int.from_bytes(whole[begin - 2 : begin], "big") - 2):
        for sign in (0, 5, 255):
            broken = whole[:place] + bytes([sign]) + whole[place + 1 :]
            shapes |= {made[:2] for made in pictures.smaller("image/jpeg", broken)}
    assert shapes == {(4, 8), (8, 4)}
