"""docs/promises.md tells what the tests prove."""

from tests.promises import PAGE, page


def test_the_page_of_promises_is_as_the_marks_are() -> None:
    assert PAGE.read_text() == page(), "run `python -m tests.promises`"
