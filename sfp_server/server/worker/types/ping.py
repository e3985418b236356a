"""`ping`: answers at once. Shows that queue, dispatcher, launcher and sandbox work."""

from typing import Any, Final

from sfp_server.server.worker.types import checks
from sfp_server.server.worker.types.base import Context, Problem

OWNER_ONLY: Final = False


def validate(data: Any) -> list[Problem]:
    """`{echo?}`: anything, comes back as it is; nothing at all is fine too."""
    return [] if data is None else checks.fields(data, ("echo",))


def run(context: Context) -> Any:
    """`{pong: true, echo}`."""
    context.log("pong")
    return {"pong": True, "echo": context.data.get("echo")}
