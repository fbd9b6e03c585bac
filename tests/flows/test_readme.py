"""The README's story, word for word: every block marked `bash` is run in a shell, in the order in which it stands."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.flows.running import ROOT, Running
from tests.flows.tenant_app import TenantApp

README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```bash\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
TOLD = 'printf "%s\\n" "$ARTICLE" "$TASK" "$TOKEN"'


@pytest.fixture
def shell(teknav: Running) -> str:
    """The README's shell, in a folder that looks like a fresh clone in which `make up` runs."""
    if shutil.which("curl") is None:
        assert os.environ.get("CI") != "true", "curl is not installed"
        pytest.skip("curl is not installed")
    for name, place in ((".venv", sys.prefix), ("examples", ROOT / "examples")):
        (teknav.folder / name).symlink_to(place)
    environment = {name: value for name, value in teknav.environment.items() if name not in ("TEKNAV_DATA_DIR", "PORT")}
    script = "\n".join(["set -euo pipefail", *BLOCKS, TOLD]).replace("http://127.0.0.1:8000", teknav.address)
    done = subprocess.run(
        ["bash", "-c", script], cwd=teknav.folder, env=environment, capture_output=True, text=True, timeout=90,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_the_commands_of_the_readme_lead_to_a_published_article_with_a_summary(
    teknav: Running, shell: str
) -> None:
    assert len(BLOCKS) == 3
    made, published, done, summary, provider, article, task, token = shell.splitlines()
    assert made.startswith("Harbour Press was made, as harbour-press")
    assert (published, done, provider) == ("published", "completed", "local")
    async with TenantApp(teknav.address, token) as app:
        found = await app.read(f"/api/v1/articles/{article}")
        assert found["title"] == "How a tide table is made"
        assert (found["status"], found["summary"]) == ("published", summary)
        assert (await app.read(f"/api/v1/ai/tasks/{task}"))["result"]["summary"] == summary
        assert summary.split(".")[0] in found["body"]
