"""Group commits: what is gathered, who waits for the next group, and who suffers for whom."""

import asyncio
from collections.abc import Sequence

import pytest

from app.queues.group_commit import GroupCommit


class Book:
    """Writes groups of (subject, speaker) and keeps what it wrote."""

    def __init__(self) -> None:
        self.groups: list[list[tuple[str, str]]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.commits = GroupCommit(self.write, lambda item: item)

    async def write(self, items: Sequence[tuple[str, str]]) -> list[str]:
        self.groups.append(list(items))
        await self.gate.wait()
        if any(subject == "away" for subject, _ in items):
            raise ConnectionRefusedError
        if any(subject == "bad" for subject, _ in items):
            raise ValueError("bad")
        return [f"{subject} {speaker}" for subject, speaker in items]


async def test_what_comes_during_a_write_makes_up_the_next_group() -> None:
    book = Book()
    book.gate.clear()
    first = book.commits.put(("a", "1"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    others = [book.commits.put((name, "1")) for name in "bcd"]
    book.gate.set()
    assert await asyncio.gather(first, *others) == ["a 1", "b 1", "c 1", "d 1"]
    assert [len(group) for group in book.groups] == [1, 3]


async def test_two_who_speak_of_one_subject_are_heard_one_after_the_other() -> None:
    book = Book()
    one, other = "one", "other"
    told = [book.commits.put(("job", one)), book.commits.put(("job", other)), book.commits.put(("job", one))]
    assert await asyncio.gather(*told) == ["job one", "job other", "job one"]
    assert book.groups == [[("job", "one"), ("job", "one")], [("job", "other")]]


async def test_one_that_cannot_be_written_does_not_harm_the_others() -> None:
    book = Book()
    told = [book.commits.put((name, "1")) for name in ("a", "bad", "c")]
    answers = await asyncio.gather(*told, return_exceptions=True)
    assert (answers[0], answers[2]) == ("a 1", "c 1")
    assert isinstance(answers[1], ValueError)


async def test_a_database_that_is_away_is_asked_once_for_all() -> None:
    book = Book()
    told = [book.commits.put((name, "1")) for name in ("a", "away", "c")]
    answers = await asyncio.gather(*told, return_exceptions=True)
    assert all(isinstance(answer, ConnectionRefusedError) for answer in answers)
    assert len(book.groups) == 1
    assert await book.commits.put(("back", "1")) == "back 1"


async def test_who_leaves_does_not_hold_the_others_up() -> None:
    book = Book()
    book.gate.clear()
    leaving, staying = book.commits.put(("a", "1")), book.commits.put(("b", "1"))
    await asyncio.sleep(0)
    leaving.cancel()
    book.gate.set()
    assert await staying == "b 1"
    with pytest.raises(asyncio.CancelledError):
        await leaving
