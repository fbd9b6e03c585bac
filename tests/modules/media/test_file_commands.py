"""`teknav file`, beside what the API tells."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from httpx2 import AsyncClient

from tests.modules.conftest import Teknav
from tests.modules.media.test_files import picture


async def test_a_file_is_kept_listed_and_deleted_by_commands(
    teknav: Teknav, tenant_client: Callable[..., Awaitable[AsyncClient]], tenant: Any, tmp_path: Path
) -> None:
    client, at = await tenant_client("files:read"), ("--tenant", tenant.slug)
    path = tmp_path / "harbour.png"
    path.write_bytes(picture("PNG"))
    made = json.loads(await teknav("file", "add", str(path), *at, "--json"))
    here = f"/api/v1/files/{made['id']}"
    assert json.loads(await teknav("file", "show", made["id"], "--json")) == (await client.get(here)).json()
    assert "was there already" in await teknav("file", "add", str(path), *at)
    (listed,) = json.loads(await teknav("file", "list", *at, "--search", "harb", "--type", "image", "--json"))["items"]
    assert listed == made | {"tenantId": str(tenant.id)}
    assert "harbour.png" not in await teknav("file", "list", "--type", "application/pdf")
    assert len([*(tmp_path / "files").rglob(made["id"])]) == 1
    path.write_bytes(picture("PNG").ljust(10 * 1024**2 + 1))
    assert "more than 10 MB" in await teknav("file", "add", str(path), *at, code=1)
    path.write_text("no picture")
    assert "file: must be one of" in await teknav("file", "add", str(path), *at, code=1)
    assert "harbour.png is deleted" in await teknav("file", "delete", made["id"], *at)
    assert (await client.get(here)).status_code == 404 and not [*(tmp_path / "files").rglob(made["id"])]
    assert "no file with this id" in await teknav("file", "delete", made["id"], *at, code=1)
