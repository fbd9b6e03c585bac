"""Every template compiles, keeps the content security policy, and names only what exists."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from jinja2 import Environment, meta

from app.core.settings import load
from app.core.templating import environment
from tests.architecture.template_lint import problems, unescaped

APP = Path(__file__).parents[2] / "app"
TEMPLATES = APP / "templates"
NAMES = sorted(str(path.relative_to(TEMPLATES)) for path in TEMPLATES.rglob("*.html"))

UNESCAPED = {
    ("articles/_article.html", "body|safe"): "Sanitised when the article is written.",
    ("email/_own.html", "html|safe"): "Sanitised where the mail is written.",
    ("email_templates/_preview.html", "html|safe"): "Sanitised where the mail is written.",
}


@pytest.fixture(scope="module")
def jinja() -> Environment:
    return environment(load({"APP_ENV": "test"}))


def source(name: str) -> str:
    return (TEMPLATES / name).read_text()


@pytest.mark.parametrize("name", NAMES)
def test_a_template_compiles_and_names_templates_that_exist(jinja: Environment, name: str) -> None:
    jinja.get_template(name)
    named = meta.find_referenced_templates(jinja.parse(source(name)))
    assert {other for other in named if other is not None} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_template_keeps_the_rules(name: str) -> None:
    found = [f"{name}:{problem}" for problem in problems(name, source(name))]
    assert not found, "\n".join(found)


def test_nothing_is_put_in_unescaped_without_a_reason() -> None:
    assert {(name, expression) for name in NAMES for expression in unescaped(source(name))} == set(UNESCAPED)


def test_every_named_icon_is_drawn() -> None:
    drawn = set((APP / "static/src/icons.txt").read_text().split())
    call = re.compile(r"""\b(?:icon|draw)\(\s*"([^"]+)"|\bicon="([^"]+)\"""")
    files = [*TEMPLATES.rglob("*.html"), *(APP / "modules").rglob("*.py")]
    named = {first or second for path in files for first, second in call.findall(path.read_text())}
    assert named <= drawn


def test_every_template_is_used() -> None:
    """Named in full somewhere, or by its last part in its own module."""
    texts = [path.read_text() for path in (*APP.rglob("*.py"), *TEMPLATES.rglob("*.html"))]
    unused = [name for name in NAMES if not any(f'"{name}"' in text for text in texts)]
    for name in list(unused):
        folder, stem = Path(name).parent, Path(name).stem
        if any(f'"{stem}"' in path.read_text() for path in (APP / "modules" / folder).glob("*.py")):
            unused.remove(name)
    assert unused == []


@pytest.mark.parametrize(
    ("planted", "message"),
    [
        ("<button hx-on:click='x()'>", "hx-on"),
        ("<button hx-on::after-request='x()'>", "hx-on"),
        ("<div hx-vals='js:{a: 1}'>", "js:"),
        ('<a href="javascript:x()">', "code in an address"),
        ("<style>a {}</style>", "style element"),
        ('<p class="a" style="color: red">', "inline style"),
        ('{{ button("x", attrs={"style": "color: red"}) }}', "inline style among attributes"),
        ("<script>x()</script>", "script without src"),
        ('<script type="module">x()</script>', "script without src"),
        ('<body\n  onload="x()">', "event handler"),
        ('{{ button("x", attrs={"onclick": "x()"}) }}', "event handler among attributes"),
        ('<div hx-trigger="click[ctrlKey]">', "filter in hx-trigger"),
        ('{{ button("x", attrs={"hx-trigger": "keyup[key==\'a\']"}) }}', "filter in hx-trigger"),
        ('<script src="https://cdn.example/x.js">', "another host"),
        ('<img src="//cdn.example/x.png" alt="">', "another host"),
        ("<a href={{ url }}>", "without quotes"),
        ('<div hx-vals="{{ values|tojson }}">', "tojson in double quotes"),
        ("{% autoescape false %}{{ x }}{% endautoescape %}", "escaping switched off"),
        ('<form method="post" action="/x"><button>', "CSRF"),
        ('<iframe src="/x"></iframe>', "foreign document"),
        ('<meta http-equiv="refresh" content="1">', "policy or redirect"),
    ],
)
def test_a_planted_violation_is_found(planted: str, message: str) -> None:
    fragment = f"{{# it's a {{ fragment }} #}}\n<div>{planted}</form></div>\n"
    found = problems("articles/_planted.html", fragment)
    assert any(message in problem for problem in found), found
    assert all(re.match("[12]: ", problem) for problem in found)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("articles/planted.html", "<p>x</p>", "extends"),
        ("articles/planted.html", '{% extends "layout.html" %}{% block content %}{% endblock %}', "title"),
        ("articles/_planted.html", '{% extends "layout.html" %}{% block title %}{% endblock %}', "extends nothing"),
    ],
)
def test_a_template_of_the_wrong_shape_is_found(name: str, text: str, message: str) -> None:
    assert any(message in problem for problem in problems(name, text))


def test_an_unescaped_expression_is_found() -> None:
    assert unescaped("{# {{ x|safe }} #}<p>{{ a.b | safe }}{{ c|safe|upper }}</p>") == ["a.b | safe", "c|safe|upper"]


def test_ordinary_markup_passes() -> None:
    ordinary = (
        '<a class="on" href="/x?a={{ a }}" hx-get="{{ url }}" hx-trigger="refresh, keyup delay:200ms">json: </a>'
        "<div hx-vals='{{ values|tojson }}' {{ live(id, only=true) }}></div>"
        '<form method="post" action="/x">{{ csrf(csrf_token) }}</form><form method="get"></form>'
    )
    assert problems("articles/_planted.html", ordinary) == []


def test_the_markup_linter_passes_here_and_fails_on_broken_markup(tmp_path: Path) -> None:
    broken = tmp_path / "_broken.html"
    broken.write_text("<button>Save</button><p><b>never closed</p>\n")
    command = [sys.executable, "-m", "djlint", "--lint", "--quiet", "--configuration", str(APP.parent / "djlint.toml")]
    assert subprocess.run([*command, str(TEMPLATES)], check=False, capture_output=True).returncode == 0
    refused = subprocess.run([*command, str(broken)], check=False, capture_output=True, text=True)
    assert refused.returncode == 1
    assert "H043" in refused.stdout
