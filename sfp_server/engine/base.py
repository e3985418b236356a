"""What every engine can do with a bundle on a host. `tests/contract/` holds the suite that each one passes.

An engine decides nothing about the instance: the order of a start, what to verify and when to go back stand in `ops`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from sfp_server.host.base import Result


@dataclass(frozen=True)
class Service:
    """A service as it is now.

    `state` is running, starting, exited or absent; `health` is healthy, unhealthy, starting or none (it has no check).
    `image` is what runs (a pinned reference, or a program and its version); `uptime` is in whole seconds, 0 where it
    does not run; `detail` is the reason where something is wrong; `cpu` is a share of one core, `memory` bytes, both
    only where statistics were asked for.
    """

    name: str
    state: str
    health: str
    image: str
    replicas: int = 1
    uptime: int = 0
    detail: str = ""
    cpu: float | None = None
    memory: int | None = None


class Engine(Protocol):
    """A bundle's services on one host. `bundle` is the folder of a rendered release there.

    Every method is safe to repeat and converges on what it finds. Where a service cannot be had, the error carries
    the last lines that it wrote.
    """

    name: str

    def problems(self, bundle: str) -> Sequence[str]:
        """What on this host stands in the way of running the bundle: one line each, none is good."""
        ...

    def fetch(self, bundle: str) -> Iterator[str]:
        """Bring to the host all that the bundle names, and say how it goes on, a line at a time; an error where what
        came is not what the bundle says. Nothing that runs is touched."""
        ...

    def verify(self, bundle: str) -> Sequence[str]:
        """What runs, or would, and is not what the bundle says it is: one line each, none is good."""
        ...

    def up(self, bundle: str, services: Sequence[str] = (), timeout: float = 120) -> None:
        """Start these services (all where none is named) in order of their dependencies and wait until they are
        healthy. What runs as the bundle says is left alone."""
        ...

    def down(self, bundle: str, services: Sequence[str] = (), timeout: float = 30) -> None:
        """Stop these services (all where none is named) in reverse order: ask, wait up to `timeout` seconds each,
        then kill. Data stays."""
        ...

    def ps(self, bundle: str, stats: bool = False) -> Sequence[Service]:
        """Every service of the bundle, in its order, running or not."""
        ...

    def logs(self, bundle: str, services: Sequence[str] = (), tail: int = 100, follow: bool = False) -> Iterator[str]:
        """The last `tail` lines of each service as `service | line`, and what follows where asked."""
        ...

    def run_once(self, bundle: str, service: str, arguments: Sequence[str]) -> Result:
        """Run one of the server's programs to its end in the settings of a service: `migrate --apply`."""
        ...

    def exec(self, bundle: str, service: str, argv: Sequence[str]) -> Result:
        """Run a command inside a running service."""
        ...

    def remove(self, bundle: str, keep_data: bool = False) -> None:
        """Stop everything and remove what the engine made; the data too, unless it is kept."""
        ...
