"""What went wrong in one attempt, ready to be stored: no secret, never without a message, text that can be written."""

import hashlib
import re
import traceback
from dataclasses import dataclass

from app.core.logging import redact

MAX_MESSAGE = 2_000
MAX_STACK = 20_000
LONGEST_WAIT_S = 3600.0
"""Nobody else's word keeps a job waiting for longer."""
_VARIABLE = re.compile(r"0x[0-9a-f]+|[0-9a-f]{8}-[0-9a-f-]{27}|\d+|'[^']*'|\"[^\"]*\"", re.I)


class Unrecoverable(Exception):
    """Raised by a processor: trying again cannot help, so the job goes to the dead letters at once."""


class AskedToWait(Exception):
    """Its kinds may say how long to wait at least before the next attempt, as a busy service does: `least_wait_s`."""

    least_wait_s: float | None = None


class Superseded(Exception):
    """This attempt is no longer the job's current one; its transaction must not commit."""


class RecordAway(Exception):
    """The record of work could not be reached, which is not the job's fault."""


@dataclass(frozen=True, slots=True)
class Failure:
    """`fingerprint` is equal for errors of one cause: class, place, and message without its variable parts."""

    error_class: str
    message: str
    stack: str
    fingerprint: str
    final: bool = False
    least_wait_s: float = 0.0
    """Before the next attempt, where the error has said so; never longer than LONGEST_WAIT_S."""

    @classmethod
    def of(cls, error: BaseException) -> "Failure":
        message = plain(said(error))[:MAX_MESSAGE]
        frames = traceback.extract_tb(error.__traceback__)
        place = f"{frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].name}" if frames else ""
        stack = plain("".join(traceback.format_exception(error)))[-MAX_STACK:]
        name = type(error).__name__
        least = error.least_wait_s or 0.0 if isinstance(error, AskedToWait) else 0.0
        final = isinstance(error, Unrecoverable)
        return cls(name, message, stack, fingerprint(name, place, message), final, min(least, LONGEST_WAIT_S))

    @classmethod
    def told(cls, error_class: str, message: str) -> "Failure":
        """A failure that was reported to us instead of caught by us."""
        text = plain(message or error_class)[:MAX_MESSAGE]
        return cls(error_class, text, "", fingerprint(error_class, "", text))


def plain(text: str) -> str:
    """Without secrets, and without what PostgreSQL or Redis refuse: U+0000 and lone surrogates."""
    shown = str(redact(text)).replace("\0", "\N{SYMBOL FOR NULL}")
    return shown.encode("utf-8", "replace").decode()


def said(error: BaseException) -> str:
    """What the error says, or its class where it says nothing or cannot even be asked."""
    try:
        return str(error) or type(error).__name__
    except Exception:
        return type(error).__name__


def fingerprint(error_class: str, place: str, message: str) -> str:
    """16 hexadecimal digits."""
    constant = _VARIABLE.sub("#", message)
    return hashlib.sha256(f"{error_class}\0{place}\0{constant}".encode()).hexdigest()[:16]
