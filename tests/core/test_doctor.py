"""`teknav doctor` and `config`: what they say of a folder, of settings that are wrong, and of a running TekNav."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from app.cli import main
from app.embedded.lock import FolderLock

Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run("doctor")` in an empty folder: the answer as JSON, without variables but those that are given."""
    monkeypatch.chdir(tmp_path)
    for name in ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "JWT_SECRET", "ENCRYPTION_KEY", "AI_PROVIDER", "PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TEKNAV_DATA_DIR", str(tmp_path / "var"))

    def command(*words: str, **variables: str) -> Any:
        return json.loads(CliRunner().invoke(main, [*words, "--json"], env=variables).stdout)

    return command


def errors(found: list[dict[str, str]]) -> list[tuple[str, str]]:
    return [(one["part"], one["message"]) for one in found if one["level"] == "error" and one["part"] != "assets"]


def test_a_folder_in_which_nothing_runs_is_told_once(run: Run, tmp_path: Path) -> None:
    ((part, message),) = errors(run("doctor"))
    assert part == "teknav" and message.startswith("TekNav is not running in this folder")


def test_settings_that_are_wrong_are_findings_and_the_rest_is_looked_at(run: Run) -> None:
    found = errors(run("doctor", AI_PROVIDER="openrouter"))
    assert found[0] == ("settings", "OPENROUTER_API_KEY: set it, or set AI_PROVIDER=local")
    assert found[1][0] == "teknav"
    ((_, message), _) = errors(run("doctor", AI_PROVIDER="openai"))
    assert message == "AI_PROVIDER: must be one of local, openrouter"


def test_a_provider_and_a_web_process_that_cannot_be_reached_are_findings(run: Run) -> None:
    nowhere = "http://127.0.0.1:9/v1"
    variables = {"AI_PROVIDER": "openrouter", "OPENROUTER_API_KEY": "none", "OPENROUTER_BASE_URL": nowhere}
    found = errors(run("doctor", **variables, DATABASE_URL="postgresql://a@127.0.0.1:9/none", PORT="9"))
    assert [part for part, _ in found][:2] == ["ai", "web"]
    assert all("127.0.0.1:9 cannot be reached" in message for _, message in found[:2])


def test_every_setting_says_where_it_comes_from_the_running_teknav_too(run: Run, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LOG_LEVEL=debug\nWORKER_CONCURRENCY=\n")
    with FolderLock(tmp_path / "var", "http://127.0.0.1:8471") as lock:
        lock.publish({"PORT": "8471", "LOG_LEVEL": "error", "SECRET_KEY": "k" * 40})
        found = run("config", HOST="127.0.0.2")
    assert found["PORT"] == {"value": 8471, "from": "running teknav up"}
    assert found["LOG_LEVEL"] == {"value": "debug", "from": ".env"}
    assert found["HOST"] == {"value": "127.0.0.2", "from": "environment"}
    assert found["WORKER_CONCURRENCY"] == {"value": 10, "from": "default"}
    assert "k" * 40 not in json.dumps(found)
