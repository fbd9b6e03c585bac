"""The lock and the secrets of a data folder."""

import fcntl
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from app.embedded import secrets
from app.embedded.errors import AlreadyRunning, CannotStart
from app.embedded.lock import FolderLock, running
from tests.embedded.stage import ROOT


def test_a_second_owner_is_told_where_the_first_one_runs(tmp_path: Path) -> None:
    with FolderLock(tmp_path, "http://127.0.0.1:8000"):
        with pytest.raises(AlreadyRunning, match=r"http://127\.0\.0\.1:8000") as refused:
            FolderLock(tmp_path, "http://127.0.0.1:9000").__enter__()
        assert refused.value.exit_code == 3
    with FolderLock(tmp_path, "http://127.0.0.1:9000") as lock:
        assert not lock.left_by_killed


def test_other_commands_find_the_servers_while_the_owner_runs(tmp_path: Path) -> None:
    assert running(tmp_path) is None
    with FolderLock(tmp_path, "http://127.0.0.1:8000") as lock:
        lock.publish({"REDIS_URL": "redis://:word@127.0.0.1:1/0"})
        found = running(tmp_path)
        assert found is not None
        assert found.environment == {"REDIS_URL": "redis://:word@127.0.0.1:1/0"}
        assert stat.S_IMODE((tmp_path / "teknav.lock").stat().st_mode) == 0o600
    assert running(tmp_path) is None


def test_a_killed_owner_leaves_the_folder_free(tmp_path: Path) -> None:
    script = f"""
from pathlib import Path; import signal
from app.embedded.lock import FolderLock
with FolderLock(Path({str(tmp_path)!r}), "http://127.0.0.1:8000"): print("held", flush=True); signal.pause()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": str(ROOT)}
    ) as owner:
        assert owner.stdout and owner.stdout.readline() == "held\n"
        found = running(tmp_path)
        assert found is not None and found.pid == owner.pid
        owner.kill()
    assert running(tmp_path) is None
    with FolderLock(tmp_path, "http://127.0.0.1:8000") as lock:
        assert lock.left_by_killed


def test_a_folder_that_cannot_be_used_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotStart, match="TEKNAV_DATA_DIR"):
        FolderLock(tmp_path / "file", "http://127.0.0.1:8000").__enter__()


def test_missing_secrets_are_made_once_and_readable_by_their_owner_only(tmp_path: Path) -> None:
    made = secrets.ensure(tmp_path, {})
    assert set(made) == {"SECRET_KEY", "JWT_SECRET", "ENCRYPTION_KEY"}
    assert len(set(made.values())) == 3 and all(len(value) == 43 for value in made.values())
    assert stat.S_IMODE((tmp_path / "secrets.env").stat().st_mode) == 0o600
    assert secrets.ensure(tmp_path, {}) == made == secrets.read(tmp_path)


def test_a_given_secret_wins_and_a_kept_one_is_never_changed(tmp_path: Path) -> None:
    (tmp_path / "secrets.env").write_text("# mine\nJWT_SECRET=kept")
    used = secrets.ensure(tmp_path, {"JWT_SECRET": "given", "SECRET_KEY": "", "ENCRYPTION_KEY": "also given"})
    assert used["JWT_SECRET"] == "given" and used["ENCRYPTION_KEY"] == "also given"
    text = (tmp_path / "secrets.env").read_text()
    assert text == f"# mine\nJWT_SECRET=kept\nSECRET_KEY={used['SECRET_KEY']}\n"
    assert secrets.ensure(tmp_path, {})["JWT_SECRET"] == "kept"


def test_nothing_is_written_when_all_secrets_are_given(tmp_path: Path) -> None:
    secrets.ensure(tmp_path, dict.fromkeys(secrets.NAMES, "given"))
    assert not (tmp_path / "secrets.env").exists()


def test_looking_whether_somebody_runs_does_not_hinder_a_start(tmp_path: Path) -> None:
    (tmp_path / "teknav.lock").touch()
    with (tmp_path / "teknav.lock").open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        threading.Timer(0.1, lambda: fcntl.flock(looking, fcntl.LOCK_UN)).start()
        with FolderLock(tmp_path, "http://127.0.0.1:8000"):
            assert running(tmp_path) is not None


def test_secrets_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "secrets.env").mkdir()
    with pytest.raises(CannotStart, match=r"secrets\.env"):
        secrets.ensure(tmp_path, {})
