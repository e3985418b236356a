"""Containers as Docker inspects them, and what people are told of a service from them."""

import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sfp_server.cmd import docker
from sfp_server.engine.base import Service
from sfp_server.engine.dockerd.bundle import Part

PROJECT = "com.docker.compose.project"
TENANT = "sfp.tenant"
"""The label of all that belongs to an instance, sandboxes and their network too, which Compose did not make."""

_SERVICE = "com.docker.compose.service"
_FILES = "com.docker.compose.project.config_files"
_ONE_OFF = "com.docker.compose.oneoff"
_RETURNS = ("always", "unless-stopped")  # policies by which a container that was not stopped comes back
_LONGEST = 200  # characters of what a check said


@dataclass(frozen=True)
class Container:
    """`status` and `health` are Docker's words; `image` is the id of what runs, `reference` how it was asked for.
    `file` is the one that it was made from; `stopped` says that it ended because somebody stopped it: by its policy it
    would run else."""

    id: str
    key: str
    status: str
    health: str
    image: str
    reference: str
    file: str
    code: int
    restarts: int
    started: float
    stopped: bool
    detail: str

    @property
    def well(self) -> bool:
        return self.status == "running" and self.health in ("healthy", "none")


def parse(text: str) -> list[Container]:
    """The answer of `docker container inspect`: the containers of services, not those of `run`."""
    found = [row for row in json.loads(text or "[]") if row["Config"]["Labels"].get(_ONE_OFF) != "True"]
    return [_container(row) for row in found]


def _container(row: Mapping[str, Any]) -> Container:
    state, config = row["State"], row["Config"]
    policy = row["HostConfig"]["RestartPolicy"]["Name"]
    return Container(
        id=row["Id"],
        key=config["Labels"].get(_SERVICE, ""),
        status=state["Status"],
        health=(state.get("Health") or {}).get("Status") or "none",
        image=row["Image"],
        reference=config["Image"],
        file=config["Labels"].get(_FILES, "").partition(",")[0],
        code=state["ExitCode"],
        restarts=row.get("RestartCount", 0),
        started=_moment(state["StartedAt"]),
        stopped=state["Status"] == "exited" and policy in _RETURNS and not state.get("Error"),
        detail=_detail(state),
    )


def _detail(state: Mapping[str, Any]) -> str:
    """What is wrong with it, in a few words; empty where nothing is."""
    if state.get("Error"):
        return str(state["Error"])
    if state["Status"] == "running":
        health = state.get("Health") or {}
        return _last_word(health.get("Log") or ()) if health.get("Status") == "unhealthy" else ""
    memory = ", for want of memory" if state.get("OOMKilled") else ""
    return f"ended with code {state['ExitCode']}{memory}" if state["Status"] in ("exited", "restarting") else ""


def _last_word(checks: Sequence[Mapping[str, Any]]) -> str:
    lines = str(checks[-1].get("Output", "")).split("\n") if checks else []
    said = [line.strip() for line in lines if line.strip()]
    return f"its check says: {said[-1][:_LONGEST]}" if said else "its check fails"


def service(name: str, parts: Sequence[Part], containers: Sequence[Container], now: float) -> Service:
    """One row: the service of this name, from the containers of its slots."""
    own = {part.key: part for part in parts}
    mine = sorted((found for found in containers if found.key in own), key=_best, reverse=True)
    there = [found for found in mine if _state(found) != "absent"]
    if not there:
        return Service(name, "absent", "none", parts[0].image)
    best = there[0]
    told = [_told(own[found.key], found) for found in there]
    return Service(
        name=name,
        state=_state(best),
        health=best.health if best.status == "running" else "none",
        image=best.reference,
        replicas=sum(found.status == "running" for found in there) or 1,
        uptime=max(0, round(now - best.started)) if best.status == "running" else 0,
        detail=", ".join(text for text in told if text),
    )


def serving(parts: Sequence[Part], containers: Sequence[Container], named: Set[str] = frozenset()) -> list[Part]:
    """Of the two slots of a service the one that is named, or else runs, or ran last, or is the first; of other
    services all."""
    if not parts[0].slot:
        return list(parts)
    found = {one.key: _best(one) for one in sorted(containers, key=_best)}
    never = (False, False, 0.0)
    return [max(parts, key=lambda part: (part.key in named, found.get(part.key, never)))]


def with_use(row: Service, ids: Sequence[str], used: Mapping[str, Mapping[str, str]]) -> Service:
    """The row with what its containers use, as `docker stats` says."""
    found = [used[id] for id in ids if id in used]
    if not found:
        return row
    cpu = sum(float(use["CPUPerc"].rstrip("%")) for use in found) / 100
    memory = sum(docker.parse_size(use["MemUsage"].partition(" / ")[0]) for use in found)
    return replace(row, cpu=cpu, memory=memory)


def _told(part: Part, container: Container) -> str:
    slot = f"({part.slot})" if part.slot else ""
    return " ".join(text for text in (slot, container.detail) if text)


def _state(container: Container) -> str:
    if container.stopped or (container.status == "created" and not container.detail):
        return "absent"
    return {"running": "running", "paused": "running", "restarting": "starting"}.get(container.status, "exited")


def _best(container: Container) -> tuple[bool, bool, float]:
    return container.well, container.status == "running", container.started


def _moment(text: str) -> float:
    """Seconds since 1970 of a time as Docker writes it, with nanoseconds; 0 where it never was."""
    whole = text.partition(".")[0].rstrip("Z")
    return 0.0 if whole.startswith("0001") else datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp()
