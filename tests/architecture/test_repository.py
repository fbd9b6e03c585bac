"""What the repository holds: its top level, and locks that fit what it declares and name no registry."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUN: list[str] = PROJECT["project"]["dependencies"]
DEV: list[str] = [*PROJECT["project"]["optional-dependencies"]["embedded"], *PROJECT["dependency-groups"]["dev"]]


def pinned(lock: str) -> dict[str, Version]:
    """The versions of a lock file by name."""
    lines = re.findall(r"^([\w.-]+)(?:\[[\w,-]+\])?==([^\s;]+)", (ROOT / "requirements" / lock).read_text(), re.M)
    return {canonicalize_name(name): Version(version) for name, version in lines}


@pytest.mark.promise("S4-77")
def test_the_top_level_is_as_promised() -> None:
    promised = ["app/modules", "app/queues", "app/templates", "alembic", "alembic.ini", ".env.example"]
    assert [path for path in (*promised, "pyproject.toml", "tests") if not (ROOT / path).exists()] == []


@pytest.mark.promise("S4-78")
def test_the_promised_packages_are_declared() -> None:
    promised = {"litestar", "advanced-alchemy", "asyncpg", "bullmq", "redis", "upstash-redis", "msgspec", "structlog"}
    assert promised | {"jinja2"} <= {Requirement(text).name for text in RUN}
    assert "htmx.org" in json.loads((ROOT / "package.json").read_text())["dependencies"]


@pytest.mark.parametrize(("lock", "declared"), [("run.txt", RUN), ("dev.txt", RUN + DEV)])
def test_a_lock_pins_everything_that_is_declared(lock: str, declared: list[str]) -> None:
    versions = pinned(lock)
    wanted = [Requirement(text) for text in declared]
    assert [
        str(one) for one in wanted if versions.get(canonicalize_name(one.name), Version("0")) not in one.specifier
    ] == []


def test_both_locks_pin_the_same_versions() -> None:
    run, dev = pinned("run.txt"), pinned("dev.txt")
    assert {name: dev.get(name) for name in run} == run


@pytest.mark.parametrize("lock", ["run.txt", "dev.txt"])
def test_a_lock_holds_a_hash_for_every_package_and_no_address(lock: str) -> None:
    text = (ROOT / "requirements" / lock).read_text()
    blocks = re.split(r"^(?=[\w.-]+(?:\[[\w,-]+\])?==)", text, flags=re.M)[1:]
    # A package may stand there twice, for older Pythons and for newer ones.
    assert {canonicalize_name(re.split(r"[\[=]", block)[0]) for block in blocks} == set(pinned(lock))
    assert len(pinned(lock)) > 20
    assert [block.split()[0] for block in blocks if "--hash=sha256:" not in block] == []
    assert "://" not in text and "--index" not in text and "--find-links" not in text


def test_the_front_ends_lock_holds_hashes_and_no_addresses() -> None:
    text = (ROOT / "package-lock.json").read_text()
    packages = {name: entry for name, entry in json.loads(text)["packages"].items() if name}
    assert packages and all(entry.get("integrity") for entry in packages.values())
    assert '"resolved"' not in text
