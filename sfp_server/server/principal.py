"""Who is asking. The database knows a principal by its claims, in the shape that Supabase uses."""

from dataclasses import dataclass, replace
from typing import Literal

import msgspec

Kind = Literal["user", "application", "task", "system", "anonymous"]
Role = Literal["owner", "member", "application", "service", "anonymous"]


@dataclass(frozen=True)
class Principal:
    """A user, an application token, a task or a part of the server itself, with what it may do.

    `request_id` and `address` say where an act came from; they travel in the claims, so that the audit entry written
    with a change carries them without anybody passing them on.
    """

    kind: Kind
    id: str
    name: str
    role: Role
    permissions: frozenset[str]
    request_id: str = ""
    address: str = ""

    def may(self, permission: str) -> bool:
        """Whether this principal holds a permission."""
        return permission in self.permissions

    def seen(self, request_id: str, address: str) -> "Principal":
        """The same principal, asking in this request from this address."""
        return replace(self, request_id=request_id, address=address)

    def claims(self) -> str:
        """The JSON text of `request.jwt.claims`; empty entries are left out."""
        claims = {
            "sub": self.id,
            "role": _DATABASE_ROLES.get(self.role, "authenticated"),
            "sfp_role": self.role,
            "kind": self.kind,
            "name": self.name,
            "permissions": sorted(self.permissions),
            "request_id": self.request_id,
            "address": self.address,
        }
        return msgspec.json.encode({name: value for name, value in claims.items() if value}).decode()


_DATABASE_ROLES = {"service": "service_role", "anonymous": "anon"}

ANONYMOUS = Principal("anonymous", "anonymous", "anonymous", "anonymous", frozenset())


def system(name: str, *permissions: str) -> Principal:
    """A part of the server acting for itself, with exactly these permissions: `system("rescue", "task:work")`."""
    return Principal("system", name, name, "service", frozenset(permissions))
