"""Translations on the wire."""

from collections.abc import Sequence
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta, field

from app.core.wire import Incoming, Outgoing
from app.modules.articles.service import Body, Language, Slug, Status, Title

Origin = Annotated[Literal["human", "ai"], Meta(description="Who translated it")]


class TranslationCreate(Incoming):
    """A translation to be written. What is left out is taken from the original, to be translated in its place.

    It begins under the original's tags and categories, which are its own from then on.
    """

    language: Language
    title: Title | None = None
    body: Body | None = None
    slug: Slug | None = None
    origin: Origin = "human"


class TranslationRead(Outgoing):
    """A translation. `status` and `publishedVersion` are those of its article.

    `stale` says that the original moved on: what readers see of it, or its draft where they see nothing, is newer than
    `sourceVersion`.
    """

    article_id: UUID
    source_id: UUID
    language: str
    title: str
    status: Status
    published_version: int | None
    source_version: int
    stale: bool
    origin: Origin


class TranslationList(Outgoing):
    """The translations of an article, by language."""

    items: Sequence[TranslationRead]


class TranslationForm(Incoming):
    """The dashboard's form."""

    language: Language
    csrf_token: str = field(name="_csrf_token", default="")
