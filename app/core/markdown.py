"""Markdown as people write it, made into HTML in which nothing can run."""

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from typing import NamedTuple

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token

EXCERPT = 200
HEADING_WITHIN = 2_000
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
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
    tokens = _MARKDOWN.parse(markdown[:HEADING_WITHIN])
    texts = (_plain(tokens[i + 1]) for i, token in enumerate(tokens) if token.type == "heading_open")
    return next(filter(None, texts), None)


def render(markdown: str) -> Rendered:
    """HTML in which nothing can run, and the first paragraph as plain text of at most 200 characters.

    It takes about 4 ms for 1,000 characters.
    """
    tokens = _MARKDOWN.parse(markdown)
    for token in tokens:
        if style := token.attrs.pop("style", None):
            # Our policy forbids inline styles; a cell has an attribute for this.
            token.attrs["align"] = str(style).removeprefix("text-align:")
    paragraphs = (_plain(tokens[i + 1]) for i, token in enumerate(tokens) if token.type == "paragraph_open")
    text = next(filter(None, paragraphs), "")
    excerpt = text if len(text) <= EXCERPT else text[: EXCERPT - 1].rsplit(" ", 1)[0] + "…"
    html = _CLEANER.clean(_MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {}))
    return Rendered(html, excerpt)


async def rendered(markdown: str) -> Rendered:
    """`render`, apart from the loop: a long body takes seconds. One at a time, so that many take no more of a core."""
    return await asyncio.get_running_loop().run_in_executor(_THREAD, render, markdown)


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
