"""Which addresses a page names, and which of them are alike."""

import re
from html.parser import HTMLParser
from urllib.parse import urldefrag, urljoin, urlsplit

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
CURSOR = re.compile(r"(?<=[?&]cursor=)[^&]+")
QUEUE = re.compile(r"(?<=/queues/)[^/?]+|(?<=pause-)[\w-]+")


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


def shape(text: str) -> str:
    """Alike for addresses that differ only in the row they are about, or in the page of a list."""
    return CURSOR.sub("{cursor}", UUID.sub("{id}", text))


def kind(text: str) -> str:
    """Alike for all queues, and all filters of a list, too."""
    return QUEUE.sub("{queue}", shape(text)).partition("?")[0]
