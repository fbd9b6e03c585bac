"""Every action that the code writes into the audit log can be chosen on its page."""

import ast
import re
from pathlib import Path

from litestar import Litestar

ACTION = re.compile(r"[a-z]+(\.[a-z_]+)+")
WRITERS = re.compile(r"record|_?trace\w*|_change|_retime")
MODULES = Path(__file__).parents[2] / "app" / "modules"


def written() -> set[str]:
    found: set[str] = set()
    for path in MODULES.glob("*/*.py"):
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(call, ast.Call):
                name = getattr(call.func, "attr", getattr(call.func, "id", ""))
                texts = [arg.value for arg in call.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
                found |= {text for text in texts if WRITERS.fullmatch(name) and ACTION.fullmatch(text)}
    return found


def test_every_action_is_declared_by_a_route_or_a_module(app: Litestar) -> None:
    handlers = [handler for route in app.routes for handler in route.route_handlers]  # type: ignore[union-attr]
    declared = {handler.opt["audit"] for handler in handlers if handler.opt.get("audit")}
    assert {"ai.task.fail", "article.summarize", "owner.tenant.create"} <= written()
    assert written() <= declared | {*app.state.actions}


def test_a_module_declares_no_action_that_nothing_writes(app: Litestar) -> None:
    assert {*app.state.actions} <= written()
