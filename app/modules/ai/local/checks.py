"""What can be found in a text by counting: how it reads, and what search engines will see of it.

Each check is a rule that anybody can work out again; its numbers stand among the measures.
"""

import re
from collections import Counter
from typing import Any, Literal

import msgspec
from markdown_it import MarkdownIt

from app.modules.ai.local.prose import read
from app.modules.ai.local.words import WORD, detect_language, fold

LONG_SENTENCE, VERY_LONG_SENTENCE = 25, 40  # words
LONG_PARAGRAPH = 150  # words
THIN, WANTS_HEADINGS = 300, 400  # words
MOST_NAMED = 5  # findings of one rule that are told one by one
UNFINISHED = re.compile(r"\b(?:lorem ipsum|TODO|FIXME|TK{1,2}|TBD|XXX)\b")
TITLE, DESCRIPTION, SLUG = (15, 60), (50, 160), 75  # characters
DENSE = 0.04  # the share of one word at which readers notice it
KEYWORDS_LOOKED_AT = 3

Level = Literal["error", "warning", "notice"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to mend or to know; `check` is a stable word, `source` is rule or model."""

    check: str
    level: Level
    message: str
    source: str = "rule"


class Report(msgspec.Struct, frozen=True):
    """What was found, the worst first, and the numbers behind it."""

    findings: list[Finding]
    measures: dict[str, Any]


class _Shape(msgspec.Struct):
    """The outline of a text: levels of its headings, pictures without words, links with their addresses and texts."""

    levels: list[int] = []
    paragraphs: list[int] = []  # words of each
    pictures: int = 0
    silent_pictures: int = 0
    links: list[tuple[str, str]] = []


def quality(markdown: str, *, language: str) -> Report:
    """How a text reads: length of sentences and paragraphs, repetition, what was left unfinished."""
    prose, shape = read(markdown), _shape(markdown)
    lengths = [len(WORD.findall(sentence)) for sentence in prose.sentences]
    words = sum(shape.paragraphs)
    average = sum(lengths) / len(lengths) if lengths else 0.0
    found: list[Finding] = []

    def say(check: str, level: Level, message: str) -> None:
        found.append(Finding(check=check, level=level, message=message))

    if not words:
        say("empty", "error", "There is no text")
    for sign in dict.fromkeys(UNFINISHED.findall(markdown)):
        say("unfinished", "error", f'"{sign}" was left in the text')
    if average > LONG_SENTENCE:
        say("sentences", "warning", f"Sentences have {average:.0f} words on average; up to {LONG_SENTENCE} read easily")
    for sentence in [s for s, n in zip(prose.sentences, lengths, strict=True) if n > VERY_LONG_SENTENCE][:MOST_NAMED]:
        say("long_sentence", "notice", f"A sentence of more than {VERY_LONG_SENTENCE} words: {_start(sentence)}")
    if longest := sum(count > LONG_PARAGRAPH for count in shape.paragraphs):
        say("paragraphs", "notice", f"{longest} of the paragraphs have more than {LONG_PARAGRAPH} words")
    repeated = [text for text, count in Counter(prose.sentences).items() if count > 1 and len(WORD.findall(text)) > 3]
    for sentence in repeated[:MOST_NAMED]:
        say("repeated_sentence", "warning", f"Written more than once: {_start(sentence)}")
    if words > WANTS_HEADINGS and not shape.levels:
        say("headings", "notice", f"A text of {words:,} words without a heading")
    _outline(shape, say)
    written = detect_language(" ".join(prose.sentences))
    if written and written != language.split("-")[0]:
        say("language", "warning", f"The text is written in {written}, and the article says {language}")
    measures = {
        "words": words,
        "sentences": len(lengths),
        "wordsPerSentence": round(average, 1),
        "longSentences": sum(n > VERY_LONG_SENTENCE for n in lengths),
        "paragraphs": len(shape.paragraphs),
        "headings": len(shape.levels),
        "language": written or None,
    }
    return Report(found, measures)


def seo(markdown: str, *, title: str, slug: str, description: str, keywords: list[str]) -> Report:
    """What search engines see: title, description, address, outline, pictures, links, key words."""
    shape = _shape(markdown)
    words = [fold(word) for word in WORD.findall(markdown)]
    counts = Counter(words)
    found: list[Finding] = []

    def say(check: str, level: Level, message: str) -> None:
        found.append(Finding(check=check, level=level, message=message))

    if not TITLE[0] <= len(title) <= TITLE[1]:
        say("title", "warning", f"The title has {len(title)} characters; {TITLE[0]} to {TITLE[1]} are shown whole")
    if not description:
        say("description", "error", "There is no paragraph that could describe the article")
    elif not DESCRIPTION[0] <= len(description) <= DESCRIPTION[1]:
        bounds = f"{DESCRIPTION[0]} to {DESCRIPTION[1]}"
        say("description", "notice", f"The description has {len(description)} characters; {bounds} are shown whole")
    if len(slug) > SLUG:
        say("slug", "notice", f"The address has {len(slug)} characters; up to {SLUG} are easy to read")
    if len(words) < THIN:
        say("thin", "warning", f"The text has {len(words)} words; under {THIN} it is seldom found")
    if len(words) > WANTS_HEADINGS and not shape.levels:
        say("headings", "warning", "There is no heading to find the parts by")
    _outline(shape, say)
    if shape.silent_pictures:
        say("pictures", "error", f"{shape.silent_pictures} of {shape.pictures} pictures have no description")
    if silent := sum(not text for _, text in shape.links):
        say("links", "error", f"{silent} links have no text")
    if not shape.links:
        say("no_links", "notice", "The text links to nothing")
    named = [word for word in keywords[:KEYWORDS_LOOKED_AT] if any(fold(w) in fold(title) for w in WORD.findall(word))]
    if keywords and not named:
        best = ", ".join(keywords[:KEYWORDS_LOOKED_AT])
        say("keywords", "notice", f"The title names none of what the text is most about: {best}")
    share = {word: counts[fold(word)] / len(words) for word in keywords if words and " " not in word}
    for word in [word for word, part in share.items() if part > DENSE and len(words) >= THIN][:MOST_NAMED]:
        say("density", "warning", f'"{word}" is {share[word]:.0%} of all words')
    measures = {
        "titleCharacters": len(title),
        "descriptionCharacters": len(description),
        "slugCharacters": len(slug),
        "words": len(words),
        "headings": len(shape.levels),
        "links": len(shape.links),
        "pictures": shape.pictures,
        "keywords": keywords,
    }
    return Report(found, measures)


def _outline(shape: _Shape, say: Any) -> None:
    if shape.levels.count(1) > 1:
        say("outline", "warning", f"There are {shape.levels.count(1)} headings of the first level")
    if any(after > before + 1 for before, after in zip(shape.levels, shape.levels[1:], strict=False)):
        say("outline", "notice", "The headings skip a level")


def _start(sentence: str) -> str:
    return sentence if len(sentence) <= 100 else sentence[:99].rsplit(" ", 1)[0] + "…"


def _shape(markdown: str) -> _Shape:
    shape = _Shape()
    opened = ""
    for token in MarkdownIt("commonmark").enable("table").parse(markdown):
        if token.type == "heading_open":
            shape.levels.append(int(token.tag[1:]))
        if token.type == "inline":
            if opened == "paragraph_open":
                shape.paragraphs.append(len(WORD.findall(token.content)))
            _inline(token.children or [], shape)
        opened = token.type
    return shape


def _inline(children: list[Any], shape: _Shape) -> None:
    inside = False
    for child in children:
        if child.type == "image":
            shape.pictures += 1
            shape.silent_pictures += not child.content.strip()
        if child.type == "link_open":
            shape.links.append((str(child.attrs.get("href", "")), ""))
            inside = True
        elif child.type == "link_close":
            inside = False
        elif inside and (child.content or "").strip():
            address, text = shape.links[-1]
            shape.links[-1] = (address, text + child.content)
