"""Medians, spreads and ratios, as one table for people and one object for machines."""

from collections.abc import Sequence
from statistics import median
from typing import Any

COLUMNS = (
    ("add_per_s", "add/s"),
    ("add_bulk_per_s", "bulk add/s"),
    ("process_per_s", "jobs/s"),
    ("pickup_p50_ms", "pick-up p50"),
    ("pickup_p99_ms", "p99 ms"),
    ("busy_p50_ms", "busy p50"),
    ("busy_p99_ms", "p99 ms"),
    ("after_idle_ms", "after idle ms"),
)
NAMED = ("ours_engine", "ours_record", "bullmq_python", "bullmq_node", "saq", "arq", "taskiq")
WITHOUT_RECORD = ("saq", "arq", "taskiq")
Rounds = dict[str, list[dict[str, Any]]]


def middle(rounds: Sequence[dict[str, Any]], column: str) -> float | None:
    values = [found[column] for found in rounds if found.get(column) is not None]
    return median(values) if values else None


def rows(rounds: Rounds, problems: dict[str, str]) -> list[dict[str, Any]]:
    """One row for each contender; one that could not run has no numbers and a `problem`."""
    made = []
    for name in [*rounds, *(name for name in problems if name not in rounds)]:
        own = rounds.get(name, [])
        row: dict[str, Any] = {"name": name} | {column: middle(own, column) for column, _ in COLUMNS}
        rates = [found["process_per_s"] for found in own]
        row["process_per_s_lowest"], row["process_per_s_highest"] = min(rates, default=None), max(rates, default=None)
        if name in problems:
            row["problem"] = problems[name]
        made.append(row)
    return made


def ratios(rounds: Rounds) -> list[dict[str, Any]]:
    """Each goal that this run can judge: the median over the rounds of the ratio within each round."""
    rate = "process_per_s"
    fastest = max((n for n in WITHOUT_RECORD if rounds.get(n)), key=lambda n: middle(rounds[n], rate) or 0, default="")
    wanted = (
        ("ours_engine", "bullmq_node", 1.0),
        ("ours_engine", "bullmq_python", 3.0),
        ("ours_record", fastest, 1.0),
        ("ours_record_asyncpg", "arq", 1.0),
        ("ours_record_sqlalchemy", "arq", 0.65),
    )
    made = []
    for ours, peer, goal in wanted:
        pairs = zip(rounds.get(ours, []), rounds.get(peer, []), strict=False)
        each = [mine[rate] / theirs[rate] for mine, theirs in pairs]
        if each:
            made.append(judged(f"{ours} / {peer}, jobs per second", each, goal))
    for name in ("ours_engine", "ours_record"):
        for column, goal in (("pickup_p50_ms", 2.0), ("pickup_p99_ms", 10.0), ("after_idle_ms", 10.0)):
            each = [found[column] for found in rounds.get(name, []) if column in found]
            if each:
                made.append(judged(f"{name}, {column}", each, goal, most=True))
    return made


def judged(what: str, each: Sequence[float], goal: float, *, most: bool = False) -> dict[str, Any]:
    """One goal: at least so much, or with `most` at most."""
    found = median(each)
    return {
        "what": what,
        "found": found,
        "lowest": min(each),
        "highest": max(each),
        "goal": f"{'<=' if most else '>='} {goal:g}",
        "met": found <= goal if most else found >= goal,
    }


def named(result: dict[str, Any]) -> dict[str, Any]:
    """The object for machines: `rows` are the seven that it promises, our further ways stand beside them."""
    rows = result["rows"]
    return {
        **result,
        "rows": [row for row in rows if row["name"] in NAMED],
        "own_transaction": [row for row in rows if row["name"] not in NAMED],
    }


def table(found: Sequence[dict[str, Any]]) -> str:
    heads = ["", *(head for _, head in COLUMNS), "jobs/s, lowest to highest"]
    lines = [heads]
    for row in found:
        if "problem" in row:
            continue
        spread = f"{_number(row['process_per_s_lowest'])} to {_number(row['process_per_s_highest'])}"
        lines.append([row["name"], *(_number(row[column]) for column, _ in COLUMNS), spread])
    text = aligned(lines)
    for row in found:
        if "problem" in row:
            text += f"\n{row['name']}: {row['problem']}"
    return text


def goals(found: Sequence[dict[str, Any]]) -> str:
    lines = [["", "median", "lowest to highest", "goal", ""]]
    for item in found:
        spread = f"{item['lowest']:.2f} to {item['highest']:.2f}"
        lines.append([item["what"], f"{item['found']:.2f}", spread, item["goal"], "met" if item["met"] else "not met"])
    return aligned(lines)


def floor(found: list[dict[str, Any]] | str) -> str:
    if isinstance(found, str):
        return found
    lines = [["BullMQ's scripts called by redis-benchmark", "add/s", "finish and fetch/s"]]
    for row in found:
        what = f"50 connections, {row['pipeline']} at once"
        lines.append([what, _number(row["add_per_s"]), _number(row["finish_and_fetch_per_s"])])
    return aligned(lines)


def weight(found: dict[str, Any]) -> str:
    return (
        f"Bytes per job, of {found['jobs']:,}: {found['redis_waiting']:,} in Redis while it waits; when it is finished,"
        f" {found['record']:,} in PostgreSQL with indexes, and {found['wal']:,} written ahead."
    )


def aligned(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
