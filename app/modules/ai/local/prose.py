"""From Markdown to the sentences a reader would read aloud."""

import re
from functools import cache
from itertools import islice

import msgspec
from markdown_it import MarkdownIt
from markdown_it.token import Token

from app.modules.ai.local.words import detect_language

# Only from the start of a run, and never back into it: else a long row of dots takes the square of its length.
ENDING = re.compile(r"""(?<![.!?…؟۔])[.!?…؟۔]++["'”’»«“‘›‹)\]]*+(?=\s|$)|[。！？]++[」』”’)]*+""")
NEAR = 80  # characters around an ending that decide whether it is one
MOST_PARTS = 600  # sentences and fragments that are weighed: a short book's worth
OPENERS = "\"'„“‚‘»«›‹([¿¡"
# A full stop after one of these ends no sentence: abbreviations, an initial, e.g., z. B.
ABBREVIATION = re.compile(
    r"dr|mr|mrs|prof|vs|approx|cf|eds|al|ca|bzw|ggf|vgl|inkl|exkl|bspw|evtl|sog|hrsg|jh|mio|mrd|tsd|geb|gest"
    r"|[^\W\d_](\.[^\W\d_])*"
)
BEFORE_NUMBER = re.compile(r"nos?|vol|figs?|st|nr|abb|abs|art|bd|kap|tel|tab|pp")


class Prose(msgspec.Struct, frozen=True):
    """A text without its Markdown. `sentences` end like sentences; `fragments` (list items, captions) do not."""

    language: str
    headings: list[str]
    sentences: list[str]
    fragments: list[str]


def read(markdown: str) -> Prose:
    """Take a text apart. Code blocks, tables, images and link addresses are left out; link texts stay."""
    headings, blocks = _blocks(markdown)
    language = detect_language(" ".join(blocks))
    parts = list(islice((part for block in blocks for part in split(block, language)), MOST_PARTS))
    return Prose(
        language,
        headings,
        [part for part in parts if ENDING.search(part)],
        [part for part in parts if not ENDING.search(part)],
    )


def split(block: str, language: str = "") -> list[str]:
    """Sentences of one paragraph, word for word; abbreviations, decimals and quoted questions do not end one."""
    found: list[str] = []
    start = 0
    for match in ENDING.finditer(block):
        if _ends_sentence(block, start, match, language):
            found.append(block[start : match.end()].strip())
            start = match.end()
    return [part for part in (*found, block[start:].strip()) if part]


def _ends_sentence(block: str, start: int, match: re.Match[str], language: str) -> bool:
    follows = block[match.end() : match.end() + NEAR].lstrip()
    if follows.lstrip(OPENERS)[:1].islower():
        return False
    if match[0] != "." or not follows:
        return True
    before = block[max(start, match.start() - NEAR) : match.start()].split()
    last = before[-1].lstrip(OPENERS).casefold() if before else ""
    if language == "de" and re.fullmatch(r"[0-9]{1,2}", last):  # ordinal: am 3. Oktober
        return False
    if BEFORE_NUMBER.fullmatch(last) and follows[0].isdigit():
        return False
    return not ABBREVIATION.fullmatch(last)


def _blocks(markdown: str) -> tuple[list[str], list[str]]:
    headings: list[str] = []
    blocks: list[str] = []
    opened_by = ""
    for token in _parser().parse(markdown):
        text = " ".join(_text(token).split()) if token.type == "inline" else ""
        if text and opened_by not in ("th_open", "td_open"):
            (headings if opened_by == "heading_open" else blocks).append(text)
        opened_by = token.type
    return headings, blocks


def _text(inline: Token) -> str:
    kept = {"text", "text_special", "code_inline"}
    return "".join(
        child.content if child.type in kept else " " if child.type in ("softbreak", "hardbreak") else ""
        for child in inline.children or ()
    )


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark").enable("table")
