"""Texts with places to fill that tenants write: Jinja of which only what can do no harm is understood.

Nothing is called, no attribute of anything is reached, loops run over given lists alone, and what comes out is bounded:
such a text sees its own values, and can neither run for long nor grow without end.
"""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from jinja2 import Environment, StrictUndefined, TemplateError, TemplateSyntaxError, nodes, pass_environment
from jinja2.filters import make_attrgetter
from jinja2.meta import find_undeclared_variables
from jinja2.runtime import LoopContext, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

MOST_LEVELS, MOST_LOOPS, LONGEST = 40, 2, 60_000
MOST_STEPS = 100_000
"""Of filters and looks into values, in one filling: what a loop does without writing anything is bounded too."""
FILTERS = ("capitalize", "default", "first", "join", "last", "length", "lower", "round", "title", "trim", "upper")
TESTS = ("defined", "even", "none", "odd")
_KNOWN = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.Getattr, nodes.Getitem),
    *(nodes.Filter, nodes.Test, nodes.If, nodes.For, nodes.CondExpr, nodes.Compare, nodes.Operand, nodes.And),
    *(nodes.Or, nodes.Not, nodes.Keyword),
)
_LIST = (nodes.Name, nodes.Getattr, nodes.Getitem)
_DEEP = "has brackets or blocks that stand too deep in each other"


class Unfit(Exception):
    """The text cannot be used, or not with these values. The message is for whoever wrote it."""


class _Jinja(ImmutableSandboxedEnvironment):
    """Dots and brackets look into given lists and objects, never at what Python gives them."""

    steps = 0

    def count(self, steps: int = 1) -> None:
        """
        Raises:
            ValueError: these are more than a text may take.
        """
        self.steps += steps
        if self.steps > MOST_STEPS:
            raise ValueError("does too much: loop over less, or do less in a loop")

    def counted(self, filter: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(filter)
        def run(*given: Any, **named: Any) -> Any:
            self.count(1 + sum(len(one) for one in given if isinstance(one, (str, list))) // 100)
            return filter(*given, **named)

        return run

    def getattr(self, obj: Any, attribute: str) -> Any:
        return super().getattr(obj, attribute) if isinstance(obj, LoopContext) else self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        self.count()
        if isinstance(obj, Undefined) or not isinstance(obj, (dict, list)):
            return self.undefined(obj=obj, name=argument)
        try:
            return obj[argument]
        except (LookupError, TypeError):
            return self.undefined(obj=obj, name=argument)


class SandboxedText:
    """One text, read once.

    Args:
        source: Jinja's `{{ name|upper }}`, `{% if %}` and `{% for %}`.

    Raises:
        Unfit: it is not that, or uses more of Jinja than is allowed.
    """

    def __init__(self, source: str) -> None:
        self._write: Callable[[Any], str] = str
        jinja = _Jinja(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True, finalize=self._finish)
        jinja.globals.clear()
        self._jinja = jinja
        jinja.filters = {name: jinja.counted(jinja.filters[name]) for name in FILTERS} | {"join": jinja.counted(_join)}
        jinja.tests = {name: jinja.tests[name] for name in TESTS}
        jinja.trim_blocks = jinja.lstrip_blocks = True
        try:
            tree = jinja.parse(source)
            _check(tree)
            self.names = frozenset(find_undeclared_variables(tree))
            self._template = jinja.from_string(tree)
        except TemplateSyntaxError as error:
            raise Unfit(f"line {error.lineno}: {error.message}") from error
        except TemplateError as error:
            raise Unfit(str(error)) from error
        except (RecursionError, SyntaxError, MemoryError):
            raise Unfit(_DEEP) from None

    def fill(self, values: Mapping[str, Any], write: Callable[[Any], str] = str) -> str:
        """The text with its places filled; `write` says how a value is written.

        Raises:
            Unfit: a value is missing or of the wrong kind, or the text becomes too long.
        """
        self._write, self._jinja.steps = write, 0
        parts: list[str] = []
        left = LONGEST
        try:
            for part in self._template.generate(values):
                parts.append(part)
                left -= len(part)
                if left < 0:
                    raise Unfit(f"becomes longer than {LONGEST:,} characters")
        except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise Unfit(str(error)) from error
        finally:
            self._write = str
        return "".join(parts)

    def _finish(self, value: Any) -> str:
        """
        Raises:
            TypeError: a list, an object or something of Jinja's own, where only text can stand.
        """
        if value is None:
            return ""
        if isinstance(value, Undefined):
            str(value)  # raises, and names it
        if not isinstance(value, (str, int, float)):
            raise TypeError("a list or an object cannot be written as it is: use a loop, or the name of a field")
        return self._write(value)


@pass_environment
def _join(jinja: Environment, values: Any, between: str = "", attribute: str | None = None) -> str:
    """Jinja's own, of no more than a text may be long: one that stands in another would grow without end."""
    texts = [str(one) for one in (map(make_attrgetter(jinja, attribute), values) if attribute else values)]
    if sum(map(len, texts)) + len(between) * len(texts) > LONGEST:
        raise ValueError(f"becomes longer than {LONGEST:,} characters")
    return between.join(texts)


def _check(tree: nodes.Template) -> None:
    """
    Raises:
        Unfit: naming the line.
    """
    waiting: list[tuple[nodes.Node, int, int]] = [(tree, 0, 0)]
    while waiting:
        node, level, loops = waiting.pop()
        if level > MOST_LEVELS:
            raise Unfit(_DEEP)
        if not isinstance(node, _KNOWN):
            raise Unfit(f"line {node.lineno}: {type(node).__name__} is not allowed here")
        if isinstance(node, nodes.For):
            loops += 1
            if loops > MOST_LOOPS or node.recursive or not isinstance(node.iter, _LIST):
                raise Unfit(f"line {node.lineno}: a loop runs over a list of the values, at most {MOST_LOOPS} deep")
        waiting += [(child, level + 1, loops) for child in node.iter_child_nodes()]
