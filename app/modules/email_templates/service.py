"""The rules of mail templates: a change is a new version, and what was sent keeps the version it was sent with."""

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from msgspec import convert, to_builtins
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import scope_of
from app.core.errors import Conflict, FieldError, Invalid, NotFound
from app.core.etag import Expected, require
from app.core.ids import new_id
from app.core.live import signal
from app.core.paging import Page, Pager, Sorts
from app.core.policy import Actor
from app.core.queries import text_of
from app.core.threads import in_thread
from app.modules.audit.service import record
from app.modules.email_templates import repository
from app.modules.email_templates.client import checked, fitting, without_pictures, written
from app.modules.email_templates.models import EmailTemplate, EmailTemplateVersion
from app.modules.email_templates.schemas import (
    TRANSACTIONAL,
    EmailTemplateCreate,
    EmailTemplateVersionCreate,
    EmailVariable,
    Written,
)

__all__ = [
    "TRANSACTIONAL",
    "EmailTemplateVersion",
    "EmailTemplates",
    "Written",
    "current",
    "version_of",
    "without_pictures",
    "write",
]
TOPIC = "email_templates"
RESOURCE = "email_template"
SORTS = Sorts(
    "-createdAt",
    {"createdAt": EmailTemplate.id, "name": EmailTemplate.name, "updatedAt": EmailTemplate.updated_at},
)


async def current(session: AsyncSession, name: str, tenant_id: UUID) -> EmailTemplateVersion:
    """What a tenant's template of this name says now.

    Raises:
        Invalid (`template`): there is none.
    """
    found = await repository.current(session, tenant_id, name) if "\0" not in name else None
    if found is None:
        raise Invalid.field("template", "there is no mail template of this name")
    return found


async def version_of(session: AsyncSession, template_id: UUID, number: int) -> EmailTemplateVersion | None:
    """One that a mail was written with, be its template deleted by now."""
    return await repository.version(session, template_id, number)


async def write(version: EmailTemplateVersion, values: Mapping[str, Any]) -> Written:
    """What a version says with these values.

    Raises:
        Invalid: naming the value, or the field of the template that cannot be filled with it.
    """
    fitted = fitting(_variables(version), values)
    return await in_thread(written, version.subject, version.body, fitted)


