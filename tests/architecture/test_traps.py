"""docs/traps.md tells of every trap which tests show it closed, and those tests say so too."""

import ast
import re
from collections import defaultdict
from pathlib import Path

from tests.faults.catalogue import EVERY, PROOFS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/traps.md"
NUMBERS = {*range(1, 27), *range(39, 44)}
Tests = dict[int, set[str]]


def rows() -> dict[int, str]:
    """The page's numbered rows, each from its last column on."""
    found = (re.match(r"\| (\d+) \|.*\| (.*) \|$", line) for line in PAGE.read_text().splitlines())
    return {int(row[1]): row[2] for row in found if row}


def marked() -> Tests:
    """The tests that carry a trap's mark, as `file::name`."""
    found: Tests = defaultdict(set)
    for file in (ROOT / "tests").rglob("test_*.py"):
        for test in ast.walk(ast.parse(file.read_text())):
            if not isinstance(test, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for mark in test.decorator_list:
                if isinstance(mark, ast.Call) and isinstance(mark.func, ast.Attribute) and mark.func.attr == "trap":
                    for number in mark.args:
                        found[ast.literal_eval(number)].add(f"{file.relative_to(ROOT)}::{test.name}")
    return found


def test_every_trap_has_a_test_that_make_test_runs_and_the_page_names_it() -> None:
    named = {number: set(re.findall(r"`(tests/[\w/]+\.py::test_\w+)", cell)) for number, cell in rows().items()}
    assert set(named) == NUMBERS
    assert named == marked(), "docs/traps.md and the marks `trap(…)` have to name the same tests"
    assert [number for number, tests in named.items() if not tests] == []


def test_every_fault_that_the_page_names_is_played() -> None:
    names = {name for cell in rows().values() for name in re.findall(r"`([a-z]+(?:-[a-z0-9]+)*)`", cell)}
    assert len(names) > 10
    assert names <= {one.name for one in (*EVERY, *PROOFS)}
