"""Reads the files of other programs: a folder of Markdown as a ZIP archive. All bounded, nothing written to a disk."""

import io
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import yaml

MOST_ITEMS = 2_000
MOST_FILES = 20_000
LARGEST, LARGEST_TOGETHER = 1_000_000, 40_000_000
MOST_TAGS, LONGEST_TAG, LONGEST_SOURCE = 50, 100, 500
LONGEST_FRONT_MATTER = 16_000
MARKDOWN = (".md", ".markdown")
_FRONT_MATTER = re.compile(r"---[ \t]*\n(.*?)\n?(?:---|\.\.\.)[ \t]*(?:\n|$)", re.DOTALL)


class Unreadable(Exception):
    """The file as a whole cannot be read; the message is for whoever sent it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One article as it stands in the file. `problem` says why there is none to be made of it."""

    source: str
    title: str = ""
    body: str = ""
    slug: str | None = None
    language: str | None = None
    dated: str | None = None
    tags: tuple[str, ...] = ()
    digest: str = ""
    problem: str | None = None


def format_of(data: bytes) -> str | None:
    """`markdown` for a ZIP archive; None for what is not understood."""
    return "markdown" if data.startswith((b"PK\x03\x04", b"PK\x05\x06")) else None


def entries(data: bytes) -> list[Entry]:
    """All articles of a file, in the order in which they stand there. It burns CPU: call it in a thread.

    Raises:
        Unreadable.
    """
    found: list[Entry] = []
    for entry in _markdown(data):
        found.append(entry)
        if len(found) > MOST_ITEMS:
            raise Unreadable(f"it has more than {MOST_ITEMS:,} articles: divide it")
    return found


def _markdown(data: bytes) -> Iterator[Entry]:
    try:
        archive = ZipFile(io.BytesIO(data))
        files = [info for info in archive.infolist() if _wanted(info)]
    except (BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise Unreadable(f"it is not a whole ZIP archive: {error}") from error
    if len(archive.infolist()) > MOST_FILES:
        raise Unreadable(f"it has more than {MOST_FILES:,} files")
    roots = {PurePosixPath(info.filename).parts[0] for info in files}
    # Archives of a folder often have its name before everything, and often not.
    root = next(iter(roots)) + "/" if len(roots) == 1 and all("/" in info.filename for info in files) else ""
    left = LARGEST_TOGETHER
    for info in files:
        source = _printable(info.filename.removeprefix(root), LONGEST_SOURCE)
        text, problem = _text(archive, info)
        left -= len(text)
        if left < 0:
            raise Unreadable(f"its texts have more than {LARGEST_TOGETHER // 1_000_000} MB together: divide it")
        yield Entry(source, problem=problem) if problem else markdown_entry(source, text)


def _wanted(info: ZipInfo) -> bool:
    path = PurePosixPath(info.filename)
    hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
    return not info.is_dir() and not hidden and path.suffix.lower() in MARKDOWN


def _text(archive: ZipFile, info: ZipInfo) -> tuple[str, str | None]:
    """The file's text, or what is wrong with it."""
    if info.flag_bits & 1:
        return "", "is encrypted"
    if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        return "", "is compressed in a way that is not understood here"
    try:
        with archive.open(info) as file:
            data = file.read(LARGEST + 1)
    except (BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError) as error:
        return "", f"cannot be unpacked: {error}"
    if len(data) > LARGEST:
        return "", f"has more than {LARGEST:,} bytes"
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n"), None
    except UnicodeDecodeError as error:
        return "", f"is not UTF-8: byte {error.start + 1} cannot be read"


def markdown_entry(source: str, text: str) -> Entry:
    """A Markdown file with YAML above it, or without."""
    digest = sha256(text.encode()).hexdigest()
    found = _FRONT_MATTER.match(text)
    if found is None:
        return Entry(source, body=text, digest=digest)
    try:
        given = _front_matter(found[1])
    except (yaml.YAMLError, RecursionError, Unreadable) as error:
        where = getattr(error, "problem_mark", None)
        line = f"line {where.line + 2}: " if where else ""
        text = getattr(error, "problem", None) or str(error) or "it is too deep"
        return Entry(source, digest=digest, problem=f"its front matter cannot be read: {line}{text}")
    return Entry(
        source,
        title=_printable(" ".join(_word(given, "title").split()), LONGEST_SOURCE),
        body=text[found.end() :].lstrip("\n"),
        slug=_word(given, "slug") or None,
        language=_word(given, "language") or _word(given, "lang") or None,
        dated=_printable(_word(given, "date"), 40) or None,
        tags=_tags(given.get("tags")),
        digest=digest,
    )


class _Texts(yaml.BaseLoader):  # type: ignore[misc]  # the library has no types
    """YAML of which every value is text as it stands. No aliases: few lines of them make a text without end."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise Unreadable("aliases are not allowed in it")
        return super().compose_node(parent, index)


def _front_matter(text: str) -> dict[Any, Any]:
    """
    Raises:
        Unreadable, YAMLError, RecursionError.
    """
    if len(text) > LONGEST_FRONT_MATTER:
        raise Unreadable(f"it has more than {LONGEST_FRONT_MATTER:,} characters")
    given = yaml.load(text, _Texts)  # noqa: S506 - texts, lists and mappings only
    if given in (None, ""):
        return {}
    if not isinstance(given, dict):
        raise Unreadable("it is no list of names with values")
    return given


def _tags(given: Any) -> tuple[str, ...]:
    """Of a list, or of words between commas."""
    several = given if isinstance(given, list) else str(given or "").split(",")
    tags = (_printable(one, LONGEST_TAG) for one in several[:MOST_TAGS] if isinstance(one, str))
    return tuple(dict.fromkeys(filter(None, tags)))


def _word(given: dict[Any, Any], name: str) -> str:
    value = given.get(name)
    return value.strip() if isinstance(value, str) else ""


def _printable(text: str, longest: int) -> str:
    return "".join(sign for sign in text if sign.isprintable()).strip()[:longest]
