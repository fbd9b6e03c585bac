"""What a page lets people do, programs and commands can do too, under the same name in the audit log."""

from pathlib import Path

import pytest

from app.cli import PANELS, main
from tests.architecture.commands import actions_of, commands

RIGHTS = Path(__file__).with_name("rights.txt")
COMMANDS = Path(__file__).with_name("commands.txt")
# What is a matter of a page alone, and why.
OF_PAGES = {
    "email.template.preview": "shows what a form would say, and changes nothing",
    "impersonation.start": "gives a browser another session; a program is nobody's eyes",
}
# What has no command of its own, and why.
WITHOUT_COMMAND = {
    "audit.verify": "`teknav audit verify` compares at once, and keeps its verdict as the job does that this asks for",
    "dlq.remove": "a dead letter is a job: `teknav queues remove` takes it out of every list, as job.remove",
    "view.create": "a place in a person's browser; who types commands keeps them in a script",
    "view.remove": "the same",
}
# Their service makes the action's name of the kind of credential, which no reading of its source tells.
NAMED_AT_RUN_TIME = ("client.", "token.")
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


@pytest.mark.promise("S4-59")
def test_every_control_of_the_owners_pages_has_a_command() -> None:
    known = dict(commands())
    lines = [line.split(maxsplit=2) for line in COMMANDS.read_text().splitlines() if not line.startswith("#")]
    beside = {(permission, action): words for permission, action, words in lines}
    controls = set(changes("/dashboard/owner"))
    assert {right for right in controls - set(beside) if right[1] not in OF_PAGES | WITHOUT_COMMAND} == set()
    assert set(beside) - controls == set() and len(beside) == len(lines), "a line of commands.txt that nothing needs"
    assert set(beside.values()) - set(known) == set(), "there is no such command"
    idle = {
        words: action
        for (_, action), words in beside.items()
        if not action.startswith(NAMED_AT_RUN_TIME) and action not in actions_of(known[words])
    }
    assert idle == {}, "a command that cannot write this action"


def test_what_has_no_command_is_still_a_control() -> None:
    actions = {action for _, action in changes("/dashboard/owner")}
    assert set(WITHOUT_COMMAND) <= actions
    assert not set(WITHOUT_COMMAND) & {line.split()[1] for line in COMMANDS.read_text().splitlines()[1:]}


def test_the_help_has_every_command_in_one_panel() -> None:
    grouped = [command for commands in PANELS.values() for command in commands]
    assert {command.name for command in grouped} == {each.name for each in main.commands.values() if not each.hidden}
    assert len(grouped) == len(set(grouped))
    assert [panel.name for panel in main.panels] == list(PANELS)
