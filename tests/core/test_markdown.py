"""Markdown becomes HTML in which nothing can run."""

import asyncio
import re
import threading
from html.parser import HTMLParser
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core import markdown
from app.core.errors import Invalid, RateLimited
from app.core.markdown import LONGEST_HTML, heading, render, rendered

SCHEME = re.compile(r"[\x00-\x20]*([a-zA-Z][a-zA-Z0-9+.-]*):")
RUNNING = {"script", "style", "iframe", "object", "embed", "form", "svg", "math", "link", "meta", "base"}


class Danger(HTMLParser):
    """Collects whatever a browser would run or follow blindly."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in RUNNING:
            self.found.append(tag)
        for name, value in attrs:
            # As browsers read it: tabs and line breaks do not count, and what begins otherwise is a relative path.
            scheme = SCHEME.match(re.sub(r"[\t\n\r]", "", value or "")) if name in ("href", "src") else None
            strange = scheme is not None and scheme[1].lower() not in ("http", "https", "mailto")
            if name.startswith("on") or name == "style" or strange:
                self.found.append(f"{tag} {name}={value}")


def test_the_check_itself_finds_what_runs() -> None:
    for html in ('<a href="javascript:x">', '<a href=" java\nscript:x">', "<p onclick=x>", "<img src='data:x'>"):
        assert Danger(html).found, html
    assert Danger('<a href="%3Ejavascript:x"><a href="/a:b"><a href="https://example.org">').found == []


def test_what_could_run_is_taken_out() -> None:
    for text in (
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt&colon;alert(1))",
        "![x](data:text/html;base64,PHNjcmlwdD4=)",
        "<a href='vbscript:x'>x</a>",
        '[x](<https://example.org/" onclick="alert(1)>)',
        "<svg onload=alert(1)>",
        "```html\n<script>alert(1)</script>\n```",
    ):
        assert Danger(render(text)[0]).found == [], text


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(["<", ">", "script", "[", "](", ")", "javascript:", '"', "on", "=", "`", "\n", "|", "a "]))
)
def test_no_mixture_of_marks_makes_something_that_runs(parts: list[str]) -> None:
    assert Danger(render("".join(parts))[0]).found == []


def test_headings_tables_and_code_are_kept() -> None:
    html, _ = render("# One\n\n| a | b |\n|:--|--:|\n| 1 | 2 |\n\n```python\nx = 1\n```\n\n~~gone~~ [there](/here)")
    assert "<h1>One</h1>" in html
    assert '<th align="left">a</th>' in html
    assert '<td align="right">2</td>' in html
    assert '<code class="language-python">' in html
    assert "<s>gone</s>" in html
    assert '<a href="/here" rel="noopener noreferrer">there</a>' in html


def test_the_excerpt_is_the_first_paragraph_as_plain_text() -> None:
    assert render("# Title\n\nA *short*\nline with `code`.\n\nSecond.")[1] == "A short line with code."
    long = render("word " * 100)[1]
    assert len(long) <= 200
    assert long.endswith("word…")
    assert render("# Only a heading")[1] == ""


def test_the_first_heading_is_the_title() -> None:
    assert heading("Intro\n\n## A **bold** title\n\n# Later") == "A bold title"
    assert heading("#\n\n# Second") == "Second"
    assert heading("no heading") is None
    assert heading("```\n# code\n```") is None


WIDE = "|a" * 30 + "|\n" + "|-" * 30 + "|\n" + "|x|\n" * 20 + "\n"
ADDRESS = "[x]: " + "y" * 3_000 + "\n\n"


@pytest.mark.parametrize(
    "text",
    [
        WIDE * 2,
        WIDE.replace("|x", "> |x") + "".join(f"> {line}\n" for line in WIDE.splitlines()),
        ADDRESS + "[x] " * 20,
        ADDRESS + "![x] " * 20,
        '[x]: y "' + "t" * 3_000 + '"\n\n' + "[x] " * 20,
        ">a\n\n" * 1_000,
        "-\n*\n" * 1_000,
        "1.\n1)\n" * 1_000,
        "&" * 9_000,
    ],
)
def test_a_small_text_of_which_much_would_come_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markdown, "MOST_ADDED", 200)
    monkeypatch.setattr(markdown, "MOST_TOKENS", 4_000)
    monkeypatch.setattr(markdown, "LONGEST_HTML", 30_000)
    cleaned: list[int] = []
    monkeypatch.setattr(markdown, "_CLEANER", Counting(cleaned))
    with pytest.raises(Invalid) as caught:
        render(text)
    assert [error.field for error in caught.value.errors] == ["body"]
    assert sum(cleaned) <= 30_000, "refused before it was written"


class Counting:
    def __init__(self, seen: list[int]) -> None:
        self._seen = seen

    def clean(self, html: str) -> str:
        self._seen.append(len(html))
        return html


@pytest.mark.parametrize(
    "text",
    [
        "|a|b|c|d|\n|-|-|-|-|\n" + "|1|2|3|4|\n" * 4_000,
        "[x]: https://example.org/a-page-of-ours\n\n" + "as is said [there][x], and " * 2_000,
        "> " * 20_000 + "a",
        "- " * 20_000 + "a",
        "[^1]: a note\n\n" + "as is said[^1] " * 2_000,
        "&CounterClockwiseContourIntegral;" * 3_000,
    ],
)
def test_a_long_text_of_an_honest_kind_is_taken(text: str) -> None:
    assert 0 < len(render(text).html) <= LONGEST_HTML


def test_a_title_is_looked_for_without_filling_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markdown, "MOST_CELLS", 0)
    assert heading("|a" * 100 + "|\n" + "|-" * 100 + "|\n" + "|x|\n" * 90 + "\n# Tides") == "Tides"


async def test_texts_of_one_tenant_do_not_keep_those_of_another_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markdown, "MOST_WAITING", 100)
    go, one, other = threading.Event(), uuid4(), uuid4()

    def slow(text: str) -> str:
        go.wait(10)
        return text

    monkeypatch.setattr(markdown, "render", slow)
    first = asyncio.create_task(rendered("a" * 500, one))  # alone it may be as long as it is
    await asyncio.sleep(0)
    with pytest.raises(RateLimited) as caught:
        await rendered("b", one)
    assert caught.value.headers["Retry-After"]
    theirs = [asyncio.create_task(rendered("c" * 50, other)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(RateLimited):
        await rendered("c", other)
    go.set()
    await asyncio.gather(first, *theirs)
    await asyncio.sleep(0)
    assert await rendered("d", one) == "d"
