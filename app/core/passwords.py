"""People's passwords: which are good enough, and the argon2 hashes that are stored instead of them."""

import asyncio
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Annotated, Any, TypeVar

from msgspec import Meta
from pwdlib import PasswordHash

from app.core.secrets import new_secret

T = TypeVar("T")
MIN_PASSWORD, MAX_PASSWORD = 12, 1024
Password = Annotated[str, Meta(max_length=MAX_PASSWORD)]
"""One as somebody sends it, good enough or not."""
# Argon2 wants 64 MB and a core for each password: two at a time, whoever knocks.
_THREADS = ThreadPoolExecutor(2, "argon2")
_ARGON2 = PasswordHash.recommended()
# What people take when they are asked for twelve characters and think of none.
_COMMON = (
    *("password", "passwort", "qwertyuiop", "qwerty", "asdfghjkl", "asdf", "zxcvbnm", "letmein", "welcome", "admin"),
    *("administrator", "iloveyou", "teknav", "dragon", "monkey", "football", "sunshine", "princess", "secret", "login"),
    *("abc", "abcdefghijklmnopqrstuvwxyz", "changeme", "trustno", "superman", "whatever", "computer", "internet"),
)


def weakness(password: str, email: str) -> str | None:
    """Why this is no password for the person with this address; None where it is good enough."""
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        return f"must have {MIN_PASSWORD} to {MAX_PASSWORD} characters"
    lower = password.lower()
    local = email.partition("@")[0]
    if email and (email in lower or (len(local) > 3 and lower.replace(local, "").strip("0123456789!?.-_@# ") == "")):
        return "must not be your e-mail address"
    letters = re.sub(r"[\W\d_]+", "", lower)
    digits = re.sub(r"\D", "", lower)
    if len(set(lower)) < 5 or (not letters and digits in "0123456789" * 4 + "9876543210" * 4):
        return "is too easy to guess: use more different characters"
    if letters and any(not letters.replace(word, "") for word in _COMMON):
        return "is too easy to guess: use a few words that do not belong together"
    return None


async def hash_of(password: str) -> str:
    """Half a second of a core: call it before a transaction begins, and `matches` outside of one."""
    return await _in_thread(_ARGON2.hash, password)


async def matches(password: str, hashed: str | None) -> bool:
    """Whether it is the password; without a hash it is not, and that takes as long."""
    return await _in_thread(_matches, password, hashed)


async def _in_thread(work: Callable[..., T], *arguments: Any) -> T:
    return await asyncio.get_running_loop().run_in_executor(_THREADS, work, *arguments)


def _matches(password: str, hashed: str | None) -> bool:
    # An unknown e-mail takes as long as a wrong password, or it would tell which accounts exist.
    decoy = _decoy()
    return _ARGON2.verify(password, hashed or decoy) and hashed is not None


@cache
def _decoy() -> str:
    return _ARGON2.hash(new_secret())
