"""Bundles of toy services for the Compose engine: the services of `toy_bundle`, each in a container."""

from collections.abc import Mapping, Sequence, Set
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

SHARED = "/toy"
"""Where the folder that all services of an instance share is in a container."""


def write(
    folder: Path,
    services: Sequence[dict[str, Any]],
    *,
    project: str,
    image: str,
    shared: Path,
    env: Mapping[str, str] | None = None,
) -> Path:
    """Write a bundle to `folder`. `services` are as `toy_bundle.service` makes them; each gets the volume `data`."""
    (folder / "env").mkdir(parents=True, exist_ok=True)
    shared.mkdir(parents=True, exist_ok=True)
    made = {}
    checked = {entry["name"] for entry in services if "health" in entry}
    for entry in services:
        text = (env or {}).get(entry["name"], "")
        (folder / f"env/{entry['name']}.env").write_text(text)
        made[entry["name"]] = _service(entry, image, shared, text, checked)
    document = {"name": project, "services": made, "volumes": {"data": {}}}
    (folder / "compose.yml").write_text(yaml.safe_dump(document, sort_keys=False))
    return folder


def _service(entry: Mapping[str, Any], image: str, shared: Path, env: str, checked: Set[str]) -> dict[str, Any]:
    """`sfp.environment` is what makes Compose see another environment file: it looks at names only."""
    condition = {True: "service_healthy", False: "service_started"}
    after = {name: {"condition": condition[name in checked]} for name in entry.get("after", ())}
    return {
        "image": entry.get("reference", image),
        "init": True,
        "command": [word.replace("$", "$$") for word in entry["argv"]],
        "working_dir": SHARED,
        "env_file": [f"env/{entry['name']}.env"],
        "labels": {"sfp.environment": sha256(env.encode()).hexdigest()},
        "volumes": ["data:/data", f"{shared}:{SHARED}"],
        "depends_on": after,
        "stop_grace_period": f"{entry['stop_timeout']}s",
        **({"profiles": ["job"]} if entry.get("job") else {"restart": "unless-stopped"}),
        **({"healthcheck": _check(entry["health"])} if "health" in entry else {}),
        **entry.get("compose", {}),
    }


def _check(health: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "test": ["CMD", *(word.replace("$", "$$") for word in health["argv"])],
        "interval": "200ms",
        "start_interval": "200ms",
        "start_period": f"{health['start_period'] * 1000:.0f}ms",
        "timeout": "5s",
        "retries": 1,
    }
