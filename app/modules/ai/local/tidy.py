"""Mending a text without a model: what is wrong by any reading, and not a word more.

Code, tables, links and HTML stay as they are. The work is linear in the text.
"""

import re

DOUBLED = "the a an of to and in for with at by or is are was were be as it on from".split()  # noqa: SIM905
FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
HEADING = re.compile(r" {0,3}(#{1,6})(?=\s)")
# None of these may read on over its own beginning: else a row of them takes the square of its length.
KEPT = re.compile(r"`[^`]*`|\]\([^()]{0,2000}\)|<[^<>]{0,500}>|https?://\S+")
TWICE = re.compile(r"\b([A-Za-z]+)( +)\1\b", re.IGNORECASE)
SPACES = re.compile(r"(?<=\S) {2,}(?=\S)")
BEFORE_MARK = re.compile(r"(?<=\w) +([,;.])(?=\s|$)")
ONE = {
    "runs of spaces": "run of spaces",
    "words written twice": "word written twice",
    "spaces before a mark": "space before a mark",
    "skipped heading levels": "skipped heading level",
    "empty lines": "empty line",
}
SPACED = ("en", "de")
"""Languages in which no space stands before a comma."""


def tidy(markdown: str, language: str) -> tuple[str, list[str]]:
    """The text, mended, and what was mended: "2 runs of spaces", in plain English."""
    counts = dict.fromkeys(ONE, 0)
    found: list[str] = []
    fence = ""
    level = 0
    for line in markdown.replace("\r\n", "\n").split("\n"):
        mark = FENCE.match(line)
        if fence:
            fence = "" if mark and mark[1].startswith(fence) and line.strip() == mark[1] else fence
        elif mark:
            fence = mark[1]
        elif not line.strip():
            if found and not found[-1].strip():
                counts["empty lines"] += 1
                continue
            line = ""
        elif not line.startswith(("    ", "\t")) and "|" not in line:
            line, level = _level(line, level, counts)
            line = _outside(line, language, counts)
        found.append(line)
    text = "\n".join(found)
    return text, [f"{count} {what if count > 1 else ONE[what]}" for what, count in counts.items() if count]


def _level(line: str, level: int, counts: dict[str, int]) -> tuple[str, int]:
    """A heading at most one level below the one before it."""
    heading = HEADING.match(line)
    if heading is None:
        return line, level
    deep = len(heading[1])
    if level and deep > level + 1:
        counts["skipped heading levels"] += 1
        line, deep = "#" * (level + 1) + line[heading.end() :], level + 1
    return line, deep


def _outside(line: str, language: str, counts: dict[str, int]) -> str:
    """The line, mended outside what is kept."""
    parts, at = [], 0
    for kept in KEPT.finditer(line):
        parts += [_mend(line[at : kept.start()], language, counts), kept[0]]
        at = kept.end()
    return "".join([*parts, _mend(line[at:], language, counts)])


def _mend(text: str, language: str, counts: dict[str, int]) -> str:
    text, spaces = SPACES.subn(" ", text)
    counts["runs of spaces"] += spaces
    if language.split("-")[0] in SPACED:
        text, marks = BEFORE_MARK.subn(r"\1", text)
        counts["spaces before a mark"] += marks
    if language.split("-")[0] == "en":

        def once(found: re.Match[str]) -> str:
            if found[1].lower() not in DOUBLED:
                return found[0]
            counts["words written twice"] += 1
            return found[1]

        text = TWICE.sub(once, text)
    return text
