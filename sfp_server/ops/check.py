"""What stands in the way of a start, decided from facts. Nothing is looked up here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sfp_server.errors import CheckError

MINIMUM_FREE = 1 << 30
"""Bytes that have to be free where the instance lies: PostgreSQL stops, and not gently, on a full disk."""

_GIB = 1 << 30
_MIB = 1 << 20


@dataclass(frozen=True)
class Holder:
    """Who listens on a port, as far as it can be known."""

    program: str = ""
    pid: int | None = None


@dataclass(frozen=True)
class Facts:
    """What was found on the host. None means that it could not be known, which is no problem of its own.

    `taken` holds, of the ports that the instance needs, those on which somebody else listens; `ports` says what each
    is needed for.
    """

    folder: str
    secrets_file: str
    secrets_mode: int | None
    free: int | None
    ports: Mapping[int, str]
    taken: Mapping[int, Holder]


@dataclass(frozen=True)
class Problem:
    """One thing in the way, and what to do about it."""

    text: str
    hint: str


def problems(facts: Facts) -> list[Problem]:
    """Everything in the way, all at once; none is good."""
    return [*_secrets(facts), *_disk(facts), *_ports(facts)]


def count(facts: Facts) -> int:
    """How many checks `problems` makes of these facts."""
    return 2 + len(facts.ports)


def refuse(found: Sequence[Problem]) -> None:
    """Raise what was found as one `CheckError`."""
    if len(found) == 1:
        raise CheckError(found[0].text, found[0].hint)
    if found:
        told = [f"  {problem.text}\n    {problem.hint}" for problem in found]
        raise CheckError("\n".join([f"{len(found)} things stand in the way.", *told]), "Then again: sfp server start")


def _secrets(facts: Facts) -> list[Problem]:
    if facts.secrets_mode is None or facts.secrets_mode & 0o077 == 0:
        return []
    return [
        Problem(
            f"{facts.secrets_file} can be read by others (mode {facts.secrets_mode:04o}).",
            f"Make it yours alone: chmod 600 {facts.secrets_file}",
        )
    ]


def _disk(facts: Facts) -> list[Problem]:
    if facts.free is None or facts.free >= MINIMUM_FREE:
        return []
    return [
        Problem(
            f"the disk that holds {facts.folder} has {_amount(facts.free)} free; {_amount(MINIMUM_FREE)} is needed.",
            f"Make room, or move the instances: --base-dir DIR on a larger disk. What is full: df -h {facts.folder}",
        )
    ]


def _ports(facts: Facts) -> list[Problem]:
    return [_port(port, facts.ports.get(port, ""), holder) for port, holder in sorted(facts.taken.items())]


def _port(port: int, use: str, holder: Holder) -> Problem:
    return Problem(
        f"port {port} on this machine is taken{_by(holder)}.",
        f"{use} needs it. Stop {holder.program or 'that program'}, or take another: "
        "sfp server config set http.port PORT",
    )


def _by(holder: Holder) -> str:
    if holder.pid is None:
        return ""
    return f" by {holder.program or 'a program'} (pid {holder.pid})"


def _amount(size: int) -> str:
    return f"{size / _GIB:.1f} GiB" if size >= _GIB else f"{size // _MIB} MiB"
