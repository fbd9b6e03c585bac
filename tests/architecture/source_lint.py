"""Rules about the source that no linter has: no SQL and no markup built from text, one way out over HTTP."""

import ast
from collections.abc import Iterator

WANTS_LITERAL = {"text", "literal_column", "DDL", "exec_driver_sql"}
TAKES_SQL = {"execute", "executemany", "scalar", "scalars", "stream", "fetch", "fetchrow", "fetchval"}
BUILDERS = {"format", "format_map", "join", "replace", "substitute", "safe_substitute"}
HTTP_CLIENTS = {"httpx", "aiohttp", "requests", "urllib3", "urllib.request", "http.client"}


def problems(source: str) -> list[str]:
    """One line for each thing that is wrong, `12: …`."""
    tree = ast.parse(source)
    names = _Names(tree)
    found = [(getattr(node, "lineno", 0), problem) for node in ast.walk(tree) for problem in _of(node, names)]
    return [f"{line}: {problem}" for line, problem in sorted(found)]


class _Names:
    """What each name of a file is ever set to."""

    def __init__(self, tree: ast.AST) -> None:
        self._values: dict[str, list[ast.expr | None]] = {}
        for node in ast.walk(tree):
            match node:
                case ast.Assign(targets=targets, value=value):
                    for target in targets:
                        self._set(target, value)
                case ast.AnnAssign(target=target, value=value):
                    self._set(target, value)
                case ast.AugAssign(target=target, value=value):
                    self._set(target, ast.BinOp(ast.Constant(""), node.op, value))
                case ast.For(target=target) | ast.comprehension(target=target) | ast.NamedExpr(target=target):
                    self._set(target, None)
                case ast.arg(arg=name):
                    self._values.setdefault(name, []).append(None)

    def _set(self, target: ast.expr, value: ast.expr | None) -> None:
        for part in ast.walk(target):
            if isinstance(part, ast.Name):
                self._values.setdefault(part.id, []).append(value)

    def is_literal(self, node: ast.expr | None) -> bool:
        if isinstance(node, ast.Name):
            values = self._values.get(node.id, [])
            return bool(values) and all(isinstance(value, ast.Constant) for value in values)
        return isinstance(node, ast.Constant)

    def is_built(self, node: ast.expr | None, seen: frozenset[str] = frozenset()) -> bool:
        match node:
            case ast.JoinedStr():
                return True
            case ast.BinOp(left=left, op=ast.Add() | ast.Mod(), right=right):
                sides = (left, right)
                return any(_is_string(side) or self.is_built(side, seen) for side in sides)
            case ast.Call(func=ast.Attribute(value=text, attr=attr)) if attr in BUILDERS:
                return self.is_literal(text) or self.is_built(text, seen)  # SQLAlchemy's selects can join(), too
            case ast.IfExp(body=body, orelse=other):
                return self.is_built(body, seen) or self.is_built(other, seen)
            case ast.Name(id=name) if name not in seen:
                return any(self.is_built(value, seen | {name}) for value in self._values.get(name, []))
        return False


def _is_string(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _of(node: ast.AST, names: _Names) -> Iterator[str]:
    match node:
        case ast.Call(func=ast.Name(id=called) | ast.Attribute(attr=called), args=[first, *_]):
            if called in WANTS_LITERAL and not names.is_literal(first):
                yield f"{called}() wants SQL that stands there in full, with :parameters for values"
            elif called in TAKES_SQL and names.is_built(first):
                yield f"{called}() gets SQL that was built from text"
            elif called == "Markup" and not names.is_literal(first):
                yield "Markup() wants text that stands there in full; Markup('…').format(value) escapes values"
        case ast.Import(names=imported):
            for item in imported:
                yield from _client(item.name)
        case ast.ImportFrom(module=str(module), names=imported, level=0):
            for name in (module, *(f"{module}.{item.name}" for item in imported)):
                yield from _client(name)


def _client(name: str) -> Iterator[str]:
    if any(name == client or name.startswith(f"{client}.") for client in HTTP_CLIENTS):
        yield f"{name}: app.core.egress is the only way out over HTTP"
