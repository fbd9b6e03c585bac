"""Follows what the pages of the dashboards name, until there is nothing of a new kind to see."""

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import uuid4

from tests.browser.addresses import addresses, kind, shape, values
from tests.browser.furnished import Furnished

HOME = "/dashboard/owner"
AT_ONCE = 3  # requests; the server answers one while another is read
MOST_OF_A_KIND, MOST = 300, 6000  # requests; who needs more breeds addresses


class Link(NamedTuple):
    address: str
    fragment: bool
    named_by: str


@dataclass
class Found:
    """`pages` holds the length of every page that was reached; `broken` what does not answer, and who names it;
    `asked` how often each kind of place was asked."""

    pages: dict[str, int] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)

    def fullest(self, home: str = "/") -> list[str]:
        """The fullest page of each kind that stands under `home`."""
        by_length = sorted(self.pages, key=self.pages.__getitem__)
        return list({kind(page): page for page in by_length if page.startswith(home)}.values())


class Walk:
    """From the overviews of the owner and of a tenant's members, over so many addresses of one shape.

    An address is followed if it is among the first `alike` that differ in nothing but an id, a page of a list or a
    value; or if no other had that value of that field. The nearest come first: a filter alone, then with others.
    """

    def __init__(self, furnished: Furnished, alike: int) -> None:
        self.found = Found()
        self._furnished, self._alike = furnished, alike
        self._todo = deque(Link(home, False, "the menu") for home in (HOME, furnished.members))
        self._noticed = {(link.address, link.fragment) for link in self._todo}
        self._seen = Counter[tuple[str, bool]]()

    async def go(self) -> Found:
        # Who reads a trace is written down, and that has a trace of its own: of one chain, so that there is an end.
        self._furnished.owner.under(str(uuid4()))
        while batch := self._batch():
            if self.found.asked.total() > MOST:
                most = self.found.asked.most_common(5)
                self.found.broken.append(
                    f"there is no end after {MOST} requests; most went to {most}, {batch[-1]} next"
                )
                break
            await asyncio.gather(*(self._follow(link) for link in batch))
        return self.found

    def _batch(self) -> list[Link]:
        batch: list[Link] = []
        while self._todo and len(batch) < AT_ONCE:
            link = self._todo.popleft()
            if self._is_new(link):
                batch.append(link)
        return batch

    def _is_new(self, link: Link) -> bool:
        alike = (shape(link.address), link.fragment)
        in_query = {(value, link.fragment) for value in values(link.address)}
        if self._seen[alike] >= self._alike and in_query <= self._seen.keys():
            return False
        self._seen.update({alike, *in_query})
        place = kind(link.address)
        self.found.asked[place] += 1
        if self.found.asked[place] == MOST_OF_A_KIND:
            self.found.broken.append(f"{place} breeds: {MOST_OF_A_KIND} unlike addresses, the last {link}")
        return self.found.asked[place] < MOST_OF_A_KIND

    async def _follow(self, link: Link) -> None:
        answer = await self._furnished.owner.get(link.address, fragment=link.fragment)
        if answer.status_code >= 400:
            self.found.broken.append(f"{link.address} on {link.named_by} answers {answer.status_code}")
        elif answer.headers["content-type"].startswith("text/html"):
            if not link.fragment:
                self.found.pages[link.address] = len(answer.text)
            for each in sorted(addresses(answer.text, f"{self._furnished.address}{link.address}") - self._noticed):
                self._noticed.add(each)
                self._todo.append(Link(*each, link.address))
