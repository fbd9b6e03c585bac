"""Jinja and Markdown: what a version of a template says with these values."""

import secrets
from collections.abc import Mapping, Sequence
from html import escape
from re import compile as pattern
from typing import Any

import nh3

from app.core.errors import Invalid
from app.core.logging import redact
from app.core.markdown import LONGEST_HTML, MARKDOWN, bounded, parsed
from app.core.sandbox import SandboxedText, Unfit
from app.modules.email_templates.schemas import MAX_LIST, MAX_SUBJECT, MAX_TEXT, EmailVariable, Written

MOST_BRACKETS = 1_000  # each may begin a link, and takes the parser long to find out
RESERVED = ("loop", "self")
KINDS: dict[str, type | tuple[type, ...]] = {"text": str, "number": (int, float), "flag": bool, "list": list}
NONE: dict[str, Any] = {"text": "", "number": None, "flag": False, "list": []}
"""What stands for a variable that nobody gave."""
_PICTURELESS = nh3.Cleaner(tags=nh3.ALLOWED_TAGS - {"img"}, url_schemes={"http", "https", "mailto"})
_CLEANER = nh3.Cleaner(url_schemes={"http", "https", "mailto"}, link_rel=None)


def checked(subject: str, body: str, variables: Sequence[EmailVariable]) -> None:
    """Whether this can be a template: read, fitting its variables, and filled with their samples.

    Raises:
        Invalid: naming the field.
    """
    known: set[str] = set()
    for n, variable in enumerate(variables):
        field = f"variables[{n}].name"
        if variable.name in known or variable.name in RESERVED:
            raise Invalid.field(field, "is there already" if variable.name in known else "means something else here")
        if redact("x", variable.name) != "x":
            raise Invalid.field(field, "is what secrets are called, and values of mails are kept in the log")
        known.add(variable.name)
    for name, text in (("subject", subject), ("body", body)):
        if "\0" in text:
            raise Invalid.field(name, "must not contain the character U+0000")
        if unknown := sorted(_read(name, text).names - known):
            raise Invalid.field(name, f"uses {', '.join(unknown)}, which variables do not name")
    samples = {one.name: one.sample for one in variables if one.sample is not None}
    written(subject, body, fitting(variables, samples, "variables", samples_only=True))


def fitting(
    variables: Sequence[EmailVariable], given: Mapping[str, Any], field: str = "values", *, samples_only: bool = False
) -> dict[str, Any]:
    """The values of every variable.

    Args:
        samples_only: nothing is required; what has no sample shows its own name.

    Raises:
        Invalid: one is missing, not known, or not what it was declared to be.
    """
    for name in sorted(given.keys() - {one.name for one in variables}):
        raise Invalid.field(f"{field}.{name}", "is not a variable of this template")
    found: dict[str, Any] = {}
    for one in variables:
        value = given.get(one.name)
        if value is None:
            if one.required and not samples_only:
                raise Invalid.field(f"{field}.{one.name}", "is required")
            found[one.name] = f"[{one.name}]" if samples_only and one.kind == "text" else NONE[one.kind]
            continue
        wrong = _wrong(one.kind, value)
        if wrong:
            raise Invalid.field(f"{field}.{one.name}", wrong)
        found[one.name] = value
    return found


def _wrong(kind: str, value: Any) -> str | None:
    kinds: Any = KINDS[kind]
    if not isinstance(value, kinds) or (kind != "flag" and isinstance(value, bool)):
        return f"must be a {kind}"
    if kind == "text" and (len(value) > MAX_TEXT or "\0" in value):
        return f"must have at most {MAX_TEXT:,} characters, without U+0000"
    if redact(value) != value:
        return "holds a secret, and values of mails are kept in the log"
    if kind == "list":
        return _wrong_list(value)
    return None


def _wrong_list(value: list[Any]) -> str | None:
    if len(value) > MAX_LIST:
        return f"must have at most {MAX_LIST} items"
    for row in value:
        fields = list(row.values()) if isinstance(row, dict) else [row]
        texts = [cell for cell in fields if isinstance(cell, str)]
        if not all(cell is None or isinstance(cell, (str, int, float)) for cell in fields):
            return "must have texts and numbers, or objects of them"
        if any(len(cell) > MAX_TEXT or "\0" in cell for cell in texts) or len(fields) > MAX_LIST:
            return f"has a text of more than {MAX_TEXT:,} characters, or U+0000 in one"
    return None


def written(subject: str, body: str, values: Mapping[str, Any]) -> Written:
    """
    Raises:
        Invalid: naming the field.
    """
    line = " ".join(_filled("subject", _read("subject", subject), values).split())
    if not 0 < len(line) <= MAX_SUBJECT:
        raise Invalid.field("subject", f"must become 1 to {MAX_SUBJECT} characters")
    text = _read("body", body)
    return Written(line, _filled("body", text, values).strip() + "\n", _html(text, values))


def without_pictures(html: str) -> str:
    """HTML that was made here, for a page of ours."""
    return _PICTURELESS.clean(html)


def _html(body: SandboxedText, values: Mapping[str, Any]) -> str:
    # A value is put in after Markdown was read, so that nothing in it can be Markdown, or HTML. Until then a word that
    # nobody can guess holds its place, and stays one word wherever it stands: in text, code or a link's address.
    mark, kept = f"x{secrets.token_hex(8)}x", list[str]()

    def keep(value: Any) -> str:
        kept.append(str(value))
        return f"{mark}{len(kept) - 1}x"

    text = _filled("body", body, values, keep)
    if text.count("[") > MOST_BRACKETS:
        raise Invalid.field("body", f"must not have more than {MOST_BRACKETS} opening brackets")
    html, place = MARKDOWN.renderer.render(parsed(text), MARKDOWN.options, {}), pattern(f"{mark}(\\d+)x")
    # A value may stand in the address of a link that is used many times.
    if len(html) + sum(len(kept[int(found[1])]) for found in place.finditer(html)) > LONGEST_HTML:
        raise Invalid.field("body", f"becomes more than {LONGEST_HTML:,} characters of HTML")
    return bounded(_CLEANER.clean(place.sub(lambda found: escape(kept[int(found[1])]), html)))


def _read(field: str, text: str) -> SandboxedText:
    try:
        return SandboxedText(text)
    except Unfit as error:
        raise Invalid.field(field, str(error)) from error


def _filled(field: str, text: SandboxedText, values: Mapping[str, Any], write: Any = str) -> str:
    try:
        return text.fill(values, write)
    except Unfit as error:
        raise Invalid.field(field, str(error)) from error
