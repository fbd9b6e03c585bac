"""One TekNav for all flows that need real processes."""

from collections.abc import Iterator

import pytest

from tests.flows.running import Running


@pytest.fixture(scope="session")
def teknav() -> Iterator[Running]:
    with Running() as running:
        yield running
