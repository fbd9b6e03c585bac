"""The rules of a tenant's languages: one is the default and has every key; what others lack is read in that one."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

from msgspec import UNSET
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Database, Plane, Scope, scope_of
from app.core.errors import Conflict, FieldError, Invalid, NotFound
from app.core.etag import Expected, require
from app.core.ids import new_id
from app.core.live import signal
from app.core.locks import hold
from app.core.paging import Page, Pager, Sorts
from app.core.policy import Actor
from app.core.wire import one_line
from app.modules.audit.service import record
from app.modules.locales import repository
from app.modules.locales.models import InterfaceText, Locale
from app.modules.locales.schemas import (
    BUNDLES,
    MAX_NAME,
    MAX_TEXT,
    MOST_LOCALES,
    MOST_PLACES,
    MOST_TEXTS,
    Bundle,
    LocaleChange,
    LocaleCreate,
    LocaleRead,
    TextFilter,
    TextsChanged,
    read,
)
from app.modules.tenants.service import TenantService
from app.redis.cache import Cache, drop

TOPIC = "locales"
R = TypeVar("R", Locale, LocaleRead)
SHOWN_KEYS = 20
_BY_KEY = Sorts("key", {"key": InterfaceText.key})
# Language, script, region, variants; extensions and private use say nothing of what is written.
_CODE = re.compile(r"([a-z]{2,3})(-[a-z]{4})?(-(?:[a-z]{2}|\d{3}))?((?:-(?:[a-z\d]{5,8}|\d[a-z\d]{3}))*)", re.I | re.A)


def canonical(code: str) -> str | None:
    """A tag of BCP 47 as it is written: `PT-br` is `pt-BR`, `ZH-hant-tw` is `zh-Hant-TW`; None where it is none."""
    found = _CODE.fullmatch(code)
    if found is None:
        return None
    language, script, region, variants = (part or "" for part in found.groups())
    return language.lower() + script.title() + region.upper() + variants.lower()


class LocaleService:
    """The languages of one tenant, and what its interface says in them. They are the whole tenant's: a caller tied to
    a workspace reads them.

    Every change is audited in its transaction.
    """

    def __init__(self, session: AsyncSession, actor: Actor, tenant_id: UUID) -> None:
        self._session = session
        self._actor = actor
        self.tenant_id = tenant_id

    async def all(self) -> list[LocaleRead]:
        """In their places.

        Raises:
            NotFound: there is no such tenant.
        """
        rows, counts = await self._rows(), await repository.counts(self._session, self.tenant_id)
        return _read(rows, counts)

    async def get(self, code: str) -> Locale:
        """
        Raises:
            NotFound.
        """
        return _one(await self._rows(), code)

    async def show(self, code: str) -> LocaleRead:
        """
        Raises:
            NotFound.
        """
        return _one(await self.all(), code)

    async def create(self, new: LocaleCreate) -> LocaleRead:
        """
        Raises:
            Invalid, NotFound. Conflict (`locale_taken`, `too_many`).
        """
        rows = await self._held()
        code = canonical(new.code)
        if code is None:
            raise Invalid.field("code", "use a tag of BCP 47, such as de or pt-BR")
        if any(row.code == code for row in rows):
            text = f"there is {code} already"
            raise Conflict(f"code: {text}", code="locale_taken", errors=[FieldError("code", text)])
        if len(rows) >= MOST_LOCALES:
            raise Conflict(f"A tenant has at most {MOST_LOCALES} languages", code="too_many")
        if not rows and not new.enabled:
            raise Invalid.field("enabled", "the first language is the default, which is enabled")
        last = min(max((row.place for row in rows), default=0) + 1, MOST_PLACES)
        row = Locale(
            id=new_id(),
            tenant_id=self.tenant_id,
            code=code,
            name=one_line("name", new.name, MAX_NAME),
            is_default=not rows,
            enabled=new.enabled,
            place=last if new.place is None else new.place,
        )
        self._session.add(row)
        await self._session.flush()
        await self._trace("locale.create", row, None, _audited(row))
        return await self.show(code)

    async def change(self, code: str, change: LocaleChange, *, expected: Expected = None) -> LocaleRead:
        """
        Raises:
            NotFound, Stale, Invalid. Conflict (`incomplete`): a default language has every key.
        """
        rows = await self._held()
        row = _one(rows, code)
        require(row.version, expected, "language")
        before = _audited(row)
        if change.name is not UNSET:
            row.name = one_line("name", change.name, MAX_NAME)
        if change.place is not UNSET:
            row.place = change.place
        if change.enabled is not UNSET:
            row.enabled = change.enabled
        if change.default is False and row.is_default:
            raise Invalid.field("default", "make another language the default instead")
        if change.default is True and not row.is_default:
            await self._make_default(rows, row)
        if row.is_default and not row.enabled:
            raise Invalid.field("enabled", "the default language is enabled")
        await self._session.flush()
        await self._trace("locale.update", row, before, _audited(row))
        return await self.show(row.code)

    async def delete(self, code: str, *, expected: Expected = None) -> None:
        """With its texts. Articles in it stay.

        Raises:
            NotFound, Stale. Conflict (`default_locale`): others fall back on it.
        """
        rows = await self._held()
        row = _one(rows, code)
        require(row.version, expected, "language")
        if row.is_default and len(rows) > 1:
            raise Conflict(
                "Others fall back on the default language: make another one that first", code="default_locale"
            )
        texts = (await repository.counts(self._session, self.tenant_id)).get(row.id, 0)
        await self._session.delete(row)
        await self._session.flush()
        await self._trace("locale.delete", row, _audited(row) | {"texts": texts}, None)

    async def bundle(self, code: str, *, fallback: bool = True) -> Bundle:
        """Args:
            fallback: what the language lacks is in the default one.

        Raises:
            NotFound.
        """
        rows = await self._rows()
        row, default = _one(rows, code), _default(rows)
        own = await repository.texts(self._session, row)
        every = own if row is default else await repository.texts(self._session, default)
        texts = every | own if fallback else own
        return Bundle(locale=row.code, default_locale=default.code, missing=len(every) - len(own), texts=texts)

    async def kept_bundle(self, code: str, database: Database, cache: Cache, *, fallback: bool = True) -> Bundle:
        """As `bundle`, and for a tenant's programs from the cache.

        Args:
            database: a load that others wait for has a transaction of its own.
        """
        scope: Scope = scope_of(self._session)
        if scope.plane is not Plane.TENANT:
            return await self.bundle(code, fallback=fallback)

        async def load() -> Bundle:
            async with database.transaction(scope) as session:
                return await LocaleService(session, self._actor, self.tenant_id).bundle(code, fallback=fallback)

        what = f"{code}{'' if fallback else ':own'}"
        place = BUNDLES.place(what, tenant=scope.tenant_id, tags=(_tag(self.tenant_id),))
        return await cache.cache_wrap(place, load)

    async def search(
        self, pager: Pager, code: str, wanted: TextFilter, *, limit: int = 25, cursor: str | None = None
    ) -> tuple[Page[InterfaceText], dict[str, str]]:
        """Texts of the default language by key, and what the language itself says at those keys.

        Raises:
            NotFound.
        """
        rows = await self._rows()
        row, default = _one(rows, code), _default(rows)
        page = await pager.page(
            self._session,
            repository.fitting(default, row, wanted),
            key=InterfaceText.id,
            sorts=_BY_KEY,
            of=f"interface {default.id} {row.id} {wanted}",
            limit=limit,
            cursor=cursor,
        )
        return page, await repository.texts(self._session, row, [text.key for text in page.items])

    async def said(self, code: str, key: str) -> tuple[str, str | None]:
        """What the default language says at a key, and what this one does.

        Raises:
            NotFound.
        """
        rows = await self._rows()
        row, default = _one(rows, code), _default(rows)
        there = await repository.texts(self._session, default, [key])
        if key not in there:
            raise NotFound("There is no text with this key")
        return there[key], (await repository.texts(self._session, row, [key])).get(key)

    async def write(self, code: str, texts: Mapping[str, str | None]) -> TextsChanged:
        """Write and delete texts of a language, all or none.

        Raises:
            NotFound. Invalid, naming the key: the default language has no such text, or it cannot be stored.
            Conflict (`too_many`).
        """
        rows = await self._held()
        row, default = _one(rows, code), _default(rows)
        given = {key: text for key, text in texts.items() if text is not None}
        for key, text in given.items():
            if not text.strip() or len(text) > MAX_TEXT or "\0" in text:
                raise Invalid.field(f"texts.{key}", f"must have 1 to {MAX_TEXT:,} characters, none of them U+0000")
        if row is not default:
            known = await repository.texts(self._session, default, given.keys())
            if unknown := sorted(given.keys() - known.keys()):
                raise Invalid.field(f"texts.{unknown[0]}", f"write it in {default.code} first, the default language")
        written = await repository.put(self._session, row, given)
        deleted = await repository.discard(self._session, row, texts.keys() - given.keys())
        counts = await repository.counts(self._session, self.tenant_id)
        if counts.get(default.id, 0) > MOST_TEXTS:
            raise Conflict(f"A tenant has at most {MOST_TEXTS:,} keys", code="too_many")
        after = {"written": written, "deleted": deleted, "keys": sorted(texts)[:SHOWN_KEYS]}
        await self._trace("locale.texts", row, None, after)
        found = next(each for each in _read(rows, counts) if each.id == row.id)
        return TextsChanged(written=written, deleted=deleted, locale=found)

    async def _make_default(self, rows: Sequence[Locale], row: Locale) -> None:
        default = _default(rows)
        counts = await repository.counts(self._session, self.tenant_id)
        if lacks := counts.get(default.id, 0) - counts.get(row.id, 0):
            raise Conflict(f"{row.code} lacks {lacks:,} texts: a default language has every key", code="incomplete")
        default.is_default = False
        await self._session.flush()
        row.is_default = True

    async def _rows(self) -> Sequence[Locale]:
        rows = await repository.locales(self._session, self.tenant_id)
        if not rows and scope_of(self._session).plane is Plane.PLATFORM:
            await TenantService(self._session, self._actor).get(self.tenant_id)
        return rows

    async def _held(self) -> Sequence[Locale]:
        """What changes them waits for each other, so that what was counted stays true."""
        self._actor.for_whole_tenant("Languages")
        await hold(self._session, f"locales {self.tenant_id}")
        return await self._rows()

    async def _trace(
        self, action: str, row: Locale, before: dict[str, Any] | None, after: dict[str, Any] | None
    ) -> None:
        resource, tenant = ("locale", row.id, row.code), self.tenant_id
        await record(
            self._session, self._actor, action, resource=resource, before=before, after=after, tenant_id=tenant
        )
        signal(self._session, TOPIC, row.id, tenant)
        drop(self._session, _tag(tenant))


async def must_have(session: AsyncSession, tenant_id: UUID, language: str) -> None:
    """Let through what is one of the site's languages; anything where it has not said which.

    Raises:
        Invalid (`language`).
    """
    codes = [row.code for row in await repository.locales(session, tenant_id)]
    if codes and canonical(language) not in codes:
        raise Invalid.field("language", f"is none of the site's: {', '.join(codes)}")


def _one(rows: Sequence[R], code: str) -> R:
    wanted = canonical(code)
    found = next((row for row in rows if row.code == wanted), None)
    if found is None:
        raise NotFound("There is no such language here")
    return found


def _default(rows: Sequence[Locale]) -> Locale:
    return next(row for row in rows if row.is_default)


def _read(rows: Sequence[Locale], counts: Mapping[UUID, int]) -> list[LocaleRead]:
    keys = next((counts.get(row.id, 0) for row in rows if row.is_default), 0)
    return [read(row, counts, keys) for row in rows]


def _tag(tenant_id: UUID) -> str:
    return f"{BUNDLES.tags[0]}:{tenant_id}"


def _audited(row: Locale) -> dict[str, Any]:
    shown = {"code": row.code, "name": row.name, "place": row.place}
    return shown | {"enabled": row.enabled, "default": row.is_default}
