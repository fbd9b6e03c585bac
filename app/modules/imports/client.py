"""Reads the files of other programs: a folder of Markdown as a ZIP archive, and what WordPress exports (WXR).

All of it is bounded, and nothing is written to a disk.
"""

import io
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from html import escape, unescape
from pathlib import PurePosixPath
from typing import Any
from xml.etree.ElementTree import ParseError, XMLParser
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import nh3
import yaml

from app.core.markdown import heading

MOST_ITEMS = 2_000
MOST_FILES = 20_000
LARGEST, LARGEST_TOGETHER = 1_000_000, 40_000_000
MOST_TAGS, LONGEST_TAG, LONGEST_SOURCE = 50, 100, 500
MOST_LEVELS = 5
LONGEST_FRONT_MATTER, LONGEST_HTML = 16_000, 600_000
MOST_WRITTEN, MOST_ELEMENTS, MOST_DEEP, MOST_NESTED = 2 * LONGEST_HTML, 20_000, 100, 20
MARKDOWN = (".md", ".markdown")
_CONTENT = "{http://purl.org/rss/1.0/modules/content/}encoded"
_WORDPRESS = "{http://wordpress.org/export/"
_BLOCK = re.compile(r"\s*<(?!/?(?:a|abbr|b|br|cite|code|del|em|i|img|ins|kbd|q|s|small|span|strong|sub|sup|u)\b)", re.I)
_FORMATTING = frozenset(("a", "b", "code", "em", "i", "s", "small", "strike", "strong", "tt", "u"))
_TABLE = frozenset(("table", "caption", "colgroup", "thead", "tbody", "tfoot", "tr", "th", "td"))
_CLOSES_ITSELF = _TABLE - {"table"} | {"p", "li", "dt", "dd", "br", "hr", "img", "col", "area", "wbr", "rp", "rt"}
_MARKUP = re.compile(
    r"<!--.*?(?:-->|\Z)|<(?P<raw>script|style)\b.*?(?:</(?P=raw)\s*>|\Z)|<[!?][^>]*>?"
    r"|<(?P<end>/?)(?P<name>[a-z][a-z0-9:-]*)(?P<attributes>(?:[^<>=]++|=\s*(?:\"[^\"]*\"|'[^']*')?)*+)>?|[^<]+|<",
    re.DOTALL | re.IGNORECASE,
)
_ATTRIBUTE = re.compile(r"\b(href|src|alt|title|start)\s*=\s*(\"[^\"]*\"|'[^']*'|[^\s\"'<>]+)", re.IGNORECASE)
_NESTED = re.compile(r"<(/?)(?:blockquote|ol|ul|dl)\b")
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
    categories: tuple[tuple[str, ...], ...] = ()
    """Each by its names from the root down."""
    digest: str = ""
    problem: str | None = None


def format_of(data: bytes) -> str | None:
    """`markdown` for a ZIP archive, `wxr` for XML; None for what is not understood."""
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "markdown"
    beginning = data[:200].removeprefix(b"\xef\xbb\xbf").lstrip()
    return "wxr" if beginning.startswith((b"<?xml", b"<rss")) else None


