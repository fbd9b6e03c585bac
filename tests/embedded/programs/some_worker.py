"""A worker process: waits for SIGTERM, or ends at once as EXITS says."""

import os
import signal
import sys
from pathlib import Path

notes = Path(os.environ["NOTES"])
signals = {signal.SIGTERM}
signal.pthread_sigmask(signal.SIG_BLOCK, signals)
(notes / f"{os.getpid()}.started").write_text(os.environ["WORKER_PROCESSES"])
if "EXITS" in os.environ:
    sys.exit(int(os.environ["EXITS"]))
signal.sigwait(signals)
if "DEAF" in os.environ:
    signal.sigwait(signals)
(notes / f"{os.getpid()}.ended").touch()
