"""The only list of modules, in the order in which they may import each other: from the bottom up."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from app.core.errors import Invalid
from app.core.events import Event, Subscriber
from app.core.policy import Permission
from app.core.quota import Quota
from app.core.signs import SignSource
from app.core.templating import ROOT
from app.core.trace import TraceSource
from app.module import Exportable, Module, Parts
from app.module import caches as caches_of
from app.module import owner_scopes as owner_scopes_of
from app.module import permissions as permissions_of
from app.modules.access.module import access
from app.modules.account.module import account
from app.modules.ai.module import ai
from app.modules.analytics.module import analytics
from app.modules.approvals.module import approvals
from app.modules.articles.module import articles
from app.modules.audit.module import audit
from app.modules.bearers.module import bearers
from app.modules.cache.module import cache
from app.modules.dashboard.module import dashboard
from app.modules.drafts.module import drafts
from app.modules.email.module import email
from app.modules.email_preferences.module import email_preferences
from app.modules.email_templates.module import email_templates
from app.modules.events.module import events
from app.modules.exports.module import exports as exports_module
from app.modules.factors.module import factors
from app.modules.funnels.module import funnels
from app.modules.history.module import history
from app.modules.identity.module import identity
from app.modules.impersonation.module import impersonation
from app.modules.imports.module import imports as imports_module
from app.modules.instances.module import instances
from app.modules.invitations.module import invitations
from app.modules.isolation.module import isolation
from app.modules.locales.module import locales
from app.modules.media.module import media
from app.modules.members.module import members
from app.modules.metrics.module import metrics
from app.modules.people.module import people
from app.modules.plugins.module import plugins
from app.modules.prompts.module import prompts
from app.modules.queues.module import queues
from app.modules.releases.module import releases
from app.modules.reports.module import reports
from app.modules.roles.module import roles as roles_module
from app.modules.runs.module import runs
from app.modules.schedules.module import schedules as schedules_module
from app.modules.seals.module import seals
from app.modules.sessions.module import sessions
from app.modules.taxonomy.module import taxonomy
from app.modules.tenants.module import tenants
from app.modules.tokens.module import tokens
from app.modules.traces.module import traces as traces_module
from app.modules.translations.module import translations
from app.modules.views.module import views
from app.modules.workers.module import workers
from app.modules.workflows.module import workflows
from app.queues.core import CORE_QUEUES
from app.queues.job import Kinds, declared
from app.queues.loops import Loop
from app.queues.schedules import Schedule
from app.queues.spec import QueueSpec
from app.redis.cached import Cached

Key = TypeVar("Key")
Value = TypeVar("Value")
Named = TypeVar("Named", QueueSpec, Schedule, Quota, Exportable)

MODULES: tuple[Module, ...] = (
    audit,
    seals,
    access,
    views,
    exports_module,
    tenants,
    email_templates,
    email_preferences,
    email,
    factors,
    sessions,
    people,
    identity,
    account,
    roles_module,
    members,
    invitations,
    impersonation,
    tokens,
    bearers,
    media,
    taxonomy,
    locales,
    articles,
    imports_module,
    history,
    releases,
    translations,
    drafts,
    reports,
    prompts,
    runs,
    ai,
    events,
    analytics,
    funnels,
    plugins,
    approvals,
    workflows,
    instances,
    isolation,
    workers,
    queues,
    schedules_module,
    cache,
    metrics,
    traces_module,
    dashboard,
)


def dangerous() -> frozenset[str]:
    """The changes that want a fresh confirmation, by their names in the audit log."""
    return frozenset(action for module in MODULES for action in module.dangerous)


def signs() -> list[SignSource]:
    return [source for module in MODULES for source in module.signs]


def specs() -> dict[str, QueueSpec]:
    """Every queue by name: the six of the core, then those of the modules.

    Raises:
        RuntimeError: two declare the same name.
    """
    return _by_name("queue", (*CORE_QUEUES, *(spec for module in MODULES for spec in module.queues)))


def kinds() -> Kinds:
    known = Kinds(tuple(p for module in MODULES for p in module.processors), frozenset(specs()))
    known.require(declared())
    return known


def schedules() -> dict[str, Schedule]:
    """Every schedule by name.

    Raises:
        RuntimeError: two have the same name, or one's name or timing cannot be.
    """
    return _by_name("schedule", (_checked(schedule) for module in MODULES for schedule in module.schedules))


def _checked(schedule: Schedule) -> Schedule:
    try:
        return schedule.checked()
    except Invalid as error:
        raise RuntimeError(f"The schedule {schedule.name!r} cannot be: {error.detail}") from error


def quotas() -> dict[str, Quota]:
    """What a tenant's use can be bounded of, by name.

    Raises:
        RuntimeError: two have the same name.
    """
    return _by_name("quota", (quota for module in MODULES for quota in module.quotas))


def subscribers() -> dict[type[Event], list[Subscriber]]:
    """Who hears of what, from the bottom module up."""
    found: dict[type[Event], list[Subscriber]] = {}
    for event, subscriber in (pair for module in MODULES for pair in module.subscribers):
        found.setdefault(event, []).append(subscriber)
    return found


def mails() -> dict[str, tuple[int, str]]:
    """The version and the file of every mail that modules send, by name.

    Raises:
        RuntimeError: two have the same name, or one has no file.
    """
    found: dict[str, tuple[int, str]] = {}
    for module, mail in ((one, mail) for one in MODULES for mail in one.mails):
        file = f"{module.name}/{mail.name}.txt"
        if mail.name in found or not (ROOT / "templates" / file).is_file():
            raise RuntimeError(f"The mail {mail.name!r} of {module.name} is declared twice, or has no {file}")
        found[mail.name] = mail.version, file
    return found


def exportables() -> dict[str, Exportable]:
    """Every list that can leave as a file, by name.

    Raises:
        RuntimeError: two have the same name.
    """
    return _by_name("export", (one for module in MODULES for one in module.exports))


def caches() -> dict[str, tuple[str, Cached[Any]]]:
    return caches_of(MODULES)


def traces() -> list[TraceSource]:
    """Who can tell what a request set going, from the bottom module up."""
    return [source for module in MODULES for source in module.traces]


def months() -> dict[str, str]:
    """Every table of a module that is kept by month, with the setting that says for how many.

    Raises:
        RuntimeError: two declare the same.
    """
    return _joined("table by month", (module.months for module in MODULES))


def ports(parts: Parts) -> dict[str, Any]:
    """What modules put into every session, by name.

    Raises:
        RuntimeError: two have the same name.
    """
    return {name: make(parts) for name, make in _joined("port", (module.ports for module in MODULES)).items()}


def resources(parts: Parts) -> dict[type, Any]:
    """What processors may ask for, by type.

    Raises:
        RuntimeError: two declare the same type.
    """
    found = _joined("resource", (module.resources for module in MODULES))
    return {kind: make(parts) for kind, make in found.items()}


def loops(parts: Parts) -> list[Loop]:
    """What modules do beside the queues, in the process that leads."""
    return [make(parts) for module in MODULES for make in module.loops]


def owner_scopes() -> frozenset[str]:
    return owner_scopes_of(MODULES)


def permissions() -> dict[str, Permission]:
    return permissions_of(MODULES)


def _by_name(what: str, declared: Iterable[Named]) -> dict[str, Named]:
    found: dict[str, Named] = {}
    for one in declared:
        if one.name in found:
            raise RuntimeError(f"The {what} {one.name!r} is declared twice")
        found[one.name] = one
    return found


def _joined(what: str, declared: Iterable[Mapping[Key, Value]]) -> dict[Key, Value]:
    found: dict[Key, Value] = {}
    for more in declared:
        if twice := found.keys() & more.keys():
            raise RuntimeError(f"The {what} {next(iter(twice))!r} is declared twice")
        found |= more
    return found
