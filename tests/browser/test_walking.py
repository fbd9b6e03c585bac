"""The walk over all addresses sees each kind of thing, and has an end."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any, cast

import pytest
from httpx2 import Response

from tests.browser import walking
from tests.browser.furnished import Furnished
from tests.browser.walking import HOME, Walk


@dataclass
class Site:
    """Stands in for the owner's browser; `names` says which addresses the page at an address names."""

    names: Callable[[str], list[str]]

    def under(self, chain: str) -> None: ...

    async def get(self, address: str, *, fragment: bool) -> Response:
        links = "".join(f'<a href="{each}"></a>' for each in self.names(address))
        return Response(404 if "gone" in address else 200, html=links)


def walk(names: Callable[[str], list[str]], alike: int = 2) -> Walk:
    return Walk(Furnished(cast(Any, Site(names)), "http://localhost", "", "/dashboard/t/press"), alike)


async def test_each_value_and_each_set_of_fields_is_tried_but_not_all_of_them_together() -> None:
    states = [f"state={each}" for each in "abcdefgh"]
    sorts = [f"sort={each}" for each in "stuvwxyz"]
    everything = [f"{HOME}/jobs?{each}&{other}" for each in states for other in sorts]
    found = await walk(lambda page: [f"{HOME}/jobs?{each}" for each in states + sorts] + everything).go()
    assert found.broken == []
    assert {f"{HOME}/jobs?{each}" for each in states + sorts} <= found.pages.keys()
    assert sum("&" in page for page in found.pages) == 2


async def test_rows_are_alike_but_what_is_dead_behind_a_value_is_found() -> None:
    rows = [f"{HOME}/jobs/0198{n:04x}-0000-7000-8000-000000000000" for n in range(9)]
    found = await walk(lambda page: [*rows, f"{HOME}/jobs?state=gone"] if page == HOME else []).go()
    assert found.asked[f"{HOME}/jobs/{{id}}"] == 2
    assert found.broken == [f"{HOME}/jobs?state=gone on {HOME} answers 404"]


@pytest.mark.parametrize("between", ["?after=", "/"])
async def test_what_breeds_addresses_ends_the_walk_with_its_name(between: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walking, "MOST_OF_A_KIND", 20)
    monkeypatch.setattr(walking, "MOST", 40)
    numbers = count()
    found = await walk(lambda page: [f"{HOME}/log{between}{next(numbers)}"] if "owner" in page else []).go()
    assert len(found.broken) == 1
    assert f"{HOME}/log{between}" in found.broken[0]
