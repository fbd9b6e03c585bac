"""The harness's own parts: a judge that misses nothing, a proxy that loses replies, guards that are still there."""

import asyncio
import random
import subprocess
import sys

import pytest

from tests.faults.guards import GUARDS
from tests.faults.judge import Traces, judge
from tests.faults.load import Accepted, Wanted, plan
from tests.faults.program import ROOT
from tests.faults.proxy import LossyProxy

ENDS = {"effect": "effect", "fail": "dead", "plain": "effect", "call": "effect", "huge": "either", "later": "later"}


@pytest.fixture
def accepted() -> dict[str, Accepted]:
    return {what: Accepted(Wanted(what, what, expect=expect), f"id-{what}", 0.0) for what, expect in ENDS.items()}


@pytest.fixture
def traces() -> Traces:
    """What is left when everything went right."""
    found = Traces()
    found.effects |= {"effect": [1.0], "call": [1.0]}
    found.deaths["fail"], found.letters = [1.0], {"id-fail"}
    found.taken["call"] = {"key"}
    found.tries.update(["effect", "plain", "call", "huge", *["fail"] * 3])
    found.done.update(["plain", "huge"])
    found.audited.update(ENDS.keys())
    return found


def test_where_everything_went_right_there_is_nothing_to_complain_of(
    accepted: dict[str, Accepted], traces: Traces
) -> None:
    assert judge(accepted, [], traces).complaints() == []


def _twice(traces: Traces) -> None:
    traces.effects["effect"].append(2.0)


def _never(traces: Traces) -> None:
    del traces.effects["effect"]


def _begun_and_never_done(traces: Traces) -> None:
    del traces.done["plain"]


def _begun_and_neither_done_nor_dead(traces: Traces) -> None:
    del traces.done["huge"]


def _a_letter_that_nobody_sent(traces: Traces) -> None:
    traces.letters.add("id-of-nobody")


def _never_called(traces: Traces) -> None:
    del traces.taken["call"]


def _called_under_two_keys(traces: Traces) -> None:
    traces.taken["call"].add("another")


def _dead_beside_its_effect(traces: Traces) -> None:
    traces.letters.add("id-effect")


def _died_twice(traces: Traces) -> None:
    traces.deaths["fail"].append(2.0)


def _died_unseen(traces: Traces) -> None:
    traces.letters.clear()


def _died_wrongly(traces: Traces) -> None:
    del traces.effects["effect"]
    traces.letters.add("id-effect")


def _effect_of_a_dead_one(traces: Traces) -> None:
    traces.effects["fail"] = [1.0]


def _nobody_asked(traces: Traces) -> None:
    traces.effects["who"] = [1.0]


def _not_audited(traces: Traces) -> None:
    del traces.audited["effect"]


def _audited_twice(traces: Traces) -> None:
    traces.audited["effect"] += 1


def _early(traces: Traces) -> None:
    traces.tries["later"] += 1


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (_twice, "doubled: 1 (effect)"),
        (_never, "lost: 1 (effect)"),
        (_begun_and_never_done, "lost: 1 (plain)"),
        (_begun_and_neither_done_nor_dead, "lost: 1 (huge)"),
        (_a_letter_that_nobody_sent, "unknown letters: 1 (id-of-nobody)"),
        (_never_called, "lost: 1 (call)"),
        (_called_under_two_keys, "doubled: 1 (call)"),
        (_dead_beside_its_effect, "doubled: 1 (effect)"),
        (_died_twice, "doubled: 1 (fail)"),
        (_died_unseen, "dead missing: 1 (fail)"),
        (_died_wrongly, "dead wrong: 1 (effect)"),
        (_effect_of_a_dead_one, "stray: 1 (fail)"),
        (_nobody_asked, "stray: 1 (who)"),
        (_not_audited, "unaudited: 1 (effect)"),
        (_audited_twice, "unaudited: 1 (effect)"),
        (_early, "early: 1 (later)"),
    ],
)
def test_whatever_went_wrong_is_named(
    accepted: dict[str, Accepted], traces: Traces, spoil: object, complaint: str
) -> None:
    spoil(traces)  # type: ignore[operator]
    assert complaint in judge(accepted, [], traces).complaints()


def test_a_deed_without_an_answer_may_have_one_effect_or_none_but_not_two(traces: Traces) -> None:
    assert judge({}, [*ENDS], traces, traces.letters).complaints() == []
    _twice(traces)
    assert judge({}, [*ENDS], traces, traces.letters).complaints() == ["doubled: 1 (effect)"]


def test_one_seed_makes_one_plan() -> None:
    first, again, other = (plan("x:", 50, random.Random(seed)) for seed in (1, 1, 2))
    assert first == again != other


async def test_a_cut_loses_the_reply_and_not_the_command() -> None:
    heard: list[bytes] = []

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while part := await reader.read(100):
            heard.append(part)
            writer.write(part)
        writer.close()

    async with (
        await asyncio.start_server(echo, "127.0.0.1", 0) as server,
        LossyProxy(server.sockets[0].getsockname()[1], random.Random(1)) as proxy,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"first")
        assert await reader.readexactly(5) == b"first"
        proxy.odds = 1.0
        writer.write(b"second")
        assert await reader.read() == b"", "the link ends without a reply"
        writer.close()
        async with asyncio.timeout(5):
            while heard != [b"first", b"second"]:
                await asyncio.sleep(0.01)
        assert proxy.cuts == 1


def test_every_guard_that_a_proof_switches_off_is_there() -> None:
    script = f"from tests.faults import guards; guards.switch_off({','.join(GUARDS)!r})"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
