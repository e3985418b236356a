"""Backup and restore, in a later release."""

from sfp_server.errors import UsageError


def main(arguments: list[str]) -> int:
    """Say that there is none yet."""
    raise UsageError(
        "backup comes with a later release", "Until then: pg_dump of the database, and a copy of the objects."
    )