class EmailTemplates:
    """The templates that the session's transaction may see. Every change is audited in its transaction."""

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor

    async def create(self, new: EmailTemplateCreate) -> tuple[EmailTemplate, EmailTemplateVersion]:
        """
        Raises:
            Invalid: naming the field. Conflict (`name_taken`).
        """
        await in_thread(checked, new.subject, new.body, new.variables)
        id_, tenant = new_id(), scope_of(self._session).tenant_id
        values = {"id": id_, "tenant_id": tenant, "name": new.name, "latest": 1, "version": 1}
        if not await repository.add(self._session, values):
            said = "another template has this name"
            raise Conflict(f"name: {said}", code="name_taken", errors=[FieldError("name", said)])
        template = await self._one(id_)
        version = await self._add(template, new)
        await self._trace("email.template.create", template, None, _audited(version))
        return template, version

    async def get(self, template_id: UUID) -> tuple[EmailTemplate, EmailTemplateVersion]:
        """
        Raises:
            NotFound.
        """
        template = await self._one(template_id)
        return template, await self.version(template_id, template.latest)

    async def version(self, template_id: UUID, number: int) -> EmailTemplateVersion:
        """
        Raises:
            NotFound.
        """
        await self._one(template_id)
        found = await repository.version(self._session, template_id, number) if number < 2**31 else None
        if found is None:
            raise NotFound("There is no such version of this template")
        return found

    async def versions(self, template_id: UUID) -> list[EmailTemplateVersion]:
        """The last hundred, newest first.

        Raises:
            NotFound.
        """
        await self._one(template_id)
        return await repository.versions(self._session, template_id)

    async def search(
        self, pager: Pager, *, text: str | None = None, limit: int = 25, cursor: str | None = None
    ) -> Page[EmailTemplate]:
        """Newest first; `text` is a part of the name."""
        query = repository.templates(text_of("q", text))
        of = f"email_templates {scope_of(self._session).tenant_id} {text}"
        key = EmailTemplate.id
        return await pager.page(self._session, query, key=key, of=of, limit=limit, cursor=cursor, sorts=SORTS)

    async def revise(
        self, template_id: UUID, new: EmailTemplateVersionCreate, *, expected: Expected = None
    ) -> tuple[EmailTemplate, EmailTemplateVersion]:
        """Write the version that is sent from now on; one that says the same is not written.

        Raises:
            NotFound, Stale. Invalid: naming the field.
        """
        await in_thread(checked, new.subject, new.body, new.variables)
        template = await self._one(template_id, lock=True, expected=expected)
        before = await self.version(template_id, template.latest)
        if _said(before) == to_builtins(new):
            return template, before
        template.latest += 1
        version = await self._add(template, new)
        await self._trace("email.template.revise", template, _audited(before), _audited(version))
        return template, version

    async def delete(self, template_id: UUID, *, expected: Expected = None) -> None:
        """Take it out of every list and free its name. Mails that are on their way are sent.

        Raises:
            NotFound, Stale.
        """
        template = await self._one(template_id, lock=True, expected=expected)
        template.deleted_at = datetime.now(UTC)
        await self._trace("email.template.delete", template, {"deleted": False}, {"deleted": True})

    async def preview(self, shown: EmailTemplateVersion | EmailTemplateVersionCreate) -> Written:
        """What a version, or what could be one, says with the samples of its variables.

        Raises:
            Invalid: naming the field.
        """
        variables = _variables(shown) if isinstance(shown, EmailTemplateVersion) else shown.variables
        await in_thread(checked, shown.subject, shown.body, variables)
        samples = {one.name: one.sample for one in variables if one.sample is not None}
        values = fitting(variables, samples, "variables", samples_only=True)
        return await in_thread(written, shown.subject, shown.body, values)

    async def _one(self, template_id: UUID, *, lock: bool = False, expected: Expected = None) -> EmailTemplate:
        template = await repository.one(self._session, template_id, lock=lock)
        if template is None:
            raise NotFound("There is no mail template with this id")
        require(template.version, expected, "template")
        return template

    async def _add(self, template: EmailTemplate, new: EmailTemplateVersionCreate) -> EmailTemplateVersion:
        version = EmailTemplateVersion(
            tenant_id=template.tenant_id,
            template_id=template.id,
            number=template.latest,
            subject=new.subject,
            body=new.body,
            category=new.category,
            variables=to_builtins(new.variables),
            created_by=self._actor.label,
        )
        self._session.add(version)
        await self._session.flush()
        await self._session.refresh(version)
        await self._session.refresh(template)
        return version

    async def _trace(
        self, action: str, template: EmailTemplate, before: dict[str, Any] | None, after: dict[str, Any]
    ) -> None:
        resource = (RESOURCE, template.id, template.name)
        await record(
            self._session,
            self._actor,
            action,
            resource=resource,
            before=before,
            after=after,
            tenant_id=template.tenant_id,
        )
        signal(self._session, TOPIC, template.id, template.tenant_id)


def _variables(version: EmailTemplateVersion) -> list[EmailVariable]:
    return convert(version.variables, list[EmailVariable])


def _said(version: EmailTemplateVersion) -> dict[str, Any]:
    return {name: getattr(version, name) for name in ("subject", "body", "category", "variables")}


def _audited(version: EmailTemplateVersion) -> dict[str, Any]:
    """What the audit log keeps: of the body only what tells whether it changed."""
    body = {"characters": len(version.body), "sha256": sha256(version.body.encode()).hexdigest()}
    return _said(version) | {"body": body, "number": version.number}
