"""What the commands do, read from their source: which actions of the audit log each of them can write.

A command reaches the functions of `app/cli` that it names, and of the services which those import the methods that
they call. That is more than it does in one run, and nothing that it cannot do.
"""

import ast
import inspect
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import rich_click as click

from app.cli import main

ACTION = re.compile(r"[a-z]+(\.[a-z_]+)+")
MODULES = Path(__file__).parents[2] / "app" / "modules"
Function = ast.FunctionDef | ast.AsyncFunctionDef


def commands(group: click.Group = main, words: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{words}{name} ")
        else:
            yield f"{words}{name}", command


def actions_of(command: click.Command) -> set[str]:
    function = inspect.unwrap(command.callback)  # type: ignore[arg-type]
    called, services = _reach(function.__module__, function.__name__, set())
    return {action for service in services for name in called for action in _written(service).get(name, ())}


def _reach(module: str, name: str, seen: set[tuple[str, str]]) -> tuple[set[str], set[str]]:
    """The names of methods that are called from here on, and the modules whose services are asked."""
    functions, imported = _source(module)
    if (module, name) in seen or name not in functions:
        return set(), set()
    seen.add((module, name))
    called, services = set[str](), set[str]()
    for node in ast.walk(functions[name]):
        if isinstance(node, ast.ImportFrom) and (
            found := re.fullmatch(r"app\.modules\.(\w+)\.service", node.module or "")
        ):
            services.add(found[1])
        elif isinstance(node, ast.Attribute):
            called.add(node.attr)
        elif isinstance(node, ast.Name):
            more = _reach(imported.get(node.id, module), node.id, seen)
            called |= more[0]
            services |= more[1]
    return called, services


@cache
def _source(module: str) -> tuple[dict[str, Function], dict[str, str]]:
    """The functions of a module of the commands, and from where it has those of others."""
    found: ModuleType = sys.modules[module]
    tree = ast.parse(inspect.getsource(found))
    functions = {node.name: node for node in tree.body if isinstance(node, Function)}
    imported = {
        alias.name: node.module
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("app.cli.")
        for alias in node.names
    }
    return functions, imported


@cache
def _written(service: str) -> dict[str, set[str]]:
    """The actions that each function or method of a service can write, by its name."""
    tree = ast.parse((MODULES / service / "service.py").read_text("utf-8"))
    texts, calls = defaultdict[str, set[str]](set), defaultdict[str, set[str]](set)
    for node in ast.walk(tree):
        if isinstance(node, Function):
            for inner in ast.walk(node):
                if isinstance(inner, ast.Constant) and isinstance(inner.value, str) and ACTION.fullmatch(inner.value):
                    texts[node.name].add(inner.value.removeprefix("owner."))
                elif (
                    isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name) and inner.value.id == "self"
                ):
                    calls[node.name].add(inner.attr)
                elif isinstance(inner, ast.Name):
                    calls[node.name].add(inner.id)
    return {name: _all(name, texts, calls, set()) for name in [*texts, *calls]}


def _all(name: str, texts: dict[str, set[str]], calls: dict[str, set[str]], seen: set[str]) -> set[str]:
    seen.add(name)
    inner = [_all(other, texts, calls, seen) for other in calls.get(name, ()) if other not in seen and other in calls]
    return set(texts.get(name, ())).union(*inner)
