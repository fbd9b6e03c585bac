"""`python -m tests.browser.fetch` makes sure that there is a Chromium for the browser tests, where it can.

Says in one line what it found or did. Exits with 0 without a browser too, because then the tests skip themselves;
with CI=true it exits with 1.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
INSTALL_S = 900


def find() -> str | None:
    """The path of a Chromium that runs: this machine's, else Playwright's own."""
    for name in NAMES:
        path = shutil.which(name)
        if path and version(path):
            return path
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() and version(path) else None


def version(path: str) -> str:
    """What the browser calls itself; empty where it does not run, as the empty shell that some systems ship."""
    try:
        asked = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""


def install() -> str:
    """Install Chromium; what went wrong, or nothing."""
    problems = []
    if os.geteuid() == 0 and shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        problem = _run(["apt-get", "-qq", "update"], environment) or _run(
            ["apt-get", "-qq", "install", "-y", "--no-install-recommends", "chromium"], environment
        )
        if find():
            return ""
        problems.append(problem or "Debian's package does not run")
    problem = _run([sys.executable, "-m", "playwright", "install", "chromium"], dict(os.environ))
    if find():
        return ""
    return "; ".join([*problems, problem or "Playwright's own does not run"])


def _run(command: list[str], environment: dict[str, str]) -> str:
    """Nothing, or what the failed command called its error."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=INSTALL_S, check=False)
    except subprocess.TimeoutExpired:
        return f"{command[0]} took more than {INSTALL_S} s"
    if done.returncode == 0:
        return ""
    said = (done.stdout + done.stderr).strip().splitlines() or [f"{command[0]} failed"]
    return next((line.strip() for line in said if re.search(r"error|^E:", line, re.IGNORECASE)), said[-1])


def main() -> int:
    problem = "" if find() else install()
    path = find()
    if path:
        print(f"The browser tests use {path} ({version(path)}).")
        return 0
    print(f"There is no Chromium for the browser tests, and none could be installed: {problem}.")
    return 1 if os.environ.get("CI") == "true" else 0


if __name__ == "__main__":
    sys.exit(main())
