"""Waits for SIGTERM; on request it has a helper process, or does not listen."""

import os
import signal
import subprocess
import sys
from pathlib import Path

notes = Path(os.environ["NOTES"])
signals = {signal.SIGTERM}
signal.pthread_sigmask(signal.SIG_BLOCK, signals)
helper = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
(notes / "helper.pid").write_text(str(helper.pid))
(notes / "worker.pid").write_text(str(os.getpid()))
while True:
    signal.sigwait(signals)
    (notes / "worker.asked").write_text("once")
    if "DEAF" not in os.environ:
        break
helper.kill()
helper.wait()
(notes / "worker.ended").write_text("by SIGTERM")
