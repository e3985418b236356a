"""What happened, written in the transaction of the change: audit entry and outbox event in one row.

Who acted, when, in which request and from where are the row's defaults, taken from the transaction's claims.
"""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from sfp_server.server.db import Connection

Outcome = Literal["ok", "denied", "failed", "stale"]

_INSERT = "INSERT INTO sfp.event (action, resource, outcome, data) VALUES ($1, $2, $3, $4)"


async def note(
    connection: Connection,
    action: str,
    resource: str,
    outcome: Outcome = "ok",
    data: Mapping[str, Any] | None = None,
) -> None:
    """Write that the acting principal did `action` (`task.cancel`) to `resource` (`task/<id>`)."""
    await connection.execute(_INSERT, action, resource, outcome, msgspec.json.encode(data or {}).decode())
