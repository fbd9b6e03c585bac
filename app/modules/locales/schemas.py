"""Languages and texts of the interface on the wire."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, DecodeError, Meta, UnsetType, ValidationError, convert, field, json

from app.core.errors import Invalid
from app.core.wire import Incoming, Outgoing
from app.modules.locales.models import Locale
from app.redis.cached import Cached

MAX_CODE, MAX_NAME, MAX_KEY, MAX_TEXT, MOST_PLACES = 35, 60, 200, 2_000, 10_000
MOST_LOCALES, MOST_TEXTS = 50, 5_000
KEY_RULE = f"at most {MAX_KEY} letters, digits, - and _, with single dots between the words"
Code = Annotated[str, Meta(min_length=2, max_length=MAX_CODE, description="BCP 47", examples=["de", "pt-BR"])]
LocaleName = Annotated[str, Meta(min_length=1, max_length=MAX_NAME, examples=["Deutsch"])]
Place = Annotated[int, Meta(ge=0, le=MOST_PLACES, description="Its place among the others; the smallest first")]
# `$` alone would let a line break through at the end.
Key = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$(?!\n)",
        max_length=MAX_KEY,
        description="Words with dots between them",
        examples=["menu.home"],
    ),
]
Text = Annotated[str, Meta(min_length=1, max_length=MAX_TEXT, examples=["Home"])]
Texts = Annotated[
    dict[Key, Text | None],
    Meta(
        min_length=1,
        max_length=MOST_TEXTS,
        description="By key; null deletes one",
        examples=[{"menu.home": "Home", "menu.old": None}],
    ),
]


@dataclass(frozen=True, slots=True)
class TextFilter:
    """Which keys: those with this in the key or in a text; those that a language lacks."""

    text: str | None = None
    missing: bool = False


class LocaleCreate(Incoming):
    """A new language. The first one is the default. Without a place it stands last."""

    code: Code
    name: LocaleName
    enabled: bool = True
    place: Place | None = None


class LocaleChange(Incoming):
    """What to change; fields that are left out stay as they are. `default` can only be given, not taken away."""

    name: LocaleName | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    place: Place | UnsetType = UNSET
    default: bool | UnsetType = UNSET


class LocaleRead(Outgoing):
    """A language. `texts` are those of its own; `missing` are keys of the default language that it lacks.

    `version` is also its ETag.
    """

    id: UUID
    code: str
    name: str
    default: bool
    enabled: bool
    place: int
    texts: int
    missing: int
    created_at: datetime
    updated_at: datetime
    version: int


class LocaleList(Outgoing):
    """A tenant's languages, in their places."""

    items: Sequence[LocaleRead]


class Bundle(Outgoing):
    """What the interface says in a language, by key. `missing` counts the keys that it lacks itself."""

    locale: str
    default_locale: str
    missing: int
    texts: dict[str, str]


class TextsChange(Incoming):
    """Texts to be written into a language, all or none. One that is deleted in the default language goes from all."""

    texts: Texts


class TextsChanged(Outgoing):
    """How many texts are other ones now, how many are gone, and how the language stands."""

    written: int
    deleted: int
    locale: LocaleRead


class LocaleForm(Incoming):
    """The dashboard's form of a language."""

    name: LocaleName
    code: str = ""
    place: str = ""
    enabled: bool = False
    version: int | None = None
    csrf_token: str = field(name="_csrf_token", default="")

    def new(self) -> LocaleCreate:
        """
        Raises:
            Invalid (`place`, `code`).
        """
        if not 2 <= len(self.code) <= MAX_CODE:
            raise Invalid.field("code", f"must have 2 to {MAX_CODE} characters")
        return LocaleCreate(code=self.code, name=self.name, enabled=self.enabled, place=self._at())

    def change(self) -> LocaleChange:
        """
        Raises:
            Invalid (`place`).
        """
        at = self._at()
        return LocaleChange(name=self.name, enabled=self.enabled, place=UNSET if at is None else at)

    def _at(self) -> int | None:
        if self.place and not (self.place.isdecimal() and int(self.place) <= MOST_PLACES):
            raise Invalid.field("place", f"must be a number from 0 to {MOST_PLACES:,}")
        return int(self.place) if self.place else None


class TextForm(Incoming):
    """The dashboard's form of one text."""

    text: str
    key: str = ""
    csrf_token: str = field(name="_csrf_token", default="")

    def texts(self) -> dict[str, str | None]:
        """
        Raises:
            Invalid (`key`, `text`).
        """
        text = self.text.replace("\r\n", "\n")  # as browsers send the end of a line, which they count as one
        if not text.strip() or len(text) > MAX_TEXT:
            raise Invalid.field("text", f"must have 1 to {MAX_TEXT:,} characters")
        try:
            return convert({self.key: text}, Texts)
        except ValidationError:
            raise Invalid.field("key", f"must have {KEY_RULE}") from None


def texts_of(file: bytes) -> dict[str, str | None]:
    """The texts of a file that somebody uploads.

    Raises:
        Invalid (`file`): in words for people, without the pattern that keys have.
    """
    try:
        return json.decode(file, type=Texts)
    except ValidationError as error:
        where = str(error).rpartition(" - at ")[2]
        if where == "`key` in `$`":
            said = f"has a wrong key: each has {KEY_RULE}"
        elif where.startswith("`$["):
            said = f"has a wrong text: each has 1 to {MAX_TEXT:,} characters, or is null"
        else:
            said = f"must be an object of 1 to {MOST_TEXTS:,} keys with their texts"
    except (DecodeError, UnicodeDecodeError, RecursionError):
        said = "is no JSON"
    raise Invalid.field("file", said)


BUNDLES = Cached(
    "tenant", "locales", "texts", Bundle, 300, ("interface",), "What a site's interface says.", per_tenant=True
)


def read(row: Locale, counts: Mapping[UUID, int], keys: int) -> LocaleRead:
    """Args:
    counts: how many texts each language has; keys: how many the default one has.
    """
    texts = counts.get(row.id, 0)
    return LocaleRead(
        id=row.id,
        code=row.code,
        name=row.name,
        default=row.is_default,
        enabled=row.enabled,
        place=row.place,
        texts=texts,
        missing=keys - texts,
        created_at=row.created_at,
        updated_at=row.updated_at,
        version=row.version,
    )
