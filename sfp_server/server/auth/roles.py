"""Roles and what they permit: one table, and nothing is permitted that does not stand in it."""

from collections.abc import Mapping
from types import MappingProxyType

_EVERYBODY = frozenset({"health:read", "task:cancel", "task:read", "task:submit", "task:submit:critical"})

# Permissions of people and programs outside. What only parts of the server itself may do (`task:work`,
# `token:verify`) belongs to no role: `principal.system` grants it by name.
PERMISSIONS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "owner": _EVERYBODY | {"event:read", "task:cancel:any", "task:command", "token:manage"},
        "member": _EVERYBODY,
        "application": _EVERYBODY,
    }
)


def permissions(role: str) -> frozenset[str]:
    """What a role permits; an unknown one permits nothing."""
    return PERMISSIONS.get(role, frozenset())
