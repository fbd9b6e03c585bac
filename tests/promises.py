"""What is promised and which tests prove it: `python -m tests.promises` writes docs/promises.md."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXTS, PAGE = ROOT / "tests/promises.toml", ROOT / "docs/promises.md"
HEAD = """# Promises, and the tests that prove them

Made by `python -m tests.promises` from `tests/promises.toml` and the marks of the tests. What no test carries is not
shown to be kept.

"""


def marks() -> dict[str, list[tuple[str, str]]]:
    """The tests by promise, each as its file and its name; a mark of a whole file stands for all of its tests.

    Raises:
        ValueError: a mark names no promise as plain text.
    """
    found: dict[str, list[tuple[str, str]]] = {}
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        tree, place = ast.parse(file.read_text()), str(file.relative_to(ROOT))
        tests = [one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
        for id_ in (id_ for node in tree.body if isinstance(node, ast.Assign) for id_ in _ids(node)):
            found.setdefault(id_, []).append((place, ""))
        for test in tests:
            for id_ in (id_ for mark in test.decorator_list for id_ in _ids(mark)):
                found.setdefault(id_, []).append((place, test.name))
    return found


def _ids(node: ast.AST) -> Iterator[str]:
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "promise":
            for argument in call.args:
                if not isinstance(argument, ast.Constant) or not isinstance(argument.value, str):
                    raise ValueError(f"line {call.lineno}: a promise is named by its id")
                yield argument.value


def page() -> str:
    """
    Raises:
        ValueError: a mark names a promise that there is not.
    """
    texts, proofs = tomllib.loads(TEXTS.read_text()), marks()
    if unknown := sorted(set(proofs) - set(texts)):
        raise ValueError(f"tests/promises.toml lacks {', '.join(unknown)}")
    proved = sum(id_ in proofs for id_ in texts)
    lines = [f"{proved} of {len(texts)} are proved so far.\n", "| id | promise | proved by |", "|---|---|---|"]
    for id_, text in texts.items():
        told = "<br>".join(_told(file, name) for file, name in proofs.get(id_, []))
        lines.append(f"| {id_} | {text} | {told or '–'} |")
    return HEAD + "\n".join(lines) + "\n"


def _told(file: str, name: str) -> str:
    what = name.removeprefix("test_").replace("_", " ") or "all of it"
    return f"[{what}](../{file})"


if __name__ == "__main__":
    PAGE.write_text(page())
