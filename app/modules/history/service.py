"""The rules of comparing versions."""

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Literal, get_args
from uuid import UUID

from app.core.threads import in_thread
from app.modules.articles.service import ArticleService, ArticleVersion
from app.modules.history.schemas import Comparison, FieldChange, Line

Field = Literal["title", "slug", "language"]
FIELDS: tuple[Field, ...] = get_args(Field)
AROUND = 3
MOST_PAIRS = 2_000_000
"""Lines of one body times lines of the other, without what both begin and end with: about a second's work."""
Block = tuple[str, int, int, int, int]


async def pair(
    articles: ArticleService, article_id: UUID, number: int, since: int | None
) -> tuple[ArticleVersion, ArticleVersion]:
    """An earlier version and a later one, in this order; without `since` the one before. The first has none before it.

    Raises:
        NotFound: there is no such article or version.
    """
    after = await articles.version(article_id, number)
    since = max(1, number - 1) if since is None else since
    before = after if since == number else await articles.version(article_id, since)
    return before, after


async def compare(before: ArticleVersion, after: ArticleVersion) -> Comparison:
    """What changed from `before` to `after`."""
    fields = [
        FieldChange(field=name, before=before.snapshot[name], after=after.snapshot[name])
        for name in FIELDS
        if before.snapshot[name] != after.snapshot[name]
    ]
    old, new = (_lines(version.snapshot["body"]) for version in (before, after))
    hunks, exact = await in_thread(_compared, old, new)
    return Comparison(before=before.number, after=after.number, fields=fields, hunks=hunks, exact=exact)


def _lines(body: str) -> list[str]:
    return body.replace("\r\n", "\n").split("\n") if body else []


def _compared(old: Sequence[str], new: Sequence[str]) -> tuple[list[list[Line]], bool]:
    start = _common(old, new)
    end = _common(old[start:][::-1], new[start:][::-1])
    left, right = old[start : len(old) - end], new[start : len(new) - end]
    if not left and not right:
        return [], True
    exact = len(left) * len(right) <= MOST_PAIRS
    blocks: list[Block] = [("equal", 0, start, 0, start)]
    inner = SequenceMatcher(None, left, right, autojunk=False).get_opcodes() if exact else [_whole(left, right)]
    blocks += [(tag, i + start, j + start, k + start, m + start) for tag, i, j, k, m in inner]
    blocks.append(("equal", len(old) - end, len(old), len(new) - end, len(new)))
    return list(_hunks(blocks, old, new)), exact


def _common(left: Sequence[str], right: Sequence[str]) -> int:
    """With how many equal lines both begin."""
    pairs = enumerate(zip(left, right, strict=False))
    return next((n for n, (one, other) in pairs if one != other), min(len(left), len(right)))


def _whole(left: Sequence[str], right: Sequence[str]) -> Block:
    return ("replace", 0, len(left), 0, len(right))


def _hunks(blocks: Sequence[Block], old: Sequence[str], new: Sequence[str]) -> Iterator[list[Line]]:
    hunk: list[Line] = []
    for n, (tag, i, j, k, m) in enumerate(blocks):
        if tag != "equal":
            hunk += [Line(kind="removed", before=at + 1, after=None, text=old[at]) for at in range(i, j)]
            hunk += [Line(kind="added", before=None, after=at + 1, text=new[at]) for at in range(k, m)]
            continue
        same = [Line(kind="same", before=at + 1, after=at - i + k + 1, text=old[at]) for at in range(i, j)]
        first, last = n == 0, n == len(blocks) - 1
        if not first and not last and len(same) <= 2 * AROUND:
            hunk += same
            continue
        if not first:
            yield hunk + same[:AROUND]
        hunk = [] if last else same[-AROUND:]
