"""Real servers and a real `up`, each in a data folder of its own."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.embedded.stage import Up, end_leftovers


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty data folder, as short as a user's; whatever still runs there afterwards is ended."""
    path = Path(tempfile.mkdtemp(prefix="tn-"))
    yield path
    end_leftovers(path)
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def shared_folder() -> Iterator[Path]:
    """A data folder that keeps its cluster for a whole file of tests."""
    path = Path(tempfile.mkdtemp(prefix="tn-"))
    yield path
    end_leftovers(path)
    shutil.rmtree(path)


@pytest.fixture
def up(shared_folder: Path) -> Iterator[Callable[..., Up]]:
    """Start `up`, in this file's folder or another, with further variables; ended with the test."""
    running: list[Up] = []

    def start(folder: Path | None = None, **environment: str) -> Up:
        running.append(Up(folder or shared_folder, **environment))
        return running[-1]

    yield start
    for each in running:
        if each.process.poll() is None:
            each.process.terminate()
            each.process.wait(40)
