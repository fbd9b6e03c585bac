"""No SQL and no markup built from text, and no second HTTP client, anywhere in app/."""

from pathlib import Path

import pytest

from tests.architecture.source_lint import problems

APP = Path(__file__).parents[2] / "app"
EXEMPT = {
    ("migrate.py", "text()"): "Role names cannot be parameters; they come from the settings and are quoted.",
    ("modules/dashboard/pages.py", "Markup()"): "A card's own template, rendered with autoescaping on.",
}


def found_in(path: str) -> list[tuple[str, str]]:
    """The problems of one file of app/: what is misused, and the line that says so."""
    lines = problems((APP / path).read_text())
    return [(line.split()[1], f"app/{path}:{line}") for line in lines]


def test_the_source_keeps_its_rules() -> None:
    paths = sorted(str(path.relative_to(APP)) for path in APP.rglob("*.py"))
    wrong = [line for path in paths for subject, line in found_in(path) if (path, subject) not in EXEMPT]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(("path", "subject"), EXEMPT)
def test_an_exemption_is_still_needed(path: str, subject: str) -> None:
    assert subject in [found for found, _ in found_in(path)]


@pytest.mark.parametrize(
    "code",
    [
        'session.execute(text(f"SELECT {name}"))',
        'session.execute(text("SELECT " + name))',
        'session.execute(text("SELECT %s" % name))',
        'session.execute(text("SELECT {}".format(name)))',
        'query = "SELECT {}"\nsession.execute(text(query.format(name)))',
        'query = f"SELECT {name}"\nsession.execute(text(query))',
        'query = "SELECT 1"\nquery += name\nsession.execute(text(query))',
        "def run(query):\n    return text(query)",
        "for query in queries:\n    text(query)",
        'sa.text(" ".join(parts))',
        "text(make())",
        'connection.fetch(f"SELECT * FROM {table}")',
        'connection.execute("DELETE FROM x WHERE id = " + str(id))',
        'sql = "a" if x else f"b{y}"\nconnection.fetchval(sql)',
        'connection.exec_driver_sql("SELECT %s" % name)',
        'func.now() + literal_column(f"interval {seconds}")',
        'Markup(f"<b>{name}</b>")',
        'Markup("<b>" + name)',
        "import httpx",
        "from urllib.request import urlopen",
        "from urllib import request",
        "def later():\n    import requests.sessions",
    ],
)
def test_a_planted_violation_is_found(code: str) -> None:
    assert problems(code)


@pytest.mark.parametrize(
    "code",
    [
        'session.execute(text("SELECT 1"))',
        '_QUERY = text("SELECT :n")\nsession.execute(_QUERY, {"n": 1})',
        'QUERY = "SELECT 1"\nsession.execute(text(QUERY))',
        "session.execute(select(Row).where(Row.id == id))",
        "session.scalars(first.union_all(*rest))",
        "query = select(one).join(two)\nsession.execute(query)",
        'Markup("<b>{}</b>").format(name)',
        'log.info(f"{name} + 1")',
        "import httpx2",
        "from urllib.parse import urlsplit",
    ],
)
def test_ordinary_code_passes(code: str) -> None:
    assert problems(code) == []
