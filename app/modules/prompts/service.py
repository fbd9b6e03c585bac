"""The rules of AI's templates: the code's own words hold until a person writes others, and every run names which."""

from dataclasses import dataclass, field
from string import Template
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import SYSTEM, Database
from app.core.errors import Invalid, NotFound
from app.core.ids import PLATFORM_TENANT, new_id
from app.core.live import signal
from app.core.locks import hold
from app.core.policy import Actor
from app.modules.audit.service import record
from app.modules.prompts.models import AiTemplate
from app.modules.prompts.schemas import TemplateChange, TemplateRead, TemplateVersion

TOPIC = "ai.templates"
PRODUCTION = "production"


@dataclass(frozen=True, slots=True)
class Words:
    """What the code itself tells a model for a kind of task; `required` are variables that no text may leave out."""

    text: str
    variables: tuple[str, ...] = ("language",)
    required: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Prompt:
    """The words that are told now; `number` is 0 for the code's own."""

    text: str
    number: int = 0
    config: dict[str, Any] = field(default_factory=dict)

    def filled(self, values: dict[str, str]) -> str:
        """What stands in a value is never read as a variable again."""
        return Template(self.text).safe_substitute(values)


BUILT_IN = {
    "summarize_article": Words(
        "Summarise this article in at most $longest characters and name up to $keywords key words.",
        ("language", "longest", "keywords"),
    ),
    "generate_article_draft": Words(
        "Write an article in Markdown in the language $language after this brief of its editor, with what stands in "
        "the article below as material. Say nothing that you do not know.\n\nBrief: $brief",
        ("language", "brief"),
        ("brief",),
    ),
    "rewrite_article": Words(
        "Rewrite this article in Markdown: clearer, with all its facts and none that it does not have. Tell in one "
        "sentence what you changed.\n\nThe editor asks: $instructions",
        ("language", "instructions"),
        ("instructions",),
    ),
    "seo_generate": Words(
        "For search engines, write a title of at most 60 characters, a description of at most 160, a slug of "
        "lower-case words with hyphens, and up to $keywords key words, the most telling first.",
        ("language", "keywords"),
    ),
    "seo_audit": Words(
        "Name what keeps search engines and readers from this article, the worst first. Nothing where nothing does."
    ),
    "quality_check": Words(
        "Name what an editor would mend in this article before it is published, the worst first: mistakes, "
        "contradictions, claims without a source. Nothing where there is nothing."
    ),
}


class Prompts:
    """What a worker reads before it asks a model, in a transaction of its own, whoever's task it runs."""

    def __init__(self, database: Database | None = None) -> None:
        self._database = database

    async def current(self, name: str) -> Prompt:
        """The version in production; without a database, the code's own words."""
        if self._database is not None:
            async with self._database.transaction(SYSTEM) as session:
                row: AiTemplate | None = await session.scalar(_in_production(name))
            if row is not None:
                return Prompt(row.text, row.number, row.config)
        return Prompt(BUILT_IN[name].text)


class TemplateService:
    """Reading and changing what models are told. For the platform. Every change is audited."""

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor

    async def all(self) -> list[TemplateRead]:
        """By name, each with its versions, newest first."""
        rows = (await self._session.scalars(select(AiTemplate).order_by(AiTemplate.number.desc()))).all()
        return [_read(name, [row for row in rows if row.name == name]) for name in sorted(BUILT_IN)]

    async def get(self, name: str) -> TemplateRead:
        """
        Raises:
            NotFound: there is no kind of this name.
        """
        return _read(name, await self._versions(name))

    async def change(self, name: str, change: TemplateChange) -> TemplateRead:
        """Write a new version.

        Raises:
            NotFound; Invalid: naming `text`, which uses what it may not, or leaves out what it has to.
        """
        words = _words(name)
        _check(change.text, words)
        rows = await self._versions(name, lock=True)
        row = AiTemplate(
            id=new_id(),
            name=name,
            number=rows[0].number + 1 if rows else 1,
            text=change.text,
            config={} if change.temperature is None else {"temperature": change.temperature},
            variables=list(words.variables),
            labels=[],
            message=change.message.strip(),
            created_by=self._actor.label,
        )
        self._session.add(row)
        rows.insert(0, row)
        if change.use:
            _label(rows, row.number)
        await self._trace(
            "owner.ai_template.change", name, {"version": row.number, "text": row.text, "used": change.use}
        )
        return _read(name, rows)

    async def use(self, name: str, number: int) -> TemplateRead:
        """Tell models this version from now on; 0 is the code's own.

        Raises:
            NotFound: no such kind. Invalid: no such version.
        """
        _words(name)
        rows = await self._versions(name, lock=True)
        if number and number not in {row.number for row in rows}:
            raise Invalid.field("number", "there is no version with this number")
        before = _read(name, rows).current
        _label(rows, number)
        if before != number:
            await self._trace("owner.ai_template.use", name, {"version": number}, {"version": before})
        return _read(name, rows)

    async def _versions(self, name: str, *, lock: bool = False) -> list[AiTemplate]:
        _words(name)
        if lock:
            # Two who save at once get two numbers.
            await hold(self._session, f"prompt {name}")
        query = select(AiTemplate).where(AiTemplate.name == name).order_by(AiTemplate.number.desc())
        return [*(await self._session.scalars(query)).all()]

    async def _trace(self, action: str, name: str, after: dict[str, Any], before: dict[str, Any] | None = None) -> None:
        await self._session.flush()
        resource = ("ai_template", name, name)
        await record(self._session, self._actor, action, resource=resource, before=before, after=after)
        signal(self._session, TOPIC, name, PLATFORM_TENANT)


def _in_production(name: str) -> Select[tuple[AiTemplate]]:
    return select(AiTemplate).where(AiTemplate.name == name, AiTemplate.labels.contains([PRODUCTION]))


def _words(name: str) -> Words:
    if name not in BUILT_IN:
        raise NotFound("There is no template with this name")
    return BUILT_IN[name]


def _check(text: str, words: Words) -> None:
    template = Template(text)
    if "\0" in text or not text.strip() or not template.is_valid():
        raise Invalid.field("text", "write $$ for a dollar sign, and $name for a variable")
    used = set(template.get_identifiers())
    if unknown := used - set(words.variables):
        raise Invalid.field("text", f"there is no variable ${sorted(unknown)[0]}")
    if missing := set(words.required) - used:
        raise Invalid.field("text", f"must use ${sorted(missing)[0]}")


def _label(rows: list[AiTemplate], number: int) -> None:
    """The label moves: one version has it, or none."""
    for row in rows:
        others = [label for label in row.labels if label != PRODUCTION]
        row.labels = [*others, PRODUCTION] if row.number == number else others


def _read(name: str, rows: list[AiTemplate]) -> TemplateRead:
    words = BUILT_IN[name]
    current = next((row.number for row in rows if PRODUCTION in row.labels), 0)
    versions = [
        TemplateVersion(
            number=row.number,
            text=row.text,
            temperature=row.config.get("temperature"),
            message=row.message,
            created_by=row.created_by,
            created_at=row.created_at,
            current=row.number == current,
        )
        for row in rows
    ]
    own = TemplateVersion(
        number=0,
        text=words.text,
        temperature=None,
        message="As the code says it",
        created_by="TekNav",
        created_at=None,
        current=current == 0,
    )
    return TemplateRead(
        name=name,
        current=current,
        variables=list(words.variables),
        required=list(words.required),
        versions=[*versions, own],
    )
