"""What a page lets people do, programs can do too, with the same right and under the same name in the audit log."""

from pathlib import Path

import pytest

RIGHTS = Path(__file__).with_name("rights.txt")
# What is a matter of a page alone, and why.
OF_PAGES = {
    "email.template.preview": "shows what a form would say, and changes nothing",
    "impersonation.start": "gives a browser another session; a program is nobody's eyes",
}
Right = tuple[str, str]


def changes(under: str) -> dict[Right, str]:
    """The permission and the action of each route there that changes something, with one of its addresses."""
    found = {}
    for line in RIGHTS.read_text().splitlines():
        method, permission, action, path = line.split() if line and not line.startswith("#") else ("GET", "", "", "")
        if method != "GET" and path.startswith(under):
            found[permission, action.removeprefix("owner.")] = f"{method} {path}"
    return found


@pytest.mark.promise("S4-59")
@pytest.mark.parametrize(("pages", "api"), [("/dashboard/owner", "/api/owner"), ("/dashboard/t/", "/api/")])
def test_every_control_of_a_page_has_its_place_in_the_api(pages: str, api: str) -> None:
    """What members do with members, roles and tokens is the owner's over the API: a token makes no other tokens."""
    controls, served = changes(pages), changes(api)
    missing = {right: where for right, where in controls.items() if right not in served and right[1] not in OF_PAGES}
    assert len(controls) > 30 and missing == {}


def test_what_only_pages_do_is_still_done_by_pages() -> None:
    done = {action for _, action in changes("/dashboard/")}
    assert set(OF_PAGES) <= done
