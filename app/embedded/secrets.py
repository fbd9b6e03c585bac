"""Secrets that `teknav up` makes once and keeps in the data folder."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from app.embedded.errors import CannotStart

NAMES = ("SECRET_KEY", "JWT_SECRET", "ENCRYPTION_KEY")
FILE = "secrets.env"


def read(data_dir: Path) -> dict[str, str]:
    """The kept secrets by name; empty when none were made yet."""
    try:
        text = (data_dir / FILE).read_text()
    except FileNotFoundError:
        return {}
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, value in pairs if value.strip()}


def ensure(data_dir: Path, given: Mapping[str, str]) -> dict[str, str]:
    """All three: the given one, else the kept one, else a new one of 32 random bytes, which is kept.

    What is kept is never changed, because sessions and encrypted columns depend on it.

    Raises:
        CannotStart: the file cannot be read or written.
    """
    try:
        kept = read(data_dir)
        made = {name: secrets.token_urlsafe(32) for name in NAMES if not given.get(name) and name not in kept}
        if made:
            _append(data_dir / FILE, made)
    except OSError as error:
        raise CannotStart(f"{data_dir / FILE} cannot be used ({error.strerror}): start TekNav as its owner") from error
    return {name: given.get(name) or kept.get(name) or made[name] for name in NAMES}


def _append(path: Path, values: Mapping[str, str]) -> None:
    """Written beside its place and renamed: a kill leaves the old file or the new one."""
    text = path.read_text() if path.exists() else ""
    if text and not text.endswith("\n"):
        text += "\n"
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text + "".join(f"{name}={value}\n" for name, value in values.items()))
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)
