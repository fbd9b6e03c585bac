"""What adding a module has cost elsewhere: `python -m tests.architecture.outside` writes it into docs/modules.md.

For each module of issue 6, the commit that added its folder is taken; those that came together stand together. Lines
are those added and removed by that commit. Where more was done in it than adding the module, it is counted here too,
so a number is the most that it can have been.
"""

import subprocess
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "modules.md"
OF_THE_ISSUE = (
    *("email_templates", "email_preferences", "media", "imports", "history", "releases", "translations", "drafts"),
    *("reports", "prompts", "runs", "events", "analytics", "funnels", "plugins", "approvals", "workflows"),
    *("instances", "traces", "taxonomy", "locales"),
)
PLACES = {
    "registry": ("app/registry.py",),
    "other modules": ("app/modules/", "app/templates/"),
    "core, queues, cache": ("app/core/", "app/queues/", "app/redis/"),
    "command": ("app/cli/",),
    "rest of the app": ("app/",),
}
HEAD = """## What each has cost elsewhere

This is what adding those of issue 6 took besides folder and name, in lines added and removed by the commit that added the folder (its templates and its command belong to it). Tests, documents and migrations are left out. Some commits did more than that; then the number is the most that it can have been. `python -m tests.architecture.outside` wrote this part from git.

"""  # noqa: E501


def git(*arguments: str) -> list[str]:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def place(path: str, modules: list[str]) -> str | None:
    """Where a file belongs, seen from these modules; None where that does not matter here."""
    if not path.startswith("app/"):
        return None
    if any(path.startswith((f"app/modules/{name}/", f"app/templates/{name}/")) for name in modules):
        return "own folder"
    if path in [f"app/cli/{name}.py" for name in modules]:
        return "own folder"
    return next(name for name, beginnings in PLACES.items() if path.startswith(beginnings))


def lines(commit: str, modules: list[str]) -> Counter[str]:
    found: Counter[str] = Counter()
    for line in git("show", "--numstat", "--no-renames", "--format=", commit):
        added, removed, path = line.split("\t")
        where = place(path, modules)
        if where is not None and added != "-":
            found[where] += int(added) + int(removed)
    return found


def together() -> dict[str, list[str]]:
    """The commits that added modules, in the order of the list, each with what it added."""
    found: dict[str, list[str]] = {}
    for name in OF_THE_ISSUE:
        commits = git("log", "--diff-filter=A", "--format=%h", "--", f"app/modules/{name}/module.py")
        if commits:
            found.setdefault(commits[-1], []).append(name)
    return found


def page() -> str:
    names = ("own folder", *PLACES)
    rows = [("modules", "commit", *names), ("---", "---", *("--:" for _ in names))]
    for commit, modules in together().items():
        counts = lines(commit, modules)
        rows.append((", ".join(modules), f"`{commit}`", *(f"{counts[name]:,}" for name in names)))
    guide = PAGE.read_text().partition(HEAD.partition("\n")[0])[0]
    return guide + HEAD + "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
