"""Markdown becomes HTML in which nothing can run."""

import re
from html.parser import HTMLParser

from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.markdown import heading, render

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
