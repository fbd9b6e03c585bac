"""Every route of the running app: who may call it, what is written about it, and what it answers to everybody else."""

import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import NamedTuple, get_args
from uuid import UUID

from httpx2 import AsyncClient
from litestar import Litestar
from litestar.routes import HTTPRoute
from msgspec import Struct, structs

from app import registry
from app.core.access import Access
from app.core.policy import PUBLIC, SIGNED_IN, UNSAFE, Permission
from app.core.wire import SHORT_BODY

RIGHTS = Path(__file__).parent / "rights.txt"
GUIDE = Path(__file__).parents[2] / "docs" / "api.md"
EXAMPLES = {UUID: str(UUID(int=7)), int: "7"}
# Reviewed by hand: what a tenant's token can be given.
OF_TENANTS = {
    "ai:read",
    "ai:run",
    "ai_usage:read",
    "analytics:read",
    "approvals:decide",
    "approvals:read",
    "articles:publish",
    "articles:read",
    "articles:write",
    "drafts:decide",
    "drafts:read",
    "email_preferences:read",
    "email_preferences:write",
    "email_templates:read",
    "email_templates:write",
    "emails:open",
    "emails:read",
    "emails:send",
    "events:read",
    "events:write",
    "files:read",
    "files:write",
    "funnels:read",
    "funnels:write",
    "imports:read",
    "imports:write",
    "instances:manage",
    "instances:read",
    "locales:read",
    "locales:write",
    "plugins:manage",
    "plugins:read",
    "reports:read",
    "taxonomy:read",
    "taxonomy:write",
    "workflows:read",
    "workflows:write",
}


class Door(NamedTuple):
    """One method of one path, and what it asks of the caller."""

    method: str
    path: str
    permission: Permission
    audit: str
    examples: dict[str, str]
    seen: str = ""

    @property
    def right(self) -> str:
        return f"{self.method:6} {self.permission.name:16} {self.audit or self.seen or '-':24} {self.path}"

    @property
    def address(self) -> str:
        """The path with something that does not exist in place of its parameters."""
        return re.sub(r"\{(\w+):?\w*\}", lambda found: self.examples[found[1]], self.path)


def doors(app: Litestar) -> Iterator[Door]:
    for route in app.routes:
        assert isinstance(route, HTTPRoute), f"{route.path} is not reached by HTTP alone"
        kinds = {name: part.type for name, part in route.path_parameters.items()}
        examples = {name: EXAMPLES.get(kind, "none") for name, kind in kinds.items()}
        for handler in route.route_handlers:
            for method in sorted(handler.http_methods - {"OPTIONS", "HEAD"}):
                permission: Permission = handler.opt["permission"]
                access: Access | None = handler.opt.get("access")
                seen = access.action if access else ""
                yield Door(method, route.path, permission, handler.opt.get("audit", ""), examples, seen)


def test_every_route_asks_for_what_the_reviewed_table_says(app: Litestar) -> None:
    """A new or changed route: think about who may call it, then put its line into rights.txt."""
    reviewed = {line for line in RIGHTS.read_text().splitlines() if line and not line.startswith("#")}
    found = {door.right for door in doors(app)}
    missing, gone = sorted(found - reviewed), sorted(reviewed - found)
    assert not missing and not gone, "\n".join(["not reviewed:", *missing, "no longer there:", *gone])


def test_every_permission_is_declared_and_every_change_is_named_for_the_audit_log(app: Litestar) -> None:
    declared = {*registry.permissions().values(), PUBLIC, SIGNED_IN}
    for door in doors(app):
        assert door.permission in declared, door
        assert not door.audit or re.fullmatch(r"[a-z]+(\.[a-z_]+)+", door.audit), door
        assert bool(door.audit) == (door.method in UNSAFE), door


def test_what_changes_something_for_anybody_reads_short_bodies(app: Litestar) -> None:
    for route in app.routes:
        assert isinstance(route, HTTPRoute)
        for handler in route.route_handlers:
            if handler.opt.get("permission") == PUBLIC and handler.http_methods & UNSAFE:
                assert handler.resolve_request_max_body_size() == SHORT_BODY, route.path


