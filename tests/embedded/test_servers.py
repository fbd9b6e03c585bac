"""PostgreSQL and Valkey from the wheels: what a start gives, and what it survives in good order."""
# ruff: noqa: ASYNC221, ASYNC240 - starting and killing is all that these tests do

import multiprocessing
import os
import pwd
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError

from app.embedded import account, cluster
from app.embedded.errors import CannotStart
from app.embedded.processes import serving
from app.embedded.servers import Servers, Urls
from tests.embedded.stage import NOBODY

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def started(shared_folder: Path) -> Iterator[Urls]:
    servers = Servers()
    yield servers.start(shared_folder, fast=True)
    servers.stop()


async def one(url: str, question: str) -> object:
    link = await asyncpg.connect(url)
    try:
        return await link.fetchval(question)
    finally:
        await link.close()


async def test_runtime_logins_have_no_rights_of_their_own(started: Urls) -> None:
    rights = (
        "SELECT format('%s %s %s %s %s', rolname, rolsuper, rolinherit, rolbypassrls, rolcreaterole) "
        "FROM pg_roles WHERE rolname = session_user"
    )
    assert await one(started.database_url, rights) == "teknav_app f f f f"
    assert await one(started.platform_database_url, rights) == "teknav_control f f f f"
    assert await one(started.migration_database_url, rights) == "teknav_migrator f f f t"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await one(started.database_url, "CREATE TABLE public.mine (id int)")


async def test_the_migrator_owns_the_database_and_is_no_superuser(started: Urls) -> None:
    owner = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
    assert await one(started.migration_database_url, owner) == "teknav_migrator"
    assert await one(started.admin_database_url, "SHOW is_superuser") == "on"
    await one(started.migration_database_url, "CREATE EXTENSION IF NOT EXISTS pg_trgm")
    assert await one(started.migration_database_url, "SELECT similarity('سلام دنیا', 'سلام')") > 0.4


async def test_valkey_never_evicts_and_keeps_an_append_only_file(started: Urls) -> None:
    async with Redis.from_url(started.redis_url, decode_responses=True) as redis:
        kept = await redis.config_get("maxmemory-policy", "appendonly", "bind")
    assert kept == {"maxmemory-policy": "noeviction", "appendonly": "yes", "bind": "127.0.0.1"}


@pytest.mark.promise("S3-21")
async def test_valkey_takes_no_more_memory_than_it_may_and_refuses_rather_than_evict(folder: Path) -> None:
    with Servers(folder / "bounded", fast=True, redis_max_memory="4mb") as urls:
        async with Redis.from_url(urls.redis_url, decode_responses=True) as redis:
            assert await redis.config_get("maxmemory", "maxmemory-policy") == {
                "maxmemory": str(4 * 1024 * 1024),
                "maxmemory-policy": "noeviction",
            }
            await redis.set("first", "kept")
            with pytest.raises(OutOfMemoryError):
                for number in range(100):
                    await redis.set(f"large{number}", "x" * 100_000)
            assert await redis.get("first") == "kept"


async def test_valkey_refuses_whoever_has_no_password(started: Urls) -> None:
    from redis.exceptions import AuthenticationError

    async with Redis.from_url("redis://" + started.redis_url.split("@")[1]) as redis:
        with pytest.raises(AuthenticationError):
            await redis.ping()


def test_second_start_attaches_to_the_running_servers(started: Urls, shared_folder: Path) -> None:
    before = {process.pid for process in serving(shared_folder / "valkey")}
    assert Servers().start(shared_folder) == started
    assert {process.pid for process in serving(shared_folder / "valkey")} == before
    postmasters = [each for each in serving(shared_folder / "postgres") if "-D" in each.cmdline()]
    assert len(postmasters) == 1


async def test_data_and_addresses_survive_a_stop(shared_folder: Path) -> None:
    with Servers(shared_folder, fast=True) as urls:
        await one(urls.migration_database_url, "DROP TABLE IF EXISTS kept")
        await one(urls.migration_database_url, "CREATE TABLE kept AS SELECT 7 AS n")
        async with Redis.from_url(urls.redis_url) as redis:
            await redis.set("kept", "7")
    assert serving(shared_folder / "postgres") == serving(shared_folder / "valkey") == []
    with Servers(shared_folder, fast=True) as again:
        assert again == urls
        assert await one(again.migration_database_url, "SELECT n FROM kept") == 7
        async with Redis.from_url(again.redis_url) as redis:
            assert await redis.get("kept") == b"7"


