"""What is kept in the cache, as data: modules declare it, and keys come from nowhere else."""

import re
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

from app.core.settings import Settings

T = TypeVar("T")
_WORD = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


@dataclass(frozen=True, slots=True)
class Cached(Generic[T]):
    """One kind of cached value. Its keys begin with `{prefix}:{env}:{area}:{entity}:{what}:v{version}`.

    Args:
        type: what the value is decoded to. Another shape is another `version`.
        ttl_s: no value is handed out that is older, in seconds.
        tags: what a change drops; a place may have further ones.
        about: one sentence for people.
        per_tenant, per_viewer: a place without a tenant or a viewer is refused. What is kept per tenant goes with the
            tags of all tenants, and with those `of_tenant`.
    """

    area: str
    entity: str
    what: str
    type: type[T]
    ttl_s: float
    tags: tuple[str, ...]
    about: str
    version: int = 1
    per_tenant: bool = False
    per_viewer: bool = False

    def __post_init__(self) -> None:
        for word in (self.area, self.entity, self.what, *self.tags):
            if not _WORD.fullmatch(word):
                raise ValueError(f"{word!r}: use 1 to 40 of a-z, 0-9, _ and -")
        if self.ttl_s <= 0:
            raise ValueError(f"{self.name}: ttl_s must be more than 0")

    @property
    def name(self) -> str:
        return f"{self.area}:{self.entity}:{self.what}"

    def place(
        self, of: str = "", *, tenant: UUID | None = None, viewer: UUID | None = None, tags: tuple[str, ...] = ()
    ) -> "Place[T]":
        """Where one value lies.

        Args:
            of: what tells it from others of its kind, such as an id or a digest.

        Raises:
            ValueError: the value depends on a tenant or a viewer, and none is given.
        """
        if (self.per_tenant and tenant is None) or (self.per_viewer and viewer is None):
            raise ValueError(f"{self.name} depends on {'a tenant' if self.per_tenant else 'a viewer'}")
        parts = (("t", tenant), ("u", viewer), ("of", of))
        suffix = "".join(f":{letter}:{part}" for letter, part in parts if part)
        own = tuple(of_tenant(tag, tenant) for tag in self.tags) if self.per_tenant and tenant else ()
        return Place(self, suffix, self.tags + own + tags)


def of_tenant(tag: str, tenant: UUID) -> str:
    """The tag of one tenant's share of what is kept per tenant."""
    return f"{tag}:{tenant}"


@dataclass(frozen=True, slots=True)
class Place(Generic[T]):
    """One value's place in the cache."""

    kind: Cached[T]
    suffix: str
    tags: tuple[str, ...]

    def key(self, settings: Settings) -> str:
        kind = self.kind
        return settings.key(kind.area, kind.entity, kind.what, kind.version) + self.suffix
