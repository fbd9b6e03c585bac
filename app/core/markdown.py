"""Markdown as people write it, made into HTML in which nothing can run.

What comes out is bounded, not only what goes in: a table fills its rows up, and a link's address is written anew
wherever it is used.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from typing import NamedTuple
from uuid import UUID

import nh3
from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.token import Token

from app.core.errors import Invalid, RateLimited

EXCERPT = 200
HEADING_WITHIN = 2_000
MOST_CELLS, MOST_ADDED, MOST_TOKENS = 20_000, 1_000, 100_000
LONGEST_HTML = 1_200_000  # characters; four times the longest body of an article
MOST_WAITING = 1_200_000  # characters of one tenant; five seconds' work
_THREAD = ThreadPoolExecutor(1, "markdown")
_CLEANER = nh3.Cleaner(
    attributes={**nh3.ALLOWED_ATTRIBUTES, "code": {"class"}}, url_schemes={"http", "https", "mailto"}
)
_TEXTUAL = ("text", "code_inline", "softbreak", "hardbreak")
_HEADING = re.compile(r"\s*<h1>(.*?)</h1>\s*", re.DOTALL)
_PICTURE = re.compile(r"(<a [^>]*>\s*)?<img([^>]*)>")
_TAG = re.compile(r"<[^>]*>")
_ATTRIBUTE = re.compile(r'([\w-]+)="([^"]*)"')


class Rendered(NamedTuple):
    """Sanitised HTML, and the first paragraph as plain text of at most 200 characters."""

    html: str
    excerpt: str


def heading(markdown: str) -> str | None:
    """The text of the first heading near the beginning, which serves as a file's title; None when there is none."""
    tokens = _HEADINGS.parse(markdown[:HEADING_WITHIN])
    texts = (_plain(tokens[i + 1]) for i, token in enumerate(tokens) if token.type == "heading_open")
    return next(filter(None, texts), None)


def render(markdown: str) -> Rendered:
    """HTML in which nothing can run, and the first paragraph as plain text of at most 200 characters.

    It takes about 4 ms for 1,000 characters.

    Raises:
        Invalid (`body`): too much comes out of it.
    """
    tokens = parsed(markdown)
    for token in tokens:
        if style := token.attrs.pop("style", None):
            # Our policy forbids inline styles; a cell has an attribute for this.
            token.attrs["align"] = str(style).removeprefix("text-align:")
    paragraphs = (_plain(tokens[i + 1]) for i, token in enumerate(tokens) if token.type == "paragraph_open")
    text = next(filter(None, paragraphs), "")
    excerpt = text if len(text) <= EXCERPT else text[: EXCERPT - 1].rsplit(" ", 1)[0] + "…"
    html = bounded(_CLEANER.clean(bounded(MARKDOWN.renderer.render(tokens, MARKDOWN.options, {}))))
    return Rendered(html, excerpt)


async def rendered(markdown: str, of: UUID) -> Rendered:
    """`render`, apart from the loop: a long body takes seconds. One at a time, so that many take no more of a core.

    Args:
        of: whose text it is. Nobody's wait for long behind those of one tenant.

    Raises:
        Invalid (`body`). RateLimited: so much of the tenant waits already.
    """
    if _waiting[of] and _waiting[of] + len(markdown) > MOST_WAITING:
        raise RateLimited(
            "Other texts of this tenant are being read: send this one again", headers={"Retry-After": "2"}
        )
    _waiting[of] += len(markdown)
    try:
        return await asyncio.get_running_loop().run_in_executor(_THREAD, render, markdown)
    finally:
        _waiting[of] -= len(markdown)
        if not _waiting[of]:
            del _waiting[of]


def parsed(markdown: str) -> list[Token]:
    """
    Raises:
        Invalid (`body`): more would come out of it than we write.
    """
    tokens = MARKDOWN.parse(markdown)
    left = LONGEST_HTML
    for token in _all(tokens):
        left -= len(token.content) + sum(len(str(value)) for value in token.attrs.values())
        if left < 0:
            raise _too_much()
    return tokens


def bounded(html: str) -> str:
    """
    Raises:
        Invalid (`body`): it is longer than what we keep.
    """
    if len(html) > LONGEST_HTML:
        raise _too_much()
    return html


def _all(tokens: Iterable[Token]) -> Iterable[Token]:
    for token in tokens:
        if token.type != "inline":
            yield token
        yield from _all(token.children or ())


def _too_much() -> Invalid:
    return Invalid.field("body", f"becomes more than {LONGEST_HTML:,} characters of HTML")


class _Tokens(list[Token]):
    """What a text is read as, until it becomes too much: tables are filled up to 65,536 cells each."""

    def __init__(self, cells: int) -> None:
        super().__init__()
        self._cells = cells

    def append(self, token: Token) -> None:
        """
        Raises:
            Invalid (`body`).
        """
        if token.type in ("td_open", "th_open"):
            self._cells -= 1
        if self._cells < 0:
            raise Invalid.field("body", "has too many cells in its tables, or too many that are not written out")
        if len(self) >= MOST_TOKENS:
            raise Invalid.field("body", "has too many paragraphs, list items, quotes and cells")
        super().append(token)


def _begin(state: StateCore) -> None:
    # A cell that is written has two characters and more, so what a table costs goes with the length of the text.
    state.tokens = _Tokens(min(MOST_CELLS, MOST_ADDED + len(state.src) // 2))


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    parser.core.ruler.before("block", "bound", _begin)
    return parser


MARKDOWN = _parser()
_HEADINGS = MarkdownIt("commonmark", {"html": False})
_waiting: Counter[UUID] = Counter()


def _plain(inline: Token) -> str:
    parts = (child.content if child.content else " " for child in inline.children or () if child.type in _TEXTUAL)
    return " ".join("".join(parts).split())


def for_reading(title: str, html: str) -> str:
    """What `render` made of a text with this title, for a page of ours.

    Pictures become links, as the content security policy loads none from elsewhere and a tenant shall not learn who
    reads; a heading that only repeats the title is left out.
    """
    heading = _HEADING.match(html)
    if heading and " ".join(unescape(_TAG.sub("", heading[1])).split()) == title:
        html = html[heading.end() :]
    return _PICTURE.sub(_picture, html)


def _picture(found: re.Match[str]) -> str:
    link, attributes = found.groups()
    # Their values come escaped from the sanitiser, and go as they are into HTML again.
    given = dict(_ATTRIBUTE.findall(attributes))
    source, text = given.get("src", ""), given.get("alt") or "without a description"
    if link or not source.startswith(("http://", "https://")):
        return f"{link or ''}<span>[Picture: {text}]</span>"
    return f'<a href="{source}" rel="noopener noreferrer" target="_blank">[Picture: {text}]</a>'
