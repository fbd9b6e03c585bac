"""Every scenario there is: the faults, and the proofs that the judge can see."""

from tests.faults.scenarios import deaths, edges, handlers, outages, proofs, viewers

# The long ones first, so that no lane is left alone with one at the end.
EVERY = (*deaths.SCENARIOS, *handlers.SCENARIOS, *outages.SCENARIOS, *viewers.SCENARIOS, *edges.SCENARIOS)
PROOFS = proofs.SCENARIOS
