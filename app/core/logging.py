"""Structured logs: one line per event, with the request, tenant and job it belongs to."""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from typing import Any

import msgspec
import structlog

from app.core.secrets import Secret
from app.core.settings import Settings

SECRET_NAME = re.compile(
    r"(^|_)pass$|pass(word|wd|phrase)|secret|token(_?hash)?$|api_?key|authorization|cookie|credential"
    r"|(private|encryption)_?key|otp$|csrf|dsn$",
    re.I,
)
_TOKENS = re.compile(r"tokens$", re.I)
"""Text under such a name is secret; numbers are not: models count their tokens."""
# Each begins at what is rare, so that it reads a text once: anybody may send a long one to be logged.
_URL_SECRET = re.compile(r"((?<=\w)://[^/\s:@]*):[^@\s/]+@")
_OWN_SECRET = re.compile(r"\b(tn_|cs_|own_|otp_|whsec_|Bearer )[\w.~+/-]{20,}=*")
_JWT = re.compile(r"(?<![\w-])(eyJ)[\w-]+\.eyJ[\w-]+\.[\w-]+")
_PARAMETER = re.compile(r"([?&;](\w{1,40})=)[^&;\s#\"'<>]+")
HIDDEN = "***"
_HIDDEN_PART = re.compile(
    rf"((?<=\w)://[^/\s:@]*:|\b(tn_|cs_|own_|otp_|whsec_|Bearer |eyJ)|[?&;]\w{{1,40}}=){re.escape(HIDDEN)}"
)


def redact(value: Any, name: str = "") -> Any:
    """A copy with secrets replaced by `***`, at any depth.

    A `Secret` is found by its type; other secrets by the name they stand under, and in running text, bytes and
    errors by their form: a password or a telling parameter in an address, a token of ours, a bearer header.
    """
    if isinstance(value, Secret):
        return HIDDEN
    if SECRET_NAME.search(name) and value is not None and not isinstance(value, bool):
        return HIDDEN
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.asdict(value)
    elif is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Mapping):
        return {redact(key): redact(item, str(key)) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [redact(item, name) for item in value]
    if isinstance(value, str):
        return HIDDEN if _TOKENS.search(name) else _in_text(value)
    if isinstance(value, (bytes, bytearray)):
        text = value.decode("utf-8", "replace")
        return value if (shown := redact(text, name)) == text else shown
    return _in_text(repr(value)) if isinstance(value, BaseException) else value


def _in_text(text: str) -> str:
    text = _URL_SECRET.sub(r"\1:" + HIDDEN + "@", text)
    text = _OWN_SECRET.sub(r"\1" + HIDDEN, _JWT.sub(r"\1" + HIDDEN, text))
    return _PARAMETER.sub(lambda found: found[1] + HIDDEN if SECRET_NAME.search(found[2]) else found[0], text)


def is_hidden(text: str) -> bool:
    """Whether a text is what `redact` makes of one: hidden as a whole, or with a hidden part."""
    return text == HIDDEN or _HIDDEN_PART.search(text) is not None


def _redact_event(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: redact(value, key) for key, value in event.items()}


class _Lines:
    """Standard error that never raises: a full disk under the log must not end what was only to be told of."""

    def write(self, text: str) -> None:
        with suppress(OSError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


def configure(settings: Settings) -> None:
    """Set structlog and the standard library's loggers up for this process; lines go to standard error."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    render: Any = structlog.processors.JSONRenderer()
    if settings.log_format == "console":
        render = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            # The rich one prints local variables, and with them passwords.
            exception_formatter=structlog.dev.plain_traceback,
        )
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper("iso", utc=True),
    ]
    # Before the redaction: the console's own tracebacks would print the local variables, secrets among them.
    closing = [structlog.processors.format_exc_info]
    structlog.configure(
        processors=[*shared, *closing, _redact_event, render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(_Lines()),  # type: ignore[arg-type]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[*closing, _redact_event, structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
            foreign_pre_chain=shared,
        )
    )
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)
