"""Each import contract holds for the code as it is, and is broken by a deliberate violation in a copy of it."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

STAIRCASE = "Packages import downwards only"
EMBEDDED = "The embedded servers know only the core"
EMBEDDED_USERS = "Only the command line starts embedded servers"
BULLMQ = "Only app.queues imports bullmq"
EGRESS = "Only app.core.egress calls out over HTTP"
REDIS_FREE = "The core and the features do not know Redis"
MODULES = "Modules import downwards only"
ROOTS = "The registry alone knows which modules there are"
INSIDE = "Inside a module the edge stands on the service"
FACE = "A module shows its service and its events only"

VIOLATIONS = [
    (STAIRCASE, "app/core/ids.py", "import app.redis.service"),
    (STAIRCASE, "app/redis/connection.py", "import app.queues.spec"),
    (STAIRCASE, "app/queues/spec.py", "import app.module"),
    (STAIRCASE, "app/module.py", "import app.modules.audit.service"),
    (STAIRCASE, "app/modules/audit/service.py", "def later():\n    import app.registry"),
    (STAIRCASE, "app/registry.py", "import app.process"),
    (STAIRCASE, "app/process.py", "import app.main"),
    (STAIRCASE, "app/worker.py", "import app.main"),
    (STAIRCASE, "app/main.py", "import app.cli"),
    (STAIRCASE, "app/static/build.py", "import app.core.ids"),
    (STAIRCASE, "app/toolbox.py", ""),
    (EMBEDDED, "app/embedded/probe.py", "import app.migrate"),
    (EMBEDDED, "app/embedded/probe.py", "import litestar"),
    (EMBEDDED_USERS, "app/main.py", "def later():\n    import app.embedded.servers"),
    (BULLMQ, "app/worker.py", "import bullmq"),
    (EGRESS, "app/modules/ai/client.py", "import httpx2"),
    (EGRESS, "app/core/live.py", "from httpcore2 import AsyncNetworkBackend"),
    (REDIS_FREE, "app/core/live.py", "from redis.asyncio import Redis"),
    (REDIS_FREE, "app/modules/queues/service.py", "import redis"),
    (MODULES, "app/modules/audit/service.py", "import app.modules.tenants.service"),
    (MODULES, "app/modules/identity/service.py", "import app.modules.articles.service"),
    (MODULES, "app/modules/unplaced/__init__.py", ""),
    (ROOTS, "app/process.py", "import app.modules.seals.service"),
    (INSIDE, "app/modules/articles/models.py", "import app.modules.articles.permissions"),
    (INSIDE, "app/modules/articles/schemas.py", "import app.modules.articles.repository"),
    (INSIDE, "app/modules/articles/repository.py", "import app.modules.articles.service"),
    (INSIDE, "app/modules/articles/service.py", "import app.modules.articles.controllers"),
    (INSIDE, "app/modules/articles/pages.py", "import app.modules.articles.controllers"),
    (INSIDE, "app/modules/articles/controllers.py", "import app.modules.articles.module"),
    (FACE, "app/modules/dashboard/pages.py", "import app.modules.articles.models"),
    (FACE, "app/modules/ai/service.py", "import app.modules.articles.repository"),
    (FACE, "app/main.py", "import app.modules.audit.controllers"),
    (FACE, "app/worker.py", "import app.modules.ai.processor"),
    (FACE, "app/modules/articles/utils.py", ""),
    (FACE, "app/modules/articles/parts/__init__.py", ""),
]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second checkout of what import-linter reads."""
    folder = tmp_path_factory.mktemp("checkout")
    only_python = shutil.ignore_patterns("static", "templates", "__pycache__")
    shutil.copytree(ROOT / "app", folder / "app", ignore=only_python)
    shutil.copytree(ROOT / "app/static", folder / "app/static", ignore=shutil.ignore_patterns("src", "dist"))
    shutil.copytree(ROOT / "tests/architecture", folder / "tests/architecture")
    shutil.copy(ROOT / ".importlinter", folder)
    return folder


@pytest.fixture
def plant(copy: Path) -> Iterator["Plant"]:
    planted = Plant(copy)
    yield planted
    planted.pull_up()


class Plant:
    """Code added to files of the copy, and taken away again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._before: dict[Path, str | None] = {}

    def __call__(self, path: str, code: str) -> None:
        file = self._folder / path
        self._before[file] = file.read_text() if file.exists() else None
        file.parent.mkdir(exist_ok=True)
        file.write_text((self._before[file] or "") + f"\n{code}\n")

    def pull_up(self) -> None:
        for file, text in self._before.items():
            if text is not None:
                file.write_text(text)
                continue
            file.unlink()
            if not any(file.parent.iterdir()):
                file.parent.rmdir()


def lint(folder: Path) -> tuple[dict[str, str], str]:
    """What import-linter says there: KEPT or BROKEN for each contract by name, and its whole output."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    done = subprocess.run(
        [*command, "--no-cache", "--no-logo"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={"COLUMNS": "200", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    found = dict(re.findall(r"^(\S.*\S) (KEPT|BROKEN)$", done.stdout, re.M))
    assert found, f"import-linter did not run:\n{done.stdout}\n{done.stderr}"
    assert ("BROKEN" in found.values()) == (done.returncode != 0)
    return found, done.stdout


def test_the_code_keeps_every_contract(copy: Path) -> None:
    verdicts, output = lint(copy)
    assert set(verdicts) == {contract for contract, _, _ in VIOLATIONS}, "a contract without a planted violation"
    assert set(verdicts.values()) == {"KEPT"}, output


@pytest.mark.parametrize(("contract", "path", "code"), VIOLATIONS)
def test_a_planted_import_breaks_its_contract(plant: Plant, copy: Path, contract: str, path: str, code: str) -> None:
    plant(path, code)
    verdicts, _ = lint(copy)
    assert verdicts[contract] == "BROKEN"
