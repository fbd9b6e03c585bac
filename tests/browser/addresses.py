"""Which addresses a page names, and which of them are alike."""

import re
from html.parser import HTMLParser
from urllib.parse import parse_qsl, urldefrag, urljoin, urlsplit

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
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


def kind(text: str) -> str:
    """Alike for addresses that differ only in the row or queue they are about, or in what is asked in the query."""
    return QUEUE.sub("{queue}", UUID.sub("{id}", text)).partition("?")[0]


def shape(address: str) -> str:
    """Alike for addresses of one kind that ask with the same fields, whatever their values."""
    return f"{kind(address)}?{'&'.join(sorted(name for name, _ in _query(address)))}"


def values(address: str) -> set[str]:
    """Each value that a field has here; ids are alike, and so are the pages of a list. A queue's name is a value."""
    of_queue = {queue[0] for queue in QUEUE.finditer(address.partition("?")[0])}
    in_query = {f"{name}={'' if name == 'cursor' else UUID.sub('{id}', value)}" for name, value in _query(address)}
    return {f"{kind(address)} {value}" for value in of_queue | in_query}


def _query(address: str) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(address).query, keep_blank_values=True)
