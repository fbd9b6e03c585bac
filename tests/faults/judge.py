"""The judge: compares what was accepted with the traces outside the record of work. It asks no table of the runtime.

Dead letters are read through the API, because they are what a person sees; effects never are.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.load import Accepted, Wanted
from tests.faults.module import ACTION
from tests.faults.stage import Stage

ROWS = "SELECT mark, entry, extract(epoch FROM at)::float8 AS at FROM ledger WHERE starts_with(mark, $1)"
AUDITED = (
    "SELECT resource_label, count(*) FROM audit_log "
    "WHERE action = $1 AND outcome = 'success' AND starts_with(resource_label, $2) GROUP BY 1"
)
UNFINISHED = ("waiting", "delayed", "active")
BARE = ("plain", "huge")
"""Deeds without an effect in the database: a line at their end says that they were done."""


@dataclass
class Traces:
    """What happened, by mark: when effects and deaths were written, keys that the receiver took, starts, ends of those
    that leave nothing else, audit rows."""

    effects: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    deaths: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    taken: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    tries: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    audited: Counter[str] = field(default_factory=Counter)
    letters: set[str] = field(default_factory=set)
    """Ids of jobs that the API shows among the dead letters of any queue."""

    def worked(self, one: Accepted) -> bool:
        """It has done what it was asked for, once or more."""
        mark = one.wanted.mark
        return bool(self.done[mark] if one.wanted.what in BARE else self.effects.get(mark))

    def ended(self, one: Accepted) -> bool:
        return self.worked(one) or bool(self.deaths.get(one.wanted.mark))


@dataclass
class Verdict:
    """Marks by what is wrong with them; all empty means that everything accepted had one effect and one end."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    dead_missing: list[str] = field(default_factory=list)
    dead_wrong: list[str] = field(default_factory=list)
    stray: list[str] = field(default_factory=list)
    unknown_letters: list[str] = field(default_factory=list)
    """Ids, not marks: nobody accepted them."""
    unaudited: list[str] = field(default_factory=list)
    early: list[str] = field(default_factory=list)

    def complaints(self) -> list[str]:
        found = {name: marks for name, marks in vars(self).items() if marks}
        return [f"{name.replace('_', ' ')}: {len(marks)} ({', '.join(marks[:3])})" for name, marks in found.items()]


def judge(
    accepted: Mapping[str, Accepted], unknown: Iterable[str], traces: Traces, others: Iterable[str] = ()
) -> Verdict:
    """Every accepted deed has exactly one effect and one end; one that nobody knows about has at most one.

    `others` are ids that were accepted elsewhere on the same stage, whose letters are judged there.
    """
    verdict = Verdict()
    for mark, one in accepted.items():
        _one(verdict, one, traces)
        if traces.audited[mark] != 1:
            verdict.unaudited.append(mark)
    unknown = set(unknown)
    for mark in traces.effects.keys() | traces.deaths.keys():
        if mark in unknown and len(traces.effects.get(mark, ())) > 1:
            verdict.doubled.append(mark)
        elif mark not in unknown and mark not in accepted:
            verdict.stray.append(mark)
    known = {one.id for one in accepted.values()}.union(others)
    verdict.unknown_letters.extend(sorted(traces.letters - known))
    return verdict


def _one(verdict: Verdict, one: Accepted, traces: Traces) -> None:
    wanted: Wanted = one.wanted
    mark, dead = wanted.mark, one.id in traces.letters
    effects, deaths = len(traces.effects.get(mark, ())), len(traces.deaths.get(mark, ()))
    keys = len(traces.taken.get(mark, ()))
    if wanted.expect == "later":
        if effects or deaths or traces.tries[mark]:
            verdict.early.append(mark)
        return
    if effects > 1 or deaths > 1 or keys > 1 or (effects and (deaths or dead)):
        verdict.doubled.append(mark)
    if wanted.expect == "dead":
        if effects:
            verdict.stray.append(mark)
        if not (dead and deaths):
            verdict.dead_missing.append(mark)
        return
    if dead or deaths:
        if wanted.expect != "either":
            verdict.dead_wrong.append(mark)
        return
    missing_call = wanted.what.startswith("call") and not keys
    if not traces.worked(one) or missing_call:
        verdict.lost.append(mark)


async def traces_of(stage: Stage, prefix: str, *, letters: bool = False) -> Traces:
    """Everything whose mark begins with `prefix`; with `letters`, the dead letters of every queue."""
    found = Traces()
    async with stage.admin() as admin:
        for row in await admin.fetch(ROWS, prefix):
            (found.effects if row["entry"] == "effect" else found.deaths)[row["mark"]].append(row["at"])
        audited = await admin.fetch(AUDITED, ACTION, prefix)
        found.audited.update({row["resource_label"]: row["count"] for row in audited})
    for file, counted in (("tries", found.tries), ("done", found.done)):
        marks = (line.split()[0] for line in _lines(stage.folder / file))
        counted.update(mark for mark in marks if mark.startswith(prefix))
    for line in _lines(stage.folder / "calls"):
        told = json.loads(line)
        if told["mark"].startswith(prefix) and told["taken"]:
            found.taken[told["mark"]].add(told["key"])
    if letters:
        found.letters = await _letters(stage)
    return found


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


async def _letters(stage: Stage) -> set[str]:
    ids: set[str] = set()
    async with stage.client("watching") as client:
        queues = (await client.get("/api/owner/queues")).raise_for_status().json()["items"]
        for place in (f"/api/owner/queues/{queue['name']}/dlq" for queue in queues):
            cursor = ""
            while cursor is not None:
                answer = await client.get(place, params={"limit": 100} | ({"cursor": cursor} if cursor else {}))
                page = answer.raise_for_status().json()
                ids |= {item["originalJobId"] for item in page["items"]}
                cursor = page["nextCursor"]
    return ids


async def unfinished(stage: Stage, queues: Iterable[str]) -> int:
    """How many jobs the API shows as still to be done."""
    async with stage.client("watching") as client:
        answer = (await client.get("/api/owner/queues")).raise_for_status()
    wanted = set(queues)
    return sum(int(one[name]) for one in answer.json()["items"] if one["name"] in wanted for name in UNFINISHED)
