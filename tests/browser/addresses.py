"""Which addresses a page names, and which of them are alike."""

import re
from html.parser import HTMLParser
from urllib.parse import parse_qsl, urldefrag, urljoin, urlsplit

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
QUEUE = re.compile(r"(ai|workflow|plugin|analytics|email|platform)(:|-|%3A)(content|seo|runtime|webhooks|process|outbound|tasks)")


class _Named(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[tuple[str, bool]] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        for name in ("href", "src", "action"):
            if given.get(name) and not (name == "action" and given.get("method") == "post"):
                self.found.add((given[name], False))
        if given.get("hx-get"):
            self.found.add((given["hx-get"], True))


def addresses(page: str, base: str) -> set[tuple[str, bool]]:
    """What can be fetched from here: path and query, and whether htmx asks for it, as a fragment."""
    parser = _Named()
    parser.feed(page)
    own = urlsplit(base).netloc
    found = set()
    for href, fragment in parser.found:
        parts = urlsplit(urldefrag(urljoin(base, href)).url)
        if parts.scheme in ("http", "https") and parts.netloc == own:
            found.add((parts.path + (f"?{parts.query}" if parts.query else ""), fragment))
    return found


def shape(address: str) -> str:
    """Alike for pages that differ only in the row, the queue or the filter they are about."""
    parts = urlsplit(address)
    names = sorted({name for name, _ in parse_qsl(parts.query)})
    return plain(parts.path) + (f"?{'&'.join(names)}" if names else "")


def plain(text: str) -> str:
    return QUEUE.sub("{queue}", UUID.sub("{id}", text))
