"""From the claims of a verified token to the user."""

from dataclasses import dataclass
from typing import Any

from .jwt_verifier import Json, refused
from .login import User, checked

NAME_LENGTH = 200


@dataclass(frozen=True, slots=True)
class ClaimNames:
    """Which claims mean what: names, or paths into objects with dots between."""

    user: str = "sub"
    tenant: str | None = None
    name: str = "name"
    roles: str | None = None
    admin_role: str | None = None

    def user_of(self, claims: Json) -> User:
        """Return the user. Raises `NotAuthenticated` without a user, or without a tenant where one is demanded."""
        name = find(claims, self.name)
        user = User(
            id=_identifier(claims, self.user),
            tenant="" if self.tenant is None else _identifier(claims, self.tenant),
            name=" ".join(name.split())[:NAME_LENGTH] or None if isinstance(name, str) else None,
            is_admin=self.admin_role is not None and self.admin_role in self._roles(claims),
            claims=claims,
            metadata=claims,
        )
        return checked(user)

    def _roles(self, claims: Json) -> list[Any]:
        roles = None if self.roles is None else find(claims, self.roles)
        match roles:
            case str():
                return roles.split()
            case list():
                return roles
        return []


def find(claims: object, path: str) -> Any:
    """Return the claim at a path, or None. A name with dots inside, such as a URL, goes before a path."""
    if not isinstance(claims, dict):
        return None
    if path in claims:
        return claims[path]
    dot = path.rfind(".")
    while dot > 0:
        if (inner := claims.get(path[:dot])) is not None:
            return find(inner, path[dot + 1 :])
        dot = path.rfind(".", 0, dot)
    return None


def _identifier(claims: Json, path: str) -> str:
    """Return an id as text. Issuers write whole numbers as well, which are no other ids than their digits."""
    value = find(claims, path)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value.strip():
        raise refused(f"claim {path} {'is missing' if value is None else 'is not a usable id'}")
    return value
