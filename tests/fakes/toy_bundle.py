"""Bundles of tiny services for the embedded engine: shell lines that live, die, wait or refuse, as a test needs."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sfp_server import __version__

FOREVER = "exec sleep 1000"


def shell(line: str) -> list[str]:
    return ["/bin/sh", "-c", line]


def service(
    name: str, line: str = FOREVER, *, check: str = "", after: Sequence[str] = (), **more: Any
) -> dict[str, Any]:
    """One service that is a shell line; `check` is the line that says whether it is healthy (`start_period` 5 s)."""
    health = {"health": {"argv": shell(check), "start_period": 5, "interval": 0.2}} if check else {}
    return {
        "name": name, "argv": shell(line), "env_file": f"env/{name}.env", "after": list(after),
        "stop_timeout": 5, "image": f"{name} 1", **health, **more,
    }  # fmt: skip


def write(
    folder: Path, services: Sequence[dict[str, Any]], *, base: Path, env: Mapping[str, str] | None = None
) -> Path:
    """Write a bundle to `folder` for the instance at `base` (its `run`, `logs` and `data` lie there). `env` maps a
    service's name to the lines of its environment file."""
    (folder / "env").mkdir(parents=True, exist_ok=True)
    for entry in services:
        (folder / "env" / f"{entry['name']}.env").write_text((env or {}).get(entry["name"], ""))
    head = {"schema": "sfp.services", "version": 1, "tenant": "toy", "release": __version__}
    paths = {name: str(base / name) for name in ("run", "logs", "data")}
    (folder / "services.json").write_text(json.dumps({**head, **paths, "services": list(services)}))
    return folder
