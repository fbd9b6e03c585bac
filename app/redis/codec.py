"""How a cached value lies in Redis: one line about it, then JSON, which is compressed where that pays."""

import secrets
import zlib
from typing import NamedTuple

MOST_BYTES = 512 * 1024
"""A stored value is not larger, with its first line and after compression; a larger one is not kept."""
COMPRESSED_FROM = 16 * 1024
"""From here on zlib takes off two thirds of a list of rows, and more, in less than a third of a millisecond."""
_LEVEL = 1
_PLAIN, _DEFLATED = "p", "z"


class Stored(NamedTuple):
    """A value as it was read: its whole life in milliseconds, the marks of its tags at the time, and its JSON."""

    life_ms: int
    marks: list[str]
    body: bytes


def new_mark() -> str:
    """What no other has: a tag whose mark was lost and made anew never looks as before."""
    return secrets.token_hex(6)


def pack(body: bytes, life_ms: int, marks: list[str]) -> bytes:
    form = _PLAIN
    if len(body) >= COMPRESSED_FROM:
        deflated = zlib.compress(body, _LEVEL)
        if len(deflated) < len(body):
            form, body = _DEFLATED, deflated
    return f"{form} {life_ms} {','.join(marks)}\n".encode() + body


def unpack(text: str) -> Stored:
    """
    Args:
        text: as the link reads it; bytes that are no UTF-8 are surrogates.

    Raises:
        ValueError: this is none of ours.
    """
    line, _, rest = text.partition("\n")
    form, life_ms, marks = line.split(" ")
    body = rest.encode("utf-8", "surrogateescape")
    if form == _DEFLATED:
        try:
            body = zlib.decompress(body)
        except zlib.error as error:
            raise ValueError(str(error)) from error
    elif form != _PLAIN:
        raise ValueError(f"unknown form {form!r}")
    return Stored(int(life_ms), marks.split(",") if marks else [], body)
