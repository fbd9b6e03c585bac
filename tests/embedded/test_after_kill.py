"""What a start finds after kill -9: orphans, stale pid files, half-made clusters. No data is lost."""
# ruff: noqa: ASYNC220 - starting and killing is all that these tests do

import os
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest
from redis.asyncio import Redis

from app.embedded.processes import serving
from app.embedded.servers import Servers
from tests.embedded.stage import ROOT, gone, until


def postmaster(folder: Path) -> int:
    return int((folder / "postgres" / "postmaster.pid").read_text().split()[0])


async def write(folder: Path, servers: Servers) -> None:
    urls = servers.start(folder, fast=True)
    link = await asyncpg.connect(urls.migration_database_url)
    await link.execute("DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT 7 AS n")
    await link.close()
    async with Redis.from_url(urls.redis_url) as redis:
        await redis.set("kept", "7")


async def check(folder: Path, servers: Servers) -> None:
    urls = servers.start(folder, fast=True)
    link = await asyncpg.connect(urls.migration_database_url)
    assert await link.fetchval("SELECT n FROM kept") == 7
    await link.close()
    async with Redis.from_url(urls.redis_url) as redis:
        assert await redis.get("kept") == b"7"


async def test_servers_of_a_killed_owner_are_taken_over_and_stopped(shared_folder: Path) -> None:
    script = f"""
from pathlib import Path; import signal
from app.embedded.servers import Servers
Servers().start(Path({str(shared_folder)!r}), fast=True); print("up", flush=True); signal.pause()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": str(ROOT)}
    ) as owner:
        assert owner.stdout and owner.stdout.readline() == "up\n"
        owner.kill()
    orphans = {each.pid for name in ("postgres", "valkey") for each in serving(shared_folder / name)}
    assert len(orphans) >= 2
    servers = Servers()
    await write(shared_folder, servers)
    assert {postmaster(shared_folder), serving(shared_folder / "valkey")[0].pid} <= orphans
    servers.stop()
    assert all(gone(pid) for pid in orphans)


async def test_a_killed_postmaster_is_replaced_and_its_sessions_are_gone(shared_folder: Path) -> None:
    servers = Servers()
    await write(shared_folder, servers)
    old = {each.pid for each in serving(shared_folder / "postgres")}
    os.kill(postmaster(shared_folder), signal.SIGKILL)
    until(lambda: servers.dead() == ["PostgreSQL"])
    await check(shared_folder, servers)
    assert all(gone(pid) for pid in old)
    servers.stop()


async def test_a_session_that_outlives_its_postmaster_is_ended_first(shared_folder: Path) -> None:
    servers = Servers()
    await write(shared_folder, servers)
    children = serving(shared_folder / "postgres")
    checkpointer = next(each for each in children if "checkpointer" in " ".join(each.cmdline()))
    checkpointer.suspend()  # it cannot notice the death, and still has the shared memory
    os.kill(postmaster(shared_folder), signal.SIGKILL)
    await check(shared_folder, servers)
    assert gone(checkpointer.pid)
    servers.stop()


async def test_a_killed_valkey_is_replaced_at_the_same_address(shared_folder: Path) -> None:
    servers = Servers()
    await write(shared_folder, servers)
    before = servers.start(shared_folder)
    serving(shared_folder / "valkey")[0].kill()
    until(lambda: servers.dead() == ["Valkey"])
    await check(shared_folder, servers)
    assert servers.start(shared_folder) == before
    servers.stop()


async def test_two_valkeys_never_share_an_append_only_file(shared_folder: Path) -> None:
    servers = Servers()
    await write(shared_folder, servers)
    (shared_folder / "valkey" / "port").unlink()
    again = Servers()
    await check(shared_folder, again)
    assert len(serving(shared_folder / "valkey")) == 1
    again.stop()
    servers.stop()


@pytest.mark.parametrize("holder", ["another program", "a zombie", "nobody"])
async def test_a_stale_pid_file_does_not_hold_up_the_start(shared_folder: Path, holder: str) -> None:
    servers = Servers()
    await write(shared_folder, servers)
    pid_file = shared_folder / "postgres" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    owner = (shared_folder / "postgres").stat().st_uid
    servers.stop()
    # The number must belong to PostgreSQL's own account: others it calls stale by itself.
    command = ["true"] if holder == "a zombie" else ["sleep", "60"]
    stranger = subprocess.Popen(command, user=owner if os.geteuid() == 0 else None)
    try:
        if holder == "a zombie":
            until(lambda: gone(stranger.pid))
        if holder == "nobody":
            stranger.kill()
            stranger.wait()
        pid_file.write_text("\n".join([str(stranger.pid), *lines[1:], ""]))
        os.chown(pid_file, owner, -1)
        pid_file.chmod(0o600)
        await check(shared_folder, servers)
        assert postmaster(shared_folder) != stranger.pid
    finally:
        servers.stop()
        stranger.kill()
        stranger.wait()


async def test_a_cluster_whose_making_was_killed_is_made_anew(folder: Path) -> None:
    half = folder / "postgres.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    servers = Servers()
    await write(folder, servers)
    servers.stop()


async def test_a_renamed_folder_finds_its_running_servers(folder: Path) -> None:
    before, after = folder / "before", folder / "after"
    servers = Servers()
    await write(before, servers)
    old = postmaster(before)
    before.rename(after)
    moved = Servers()
    await check(after, moved)
    assert gone(old)
    moved.stop()
    assert serving(after / "postgres") == serving(after / "valkey") == []