def test_no_field_of_a_body_is_called_like_a_provider(app: Litestar) -> None:
    """Litestar takes what is wrong with such a field for the provider's fault, and answers 500."""
    fields: set[str] = set()
    for route in app.routes:
        assert isinstance(route, HTTPRoute)
        for handler in route.route_handlers:
            body = handler.parsed_fn_signature.parameters.get("data")
            for kind in (body.annotation, *get_args(body.annotation)) if body else ():
                if isinstance(kind, type) and issubclass(kind, Struct):
                    names = {field.encode_name for field in structs.fields(kind)}
                    fields |= names
                    clash = names & handler.signature_model._dependency_name_set
                    assert not clash, f"{route.path}: {kind.__name__} has {clash}, as a provider is called"
    assert {"payload", "email", "title"} <= fields, "bodies are looked at"


def test_a_tenant_can_hold_the_reviewed_permissions_only() -> None:
    assert {name for name, permission in registry.permissions().items() if permission.tenant} == OF_TENANTS


def test_the_guide_of_the_api_names_what_a_tenants_token_can_be_given() -> None:
    [row] = [line for line in GUIDE.read_text().splitlines() if line.startswith("| a tenant's |")]
    assert sorted(re.findall(r"`(\w+:\w+)`", row)) == sorted(OF_TENANTS)


def test_every_permission_is_asked_for_somewhere(app: Litestar) -> None:
    """A permission that no route, topic, card or menu item asks for promises a protection that is not there."""
    asked = {door.permission for door in doors(app)}
    for module in registry.MODULES:
        asked |= {topic.permission for topic in module.topics}
        asked |= {card.permission for card in module.cards}
        asked |= {item.permission for item in module.navigation}
    assert set(registry.permissions().values()) <= asked


async def test_nobody_gets_in_without_signing_in(app: Litestar, client: AsyncClient) -> None:
    for door in doors(app):
        if door.permission == PUBLIC:
            continue
        answer = await client.request(door.method, door.address)
        signs_in = answer.status_code in (302, 303, 307) and answer.headers["location"].startswith("/signin")
        assert answer.status_code == 401 or (door.method == "GET" and signs_in), (door, answer.text)


async def test_a_token_opens_only_the_doors_of_its_scopes(
    app: Litestar, tenant_client: Callable[..., Awaitable[AsyncClient]]
) -> None:
    scope = next(p for p in registry.permissions().values() if p.tenant)
    client = await tenant_client(scope.name)
    for door in doors(app):
        if door.permission in (PUBLIC, SIGNED_IN, scope):
            continue
        answer = await client.request(door.method, door.address)
        assert answer.status_code == 403, (door, answer.text)


async def test_a_token_of_a_tenant_opens_no_door_of_the_platform(
    app: Litestar, tenant_client: Callable[..., Awaitable[AsyncClient]]
) -> None:
    """Even where both ask for the same permission."""
    client = await tenant_client(*(p.name for p in registry.permissions().values() if p.tenant))
    for door in doors(app):
        if door.permission != PUBLIC and door.path.startswith(("/api/owner", "/dashboard/owner")):
            answer = await client.request(door.method, door.address)
            assert answer.status_code == 403, (door, answer.text)


async def test_no_browser_changes_anything_without_the_csrf_token(app: Litestar, owner: AsyncClient) -> None:
    del owner.headers["X-CSRF-Token"]
    for door in doors(app):
        # The tenants' plane refuses the owner before it asks for the token.
        theirs = door.path.startswith(("/api/v1", "/dashboard/t/"))
        if door.method in UNSAFE and door.permission != PUBLIC and not theirs:
            answer = await owner.request(door.method, door.address)
            assert answer.status_code == 403 and "out of date" in answer.text, (door, answer.text)


async def test_the_documented_api_is_the_one_that_is_served(app: Litestar) -> None:
    documented = set(app.openapi_schema.to_schema()["paths"])
    served = {re.sub(r":\w+\}", "}", door.path) for door in doors(app) if door.path.startswith("/api/")}
    assert {path for path in served if path.startswith(("/api/v1", "/api/owner"))} <= documented