def entries(data: bytes) -> list[Entry]:
    """All articles of a file, in the order in which they stand there. It burns CPU: call it in a thread.

    Raises:
        Unreadable.
    """
    found: list[Entry] = []
    for entry in (_markdown if format_of(data) == "markdown" else _wordpress)(data):
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
        return Entry(source, title=_headed(text), body=text, digest=digest)
    try:
        given = _front_matter(found[1])
    except (yaml.YAMLError, RecursionError, Unreadable) as error:
        where = getattr(error, "problem_mark", None)
        line = f"line {where.line + 2}: " if where else ""
        text = getattr(error, "problem", None) or str(error) or "it is too deep"
        return Entry(source, digest=digest, problem=f"its front matter cannot be read: {line}{text}")
    body = text[found.end() :].lstrip("\n")
    return Entry(
        source,
        title=_printable(" ".join(_word(given, "title").split()), LONGEST_SOURCE) or _headed(body),
        body=body,
        slug=_word(given, "slug") or None,
        language=_word(given, "language") or _word(given, "lang") or None,
        dated=_printable(_word(given, "date"), 40) or None,
        tags=_tags(given.get("tags")),
        categories=_categories(given.get("categories", given.get("category"))),
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
    tags = (_printable(one.replace(",", " "), LONGEST_TAG) for one in several[:MOST_TAGS] if isinstance(one, str))
    return tuple(dict.fromkeys(filter(None, tags)))


def _categories(given: Any) -> tuple[tuple[str, ...], ...]:
    """Of a list, or of words between commas; a list in the list is a way down the tree."""
    several = given if isinstance(given, list) else str(given or "").split(",")
    ways = (_way(one if isinstance(one, list) else [one]) for one in several[:MOST_TAGS])
    return tuple(dict.fromkeys(filter(None, ways)))


def _way(names: list[Any]) -> tuple[str, ...]:
    found = (_printable(one, LONGEST_TAG) for one in names[:MOST_LEVELS] if isinstance(one, str))
    return tuple(filter(None, found))


def _headed(body: str) -> str:
    return _printable(heading(body) or "", LONGEST_SOURCE)


def _word(given: dict[Any, Any], name: str) -> str:
    value = given.get(name)
    return value.strip() if isinstance(value, str) else ""


def _printable(text: str, longest: int) -> str:
    return "".join(sign for sign in text if sign.isprintable()).strip()[:longest]


class _Posts:
    """Collects the fields of posts and pages while XML is parsed, so that no tree of it is made."""

    def __init__(self) -> None:
        self.found: list[dict[str, str]] = []
        self.language = ""
        self._path: list[str] = []
        self._item: dict[str, str] = {}
        self._text: list[str] = []
        self._domain = self._nicename = ""
        self._tags: list[str] = []
        self._categories: list[str] = []
        self.tree: dict[str, tuple[str, str]] = {}
        """The blog's categories by nicename: what they are called, and the nicename of what they stand under."""
        self._place: dict[str, str] = {}

    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        """
        Raises:
            Unreadable: always. WordPress writes none, and entities are declared in one.
        """
        raise Unreadable("a document type is not allowed in it")

    def start(self, tag: str, given: dict[str, str]) -> None:
        if self._path == ["rss"] and tag != "channel":
            raise Unreadable("it is no export of WordPress")
        self._path.append(tag)
        self._text = []
        self._domain, self._nicename = given.get("domain", ""), given.get("nicename", "")
        if self._path == ["rss", "channel", "item"]:
            self._item, self._tags, self._categories = {}, [], []

    def data(self, text: str) -> None:
        if len(self._path) in (3, 4):
            self._text.append(text)

    def end(self, tag: str) -> None:
        text = "".join(self._text)
        if self._path[:3] == ["rss", "channel", "item"] and len(self._path) == 4:
            name = "wp:" + tag.rpartition("}")[2] if tag.startswith(_WORDPRESS) and "/excerpt/" not in tag else tag
            if name == "category" and self._domain == "post_tag":
                _add(self._tags, text.replace(",", " "))
            elif name == "category" and self._domain == "category":
                _add(self._categories, f"{self._nicename}\t{' '.join(text.split())}")
            else:
                self._item.setdefault(name, text)
        elif self._path == ["rss", "channel", "item"]:
            self._item |= {"tags": ",".join(self._tags), "categories": "\n".join(self._categories)}
            gone = self._item.get("wp:status") in ("trash", "auto-draft", "inherit")
            if self._item.get("wp:post_type") in ("post", "page") and not gone:
                self.found.append(self._item)
            if len(self.found) > MOST_ITEMS:
                raise Unreadable(f"it has more than {MOST_ITEMS:,} articles: divide it")
        elif self._path[:2] == ["rss", "channel"] and tag.startswith(_WORDPRESS):
            self._blog(tag.rpartition("}")[2], text)
        elif self._path == ["rss", "channel", "language"]:
            self.language = text.strip()
        self._path.pop()
        self._text = []

    def _blog(self, name: str, text: str) -> None:
        """What the export says of the blog's categories, before its posts."""
        if len(self._path) == 4:
            self._place[name] = text.strip()
        elif name == "category":
            if len(self.tree) < MOST_FILES:
                place = self._place
                self.tree[place.get("category_nicename", "")] = (
                    place.get("cat_name", ""),
                    place.get("category_parent", ""),
                )
            self._place = {}

    def ways(self, post: dict[str, str]) -> tuple[tuple[str, ...], ...]:
        """The categories of a post, by their names from the root down."""
        return tuple(dict.fromkeys(filter(None, map(self._way, post.get("categories", "").splitlines()[:MOST_TAGS]))))

    def _way(self, line: str) -> tuple[str, ...]:
        nicename, _, name = line.partition("\t")
        names = [name]
        above = self.tree.get(nicename, ("", ""))[1]
        while above in self.tree and len(names) < MOST_LEVELS:  # a ring ends here too
            name, above = self.tree[above]
            names.append(name)
        return _way(names[::-1])

    def close(self) -> None:
        pass


def _add(terms: list[str], term: str) -> None:
    if len(terms) < MOST_TAGS:
        terms.append(term)


def _wordpress(data: bytes) -> Iterator[Entry]:
    posts = _Posts()
    parser = XMLParser(target=posts)  # noqa: S314 - as above
    try:
        parser.feed(data)
        parser.close()
    except (ParseError, ValueError, LookupError) as error:
        raise Unreadable(f"it is not well-formed XML: {error}") from error
    for post in posts.found:
        yield _post_entry(post, posts.language, posts.ways(post))


def _post_entry(post: dict[str, str], language: str, categories: tuple[tuple[str, ...], ...]) -> Entry:
    html = post.get(_CONTENT, "")
    title = _printable(" ".join(post.get("title", "").split()), LONGEST_SOURCE)
    source = _printable(post.get("guid", "") or f"post {post.get('wp:post_id', '')}", LONGEST_SOURCE)
    digest = sha256(f"{title}\n{html}".encode()).hexdigest()
    try:
        body = _markdown_of(html)
    except (RecursionError, Unreadable) as error:
        return Entry(source, title, digest=digest, problem=f"its text cannot be converted: {error}")
    return Entry(
        source,
        title=title or "Untitled",
        body=body,
        slug=post.get("wp:post_name") or None,
        language=language or None,
        dated=_printable(post.get("wp:post_date", ""), 40) or None,
        tags=_tags(post.get("tags")),
        categories=categories,
        digest=digest,
    )


def _markdown_of(html: str) -> str:
    """Markdown of what WordPress keeps: HTML in which an empty line may begin a paragraph.

    Raises:
        Unreadable, RecursionError: it is too long, or its elements stand too deep in each other.
    """
    # Here, because only workers read files: it brings a parser of HTML with it.
    from markdownify import markdownify

    if len(html) > LONGEST_HTML:
        raise Unreadable(f"it has more than {LONGEST_HTML:,} characters")
    if "<p" not in html.lower():
        parts = [part for part in re.split(r"\n\s*\n", html.replace("\r\n", "\n")) if part.strip()]
        html = "\n".join(part if _BLOCK.match(part) else f"<p>{part}</p>" for part in parts)
    clean = nh3.clean(_even(html))
    _not_too_deep(clean)
    text: str = markdownify(clean, heading_style="ATX", bullets="-")
    if len(text) > LONGEST_HTML:
        raise Unreadable(f"it becomes more than {LONGEST_HTML:,} characters of Markdown")
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _even(html: str) -> str:
    """The same with the elements and attributes that Markdown can say, and so that each sign means one thing.

    What reads HTML opens an unclosed `<b>` again in every paragraph: what that would write is summed up here, before.

    Raises:
        Unreadable: too much would come out of it, or its elements stand too deep in each other.
    """
    parts, left, elements = list[str](), MOST_WRITTEN, 0
    still, depth = list[tuple[str, int]](), 0
    for found in _MARKUP.finditer(html):
        end, name = found["end"], (found["name"] or "").lower()
        if not name:
            parts.append("&lt;" if found[0] == "<" else "" if found[0].startswith("<") else found[0])
            continue
        if name not in nh3.ALLOWED_TAGS:
            continue
        elements += not end
        if elements > MOST_ELEMENTS:
            raise Unreadable(f"it has more than {MOST_ELEMENTS:,} elements")
        if name in _TABLE:  # formatting goes neither into a table nor out of its cells
            parts.extend(f"</{each}>" for each, _ in reversed(still))
            still.clear()
        if end:
            parts.append(f"</{name}>")
        else:
            if name == "a" and any(each == name for each, _ in still):  # none stands in another
                parts.append("</a>")
                still = [each for each in still if each[0] != name]
            parts.append(f"<{name}{_kept(found['attributes'])}>")
        if name in _FORMATTING and not end:
            still.append((name, len(parts[-1]) + len(name) + 3))
        elif name in _FORMATTING:
            last = next((n for n in range(len(still) - 1, -1, -1) if still[n][0] == name), None)
            if last is not None:
                del still[last]
        elif name not in _CLOSES_ITSELF:
            depth = max(0, depth - 1) if end else depth + 1
        left -= sum(size for _, size in still)
        if left < 0:
            raise Unreadable("elements that are never closed would be written too often")
        if len(still) + depth > MOST_DEEP:
            raise Unreadable(f"its elements stand more than {MOST_DEEP} deep in each other")
    return "".join(parts)


def _kept(attributes: str) -> str:
    """Those that Markdown can say, each once."""
    found: dict[str, str] = {}
    for name, value in _ATTRIBUTE.findall(attributes):
        bare = value[1:-1] if value[:1] in ("'", '"') else value
        found.setdefault(name.lower(), f' {name.lower()}="{escape(unescape(bare))}"')
    return "".join(found.values())


def _not_too_deep(html: str) -> None:
    """
    Raises:
        Unreadable: quotes and lists write something before every line of what they hold, and Markdown reads 20 of them.
    """
    depth = 0
    for end in _NESTED.findall(html):
        depth += -1 if end else 1
        if depth > MOST_NESTED:
            raise Unreadable(f"its lists and quotes stand more than {MOST_NESTED} deep in each other")
