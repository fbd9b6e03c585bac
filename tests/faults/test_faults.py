"""One fault at a time: `pytest -m faults -k redis-emptied`. `make faults-short` plays all of them on shared stages."""

import pytest

from tests.faults.catalogue import EVERY, PROOFS
from tests.faults.run import SHORT, Run, Scenario
from tests.faults.stage import Stage


@pytest.mark.faults
@pytest.mark.parametrize("scenario", [*EVERY, *PROOFS], ids=lambda one: one.name)
async def test_everything_accepted_has_one_effect_and_one_end(scenario: Scenario) -> None:
    async with Stage() as stage:
        result = await Run(scenario, stage, SHORT, seed=1).play()
    if result.verdict == "skipped":
        pytest.skip(result.complaints[0])
    assert result.verdict == "ok", result.complaints
