"""Mail templates on the wire."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import Meta, Struct, convert, field

from app.core.wire import Incoming, Outgoing
from app.modules.email_templates.models import EmailTemplate, EmailTemplateVersion

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
