"""No table for its own sake: whatever has a model is written and read by an API or a job."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.models import Base
from app.registry import MODULES

ROOT = Path(__file__).parents[2]
ELSEWHERE = {
    "AiReport is never written": "a trigger of the runs of AI writes it",
    "AuditUnsealed is never written": "a trigger of the audit log writes it",
    "EffectRow is never read": "its key is asked by the INSERT itself, whose conflict is the answer",
}
READERS = {"select", "get", "get_one", "scalars", "exists", "aliased", "update", "delete"}


def code() -> Iterator[ast.Module]:
    """All that runs in the product. A model's own file only says what its table is."""
    for file in (ROOT / "app").rglob("*.py"):
        if file.name != "models.py" or "modules" not in file.parts:
            yield ast.parse(file.read_text())


def aliases(tree: ast.Module) -> dict[str, set[str]]:
    """Names that stand for models, each with its models.

    Such as `_table = cast(Table, EmailLog.__table__)` and `rows = AnalyticsAggregate`.
    """
    found: dict[str, set[str]] = {}
    models = {mapper.class_.__name__ for mapper in Base.registry.mappers}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            inner = [one for one in ast.walk(node.value) if isinstance(one, ast.Attribute) and one.attr == "__table__"]
            if isinstance(target, ast.Name) and inner and isinstance(inner[0].value, ast.Name):
                found.setdefault(target.id, set()).add(inner[0].value.id)
            if isinstance(target, ast.Name) and isinstance(node.value, ast.Name) and node.value.id in models:
                found.setdefault(target.id, set()).add(node.value.id)
    return found


def used() -> tuple[set[str], set[str]]:
    """Names of models, or of tables in SQL that stands as text: those that are written, and those that are read."""
    written: set[str] = set()
    read: set[str] = set()
    for tree in code():
        known = aliases(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                written.add(called)
                names = {one.id for argument in node.args for one in ast.walk(argument) if isinstance(one, ast.Name)}
                names = names.union(*(known[name] for name in names & set(known)))
                if called == "insert":
                    written |= names
                if called in READERS:
                    read |= names
            elif isinstance(node, ast.ClassDef):
                # `row = ApiToken` in a service whose base class writes and reads whatever `row` is.
                own = [one for one in node.body if isinstance(one, ast.Assign) and isinstance(one.value, ast.Name)]
                handed = {one.value.id for one in own if ast.unparse(one.targets[0]) == "row"}  # type: ignore[attr-defined]
                written, read = written | handed, read | handed
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                written |= set(re.findall(r"(?i)\bINSERT INTO (\w+)", node.value))
                read |= set(re.findall(r"(?i)\b(?:FROM|JOIN|UPDATE) (\w+)", node.value))
    return written, read


@pytest.mark.promise("S4-18")
def test_every_model_has_a_writer_and_a_reader() -> None:
    assert MODULES  # which have loaded every model
    written, read = used()
    models = {mapper.class_ for mapper in Base.registry.mappers}
    idle = [
        f"{model.__name__} is never {what}"
        for model in models
        for what, names in (("written", written), ("read", read))
        if not names & {model.__name__, model.__tablename__}
    ]
    assert sorted(idle) == sorted(ELSEWHERE)
