"""ETags: a row's version in quotes, and the `If-Match` that says which one a change was made on."""

import re
from typing import Annotated

from litestar.params import HeaderParameter

from app.core.errors import Stale

IfMatch = Annotated[str | None, HeaderParameter(name="If-Match", description="the ETag it must still have")]
Expected = set[int] | None
"""The versions a change may meet; None for any."""

_TAG = re.compile(r'"(\d{1,9})"')


def etag(version: int) -> dict[str, str]:
    return {"ETag": f'"{version}"'}


def versions(if_match: str | None) -> Expected:
    """The versions that `If-Match: "3", "4"` names; None for `*` or no header. A tag that is not ours matches none."""
    if if_match is None or if_match.strip() == "*":
        return None
    tags = (_TAG.fullmatch(tag.strip()) for tag in if_match.split(","))
    return {int(tag[1]) for tag in tags if tag}


def require(version: int, expected: Expected, what: str) -> None:
    """
    Raises:
        Stale: `what` is at another version by now.
    """
    if expected is not None and version not in expected:
        raise Stale(f"Somebody changed this {what} in the meantime; it is at version {version}")