async def test_a_port_that_was_taken_in_the_meantime_is_replaced(shared_folder: Path) -> None:
    with Servers(shared_folder, fast=True) as urls:
        async with Redis.from_url(urls.redis_url) as redis:
            await redis.set("moved", "yes")
    place = ("127.0.0.1", urlsplit(urls.redis_url).port or 0)
    with socket.create_server(place), Servers(shared_folder, fast=True) as moved:
        assert moved.redis_url != urls.redis_url
        async with Redis.from_url(moved.redis_url) as redis:
            assert await redis.get("moved") == b"yes"


async def test_a_long_path_with_odd_characters_will_do(folder: Path) -> None:
    with Servers(folder / ("blank, comma, نام and " + 60 * "ab"), fast=True) as urls:
        assert await one(urls.database_url, "SELECT 1") == 1
        async with Redis.from_url(urls.redis_url) as redis:
            assert await redis.ping()


def test_a_data_folder_that_cannot_be_made_names_the_setting(folder: Path) -> None:
    (folder / "file").write_text("")
    with pytest.raises(CannotStart, match="TEKNAV_DATA_DIR"):
        Servers().start(folder / "file" / "var")


def test_without_the_extra_the_message_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    with pytest.raises(CannotStart, match=r"teknav\[embedded\]"):
        Servers().start(folder)


def as_nobody(act: Callable[[], object]) -> object:
    """What `act` returns in a copy of this process that is an ordinary user's; an exception comes as text."""
    receiver, sender = multiprocessing.Pipe(duplex=False)

    def body() -> None:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        try:
            sender.send(act())
        except BaseException as error:
            sender.send(repr(error))

    copy = multiprocessing.get_context("fork").Process(target=body)
    copy.start()
    assert receiver.poll(30), "no answer"
    answer = receiver.recv()
    copy.join()
    return answer


def start_and_stop(folder: Path) -> set[int]:
    """The users that the servers of a folder run as."""
    with Servers(folder, fast=True):
        return {each.uids().real for name in ("postgres", "valkey") for each in serving(folder / name)}


@as_root
def test_an_ordinary_user_needs_nobody_else(folder: Path) -> None:
    os.chown(folder, NOBODY, NOBODY)
    assert as_nobody(lambda: start_and_stop(folder)) == {NOBODY}
    # Started by root later, the cluster stays that user's, and that user can go on.
    assert start_and_stop(folder) == {NOBODY}
    assert as_nobody(lambda: start_and_stop(folder)) == {NOBODY}


@as_root
def test_a_user_is_told_whose_the_cluster_is(shared_folder: Path) -> None:
    shared_folder.chmod(0o777)
    owner = start_and_stop(shared_folder)
    assert NOBODY not in owner and 0 not in owner
    answer = str(as_nobody(lambda: start_and_stop(shared_folder)))
    assert answer.startswith("CannotStart") and "TEKNAV_DATA_DIR" in answer


@as_root
async def test_roots_servers_pass_through_a_closed_folder_and_nobody_else_does(folder: Path) -> None:
    folder.chmod(0o700)
    with Servers(folder / "var", fast=True) as urls:
        assert await one(urls.database_url, "SELECT 1") == 1
        owners = {each.uids().real for each in serving(folder / "var" / "postgres")}
    assert 0 not in owners
    looking = subprocess.run(["ls", str(folder / "var")], user=NOBODY, group=NOBODY, capture_output=True)
    assert looking.returncode != 0


@as_root
def test_a_folder_that_stays_closed_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    folder.chmod(0o700)
    monkeypatch.setattr(os, "setxattr", refuse)
    with pytest.raises(CannotStart, match=f"chmod o\\+x {folder}"):
        Servers().start(folder / "var", fast=True)


@as_root
def test_an_account_that_cannot_be_made_is_explained(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account, "NAME", "teknav-nobody-made-this")
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(CannotStart, match="ordinary user, or set DATABASE_URL"):
        Servers().start(folder)


@as_root
def test_starts_at_the_same_moment_share_one_account(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"teknav-test-{os.getpid()}"
    monkeypatch.setattr(account, "NAME", name)
    try:
        with ThreadPoolExecutor(8) as starts:
            made = set(starts.map(account.server_account, [folder / str(number) for number in range(8)]))
        assert made == {account.Account(pwd.getpwnam(name).pw_uid, pwd.getpwnam(name).pw_gid)}
    finally:
        subprocess.run(["userdel", name], check=True, capture_output=True)
