"""What the documents say exists: linked files, make's targets, variables; and the logins that they tell to make."""

import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from app import checks, migrate
from app.core.database import Database
from app.core.settings import example, load
from app.embedded.servers import Servers, Urls
from tests.flows.running import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"(?<!`)\[[^\]]*\]\(([^)#\s]+)[^)]*\)|(?:src|srcset)=\"([^\"]+)\"")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    links = {a or b for a, b in LINK.findall(document.read_text("utf-8"))}
    missing = [link for link in links if "://" not in link and not (document.parent / link).exists()]
    assert missing == []


def test_targets_of_make_exist() -> None:
    named = {word for path in DOCUMENTS for word in re.findall(r"[`$] ?make ([a-z]+)", path.read_text("utf-8"))}
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert {"up", "test", "setup", "lint"} <= named
    assert named <= targets


def test_tests_that_documents_name_exist() -> None:
    named = [
        (path, name)
        for document in DOCUMENTS
        for path, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)", document.read_text("utf-8"))
    ]
    missing = [f"{path}::{name}" for path, name in named if f"def {name}(" not in (ROOT / path).read_text("utf-8")]
    assert named and missing == []


def test_variables_are_those_that_teknav_reads() -> None:
    blocks = [
        block
        for path in DOCUMENTS
        for block in re.findall(r"^```ini\n(.*?)^```$", path.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    ]
    given = {name for block in blocks for name in re.findall(r"^([A-Z_]+)=", block, re.MULTILINE)}
    assert {"DATABASE_URL", "REDIS_URL"} <= given
    assert given <= set(re.findall(r"^([A-Z_]+)=", example(), re.MULTILINE))


@pytest.fixture(scope="module")
def fresh_servers() -> Iterator[Urls]:
    folder = Path(tempfile.mkdtemp(prefix="tn-"))
    servers = Servers()
    try:
        yield servers.start(folder, fast=True)
    finally:
        servers.stop()
        shutil.rmtree(folder)


def sql(document: str) -> str:
    block: str
    (block,) = re.findall(r"^```sql\n(.*?)^```$", (ROOT / document).read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return block


@pytest.mark.promise("S4-1")
async def test_the_logins_of_the_documents_are_safe_and_enough(fresh_servers: Urls) -> None:
    assert sql("README.md") == sql("docs/deploy.md")
    # The embedded cluster has logins and a database of the same names; the ones made here are called otherwise.
    statements = re.sub(r"\bteknav", "own", sql("README.md"))
    admin = await asyncpg.connect(fresh_servers.admin_database_url)
    try:
        for statement in statements.split(";\n"):
            if statement.strip():
                await admin.execute(statement)
    finally:
        await admin.close()
    environment = {
        name: re.sub(r"//teknav_(\w+)@([^/]*)/teknav", r"//own_\1@\2/own", url)
        for name, url in fresh_servers.environment().items()
    }
    settings = load(environment | {"APP_ENV": "prod"})
    assert await migrate.migrate(settings) == migrate.head()
    assert await migrate.migrate(settings) == migrate.head(), "safe to run again"
    database = Database(settings)
    try:
        found = [await checks.database(database), await checks.migrations(database)]
        found += await checks.logins(database, settings)
    finally:
        await database.close()
    assert [item.level for item in found] == ["ok", "ok", "ok"], found
