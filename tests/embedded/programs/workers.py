"""`teknav worker --processes 2` with a small program in place of the worker."""

import asyncio
import os
import sys
from pathlib import Path

from app.embedded import child, workers

child.FIRST_PAUSE_S = 0.05
workers.GRACE_S = float(os.environ.get("GRACE_S", "24"))
sys.exit(asyncio.run(workers.run(2, [str(Path(__file__).parent / "some_worker.py")])))
