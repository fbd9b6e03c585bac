"""The roles that every tenant has from the start, and those of the platform. What a tenant's members may do is never
more than the permissions that modules open to them by `Permission.roles`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from app.core.policy import Permission


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A role that nobody edits. `key` is its name in the database, `about` says for whom it is."""

    key: str
    name: str
    about: str


OWNER, ADMIN, EDITOR, AUTHOR = "owner", "admin", "editor", "author"
VIEWER, AUDITOR, OPERATOR = "viewer", "auditor", "operator"
BUILT_IN = (
    BuiltIn(OWNER, "Owner", "Everything, also what the roles are"),
    BuiltIn(ADMIN, "Admin", "Everything but to change the roles"),
    BuiltIn(EDITOR, "Editor", "Writes and publishes, and asks AI"),
    BuiltIn(AUTHOR, "Author", "Writes, and asks AI; others publish"),
    BuiltIn(VIEWER, "Viewer", "Reads articles and what AI made of them"),
    BuiltIn(AUDITOR, "Auditor", "Reads everything, also who did what"),
    BuiltIn(OPERATOR, "Operator", "Looks after programs and their tokens"),
)
OWNERS_ONLY = "owner"
"""In `Permission.roles`: not even admins have it."""
READS, MANAGES = ":read", ":manage"
IMPERSONATE = "impersonation:start"
"""The permission of the platform without which an impersonation that began is over."""
PLATFORM = {"owner": "Owner", "operator": "Operator", "auditor": "Auditor"}
"""Roles of people of the platform, as `user.role` has them, by what people call them."""


def grantable(known: Mapping[str, Permission]) -> dict[str, Permission]:
    """What members of a tenant can be given at all."""
    return {name: permission for name, permission in known.items() if permission.roles is not None}


def of_tenant(known: Mapping[str, Permission], key: str) -> frozenset[str]:
    """What a built-in role of a tenant may do."""
    return frozenset(name for name, permission in grantable(known).items() if _has(permission, key))


def of_member(known: Mapping[str, Permission], key: str | None, given: Collection[str]) -> frozenset[str]:
    """What a role of a tenant may do: a built-in one by its `key`, another by what it was `given`."""
    return of_tenant(known, key) if key is not None else frozenset(grantable(known).keys() & set(given))


def of_platform(known: Mapping[str, Permission], role: str) -> frozenset[str]:
    """What a person of the platform may do: an owner everything, an operator read and manage, an auditor read."""
    endings = {"owner": ("",), "operator": (READS, MANAGES), "auditor": (READS,)}.get(role, ())
    return frozenset(name for name in known if name.endswith(endings))


def _has(permission: Permission, key: str) -> bool:
    roles = permission.roles or ()
    if key == OWNER:
        return True
    if key == ADMIN:
        return OWNERS_ONLY not in roles
    return key in roles or (key == AUDITOR and permission.name.endswith(READS))
