"""Docker's commands, and how their answers read."""

import json
import math
from collections.abc import Sequence
from typing import Any

from sfp_server.cmd.base import Cmd, cmd

_PROMPT = 30  # seconds; what only looks does not take longer, unless Docker hangs


def version() -> Cmd:
    """Versions of client and engine, as JSON; `Server` is null where no engine answers."""
    return cmd("docker", "version", "--format", "{{json .}}", timeout=_PROMPT)


def pull(image: str) -> Cmd:
    """Bring an image; by digest, Docker refuses other content."""
    return cmd("docker", "pull", image)


def inspect(kind: str, names: Sequence[str]) -> Cmd:
    """All that Docker knows of each `image` or `container`, as a JSON list of those that are there."""
    return cmd("docker", kind, "inspect", *names, timeout=_PROMPT)


def containers(label: str, running: bool = False) -> Cmd:
    """The full ids of containers by `label=value`, one a line."""
    return cmd("docker", "ps", *([] if running else ["--all"]), "--quiet", "--no-trunc", "--filter", f"label={label}")


def listed(kind: str, label: str) -> Cmd:
    """The names of each `network` or `volume` by `label=value`, one a line."""
    return cmd("docker", kind, "ls", "--filter", f"label={label}", "--format", "{{.Name}}")


def stats(ids: Sequence[str]) -> Cmd:
    """What running containers use now, one JSON object a line. Takes a second or two."""
    return cmd("docker", "stats", "--no-stream", "--no-trunc", "--format", "{{json .}}", *ids)


def logs(container: str, tail: int) -> Cmd:
    """The last lines that a container wrote."""
    return cmd("docker", "logs", "--tail", tail, container)


def execute(container: str, argv: Sequence[str]) -> Cmd:
    """A command inside a running container, in its settings."""
    return cmd("docker", "exec", container, *argv)


def stop(ids: Sequence[str], timeout: int) -> Cmd:
    """Ask containers to end, and after `timeout` seconds make them."""
    return cmd("docker", "stop", "-t", timeout, *ids)


def remove(kind: str, names: Sequence[str]) -> Cmd:
    """Remove each `container` (by force, with its unnamed volumes), `network`, `volume` or `image`."""
    force = ["--force", "--volumes"] if kind == "container" else []
    return cmd("docker", kind, "rm", *force, *names)


def parse(text: str) -> list[dict[str, Any]]:
    """JSON objects: as a list, or one a line (Compose before and since 2.21; `docker stats`)."""
    if text.lstrip().startswith("["):
        return list(json.loads(text))
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def parse_size(text: str) -> int:
    """Bytes in a size as Docker writes it: `12.5MiB`, `3kB`."""
    number = text.rstrip("KMGTkiB")
    unit = text[len(number) :].removesuffix("B")
    base = 1024 if unit.endswith("i") else 1000
    return round(float(number) * math.pow(base, " KMGT".index(unit[:1].upper() or " ")))
