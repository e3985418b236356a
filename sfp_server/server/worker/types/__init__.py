"""The types of task: what each accepts, and what it does inside a sandbox. Standard library only.

`validate` is pure and is called when a task is submitted; `run` is called in the sandbox and nowhere else.
`OWNER_ONLY` marks a type that needs the permission `task:command`.
"""

from collections.abc import Mapping
from typing import Final

from sfp_server.server.worker.types import command, ping, sf
from sfp_server.server.worker.types.base import Problem, TaskType

__all__ = ["TYPES", "Problem", "TaskType"]

TYPES: Final[Mapping[str, TaskType]] = {"sf": sf, "command": command, "ping": ping}
