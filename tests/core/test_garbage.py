"""When Python looks for garbage."""

import subprocess
import sys

SERVER = """
import gc
from app.core.garbage import collect_less, loading

def collected():
    before = gc.get_stats()[0]["collections"]
    many = [[] for _ in range(50_000)]
    return gc.get_stats()[0]["collections"] > before

with loading():
    print(collected())
    collect_less()
    print(collected(), gc.get_freeze_count() > 10_000)
print(collected())
"""


def test_a_process_looks_for_garbage_from_when_it_serves_and_not_while_it_loads() -> None:
    """In a process of its own: what is frozen stays so."""
    done = subprocess.run([sys.executable, "-c", SERVER], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["False", "True", "True", "True"]
