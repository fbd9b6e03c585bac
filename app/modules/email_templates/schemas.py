"""Mail templates on the wire."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta, Struct, convert, field

from app.core.errors import FieldError, Invalid
from app.core.wire import Incoming, Outgoing
from app.modules.email_templates.models import EmailTemplate, EmailTemplateVersion

V = TypeVar("V", bound=Incoming)
TRANSACTIONAL = "transactional"
MAX_NAME, MAX_SUBJECT, MAX_BODY, MAX_TEXT, MAX_LIST, MAX_VARIABLES = 80, 300, 20_000, 2_000, 200, 50
# `$` alone would let a line break through at the end.
SLUG = r"^[a-z0-9]+([-_][a-z0-9]+)*$(?!\n)"
Slug = Annotated[str, Meta(min_length=1, max_length=MAX_NAME, pattern=SLUG, examples=["order-shipped"])]
Category = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=40,
        pattern=SLUG,
        description="What recipients can unsubscribe from; `transactional` mails they cannot",
        examples=["newsletter"],
    ),
]
Subject = Annotated[str, Meta(min_length=1, max_length=MAX_SUBJECT, examples=["Order {{ number }} is on its way"])]
Body = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_BODY,
        description="Markdown with `{{ variable }}`, `{% if %}` and `{% for %}`",
        examples=["Hello {{ name }},\n\nyour order is on its way."],
    ),
]
Kind = Literal["text", "number", "flag", "list"]


class EmailVariable(Incoming):
    """A place of a template. A list has texts and numbers, or objects of them; `sample` is what the preview shows."""

    name: Annotated[str, Meta(pattern=r"^[a-z][A-Za-z0-9_]{0,39}$(?!\n)", examples=["name"])]
    kind: Kind = "text"
    required: bool = True
    sample: Any = None


class EmailTemplateVersionCreate(Incoming):
    """What a template says from now on; earlier versions stay as they are."""

    subject: Subject
    body: Body
    category: Category = TRANSACTIONAL
    variables: Annotated[list[EmailVariable], Meta(max_length=MAX_VARIABLES)] = field(default_factory=list)


class EmailTemplateCreate(EmailTemplateVersionCreate, kw_only=True):
    """A new template with its first version."""

    name: Slug


class EmailTemplateForm(Incoming):
    """The dashboard's form for both; `variables` is JSON, `version` the one that the person was looking at."""

    name: str = ""
    subject: str = ""
    body: str = ""
    category: str = ""
    variables: str = ""
    version: int | None = None
    csrf_token: str = field(name="_csrf_token", default="")

    def new(self) -> EmailTemplateCreate:
        """
        Raises:
            Invalid: naming the field.
        """
        return _fit(self._said() | {"name": self.name}, EmailTemplateCreate)

    def change(self) -> EmailTemplateVersionCreate:
        """
        Raises:
            Invalid: naming the field.
        """
        return _fit(self._said(), EmailTemplateVersionCreate)

    def _said(self) -> dict[str, Any]:
        try:
            variables = msgspec.json.decode(self.variables or "[]")
        except msgspec.DecodeError as error:
            raise Invalid.field("variables", f"is not JSON: {error}") from None
        # Browsers send CRLF.
        body = self.body.replace("\r\n", "\n")
        return {
            "subject": self.subject,
            "body": body,
            "category": self.category or TRANSACTIONAL,
            "variables": variables,
        }


def _fit(given: dict[str, Any], shape: type[V]) -> V:
    try:
        return convert(given, shape)
    except msgspec.ValidationError as error:
        found = FieldError.of_misfit(error, "variables")
        name, _, within = found.field.partition("[")
        raise Invalid.field(name, f"{found.message} (at {found.field})" if within else found.message) from None


def as_text(variables: Sequence[Any]) -> str:
    """Variables as the form has them: one a line."""
    lines = ",\n ".join(msgspec.json.encode(one).decode() for one in variables)
    return f"[{lines}]"


class EmailTemplateItem(Outgoing):
    """A template in a list. `latest` is the number of the version that is sent."""

    id: UUID
    tenant_id: UUID
    name: str
    latest: int
    created_at: datetime
    updated_at: datetime
    version: int


class EmailTemplateVersionRead(Outgoing):
    """One version of a template."""

    number: int
    subject: str
    body: str
    category: str
    variables: Sequence[EmailVariable]
    created_by: str
    created_at: datetime


class EmailTemplateRead(EmailTemplateItem):
    """A template with its latest version. `version` counts its changes and is its ETag."""

    current: EmailTemplateVersionRead


class EmailTemplatePage(Outgoing):
    """A page of templates, newest first."""

    items: Sequence[EmailTemplateItem]
    next_cursor: str | None
    prev_cursor: str | None


class EmailTemplateVersionList(Outgoing):
    """The versions of a template, newest first: the last hundred."""

    items: Sequence[EmailTemplateVersionRead]


class EmailPreview(Outgoing):
    """What a mail would say."""

    subject: str
    text: str
    html: str


class Written(Struct, frozen=True):
    """What a mail says: a line, plain text, and HTML in which nothing can run."""

    subject: str
    text: str
    html: str


def item(row: EmailTemplate) -> EmailTemplateItem:
    return convert(row, EmailTemplateItem, from_attributes=True)


def read_version(row: EmailTemplateVersion) -> EmailTemplateVersionRead:
    return convert(row, EmailTemplateVersionRead, from_attributes=True)


def read(row: EmailTemplate, current: EmailTemplateVersion) -> EmailTemplateRead:
    fields = {name: getattr(row, name) for name in EmailTemplateItem.__struct_fields__}
    return EmailTemplateRead(**fields, current=read_version(current))
