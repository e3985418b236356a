"""Start, stop, destroy, migrate: each a list of steps, decided from how the instance is found."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from sfp_server.cmd import linux
from sfp_server.errors import SfpError
from sfp_server.host.base import Result, must
from sfp_server.ops import plan as plans
from sfp_server.ops.check import count, problems, refuse
from sfp_server.ops.facts import gather
from sfp_server.ops.interrupts import interruptible, shielded
from sfp_server.ops.lock import Lock, held
from sfp_server.ops.plan import Plan, Step
from sfp_server.ops.site import Seen, Site, is_in_place, listens_on, look, who
from sfp_server.ops.starting import Start
from sfp_server.ops.state import DATA_SERVICES, DISPATCHERS, alive

DRAIN = 150.0
"""Seconds that a worker gets to end: it lets its tasks end, and hands back those that do not in time by itself."""

KEPT = ("data", "backups", "server.yml", "secrets.yml")
"""What `destroy --keep-data` leaves: the data, and what is needed to start with it again."""


@dataclass(frozen=True)
class Outcome:
    """How an operation ended. `changed` is false where there was nothing to do."""

    changed: bool
    seen: Seen


def start(site: Site, restart: bool = False) -> Outcome:
    """Bring the instance up as its settings say. One that runs so already is left alone, unless `restart` is asked."""
    if not restart and _runs_as_wanted(site, seen := look(site)):
        return Outcome(False, seen)
    with _at_work(site, "start") as lock:
        if restart and alive((seen := look(site)).services):
            _run(site, lock, _stopping(site, seen, DRAIN))
        seen = look(site)
        _check(site, seen)
        wanted = site.wanted()
        steps = Start(site, wanted, seen).steps()
        _run(site, lock, Plan("start", wanted.name, steps, f"{site.instance.tenant} was not started", _LOGS))
    return Outcome(True, seen if site.dry else look(site))


def stop(site: Site, force: bool = False, drain: float = DRAIN) -> Outcome:
    """Let running tasks end, then stop every service; with `force`, at once. A stopped instance is left alone."""
    if not alive((seen := look(site)).services):
        return Outcome(False, seen)
    with _at_work(site, "stop") as lock:
        seen = look(site)
        _run(site, lock, _stopping(site, seen, 0 if force else drain))
    return Outcome(True, seen if site.dry else look(site))


def destroy(site: Site, keep_data: bool = False) -> Outcome:
    """Stop the instance and remove it: everything, or all but its data and what is needed to start with it again."""
    with _at_work(site, "destroy") as lock:
        seen = look(site)
        steps = _destroy_steps(site, seen, keep_data)
        _run(
            site, lock, Plan("destroy", _release_name(seen), steps, f"{site.instance.tenant} was not destroyed", _GO_ON)
        )
        _sweep(site, keep_data)  # journal and lock lie in what is removed here: it is beyond recording
    return Outcome(True, seen)


def migrate(site: Site, arguments: Sequence[str]) -> Result:
    """Run the server's migration program as it runs in a start. Only `--apply` changes something, and locks."""
    release = _running_release(site)
    if "--apply" not in arguments:
        return site.watching.run_once(release, "migrate", arguments)
    results: list[Result] = []

    def apply() -> str:
        results.append(site.engine.run_once(release, "migrate", arguments))
        return "applied" if results[-1].ok else f"failed ({results[-1].code})"

    with _at_work(site, "migrate") as lock:
        _run(site, lock, Plan("migrate", " ".join(arguments), [Step("migrate", apply)]))
    return results[-1]


_FOUND_BY = ("server.yml", "lock")
"""What goes last: an instance that is removed in part is still found by its name, so that a destroy goes on with it."""

_LOGS = "More of what it said: sfp server logs"
_GO_ON = "Go on with it: sfp server destroy"


@contextmanager
def _at_work(site: Site, what: str) -> Iterator[Lock | None]:
    """Hold the instance's lock; a dry run changes nothing, so it needs none."""
    if site.dry:
        yield None
        return
    with interruptible(), held(site.instance.lock, who(), what, site.clock) as lock:
        cut_off = site.journal.cut_off()
        if cut_off is not None:
            site.reporter.note(f"{cut_off.kind} by {cut_off.who} at {cut_off.at} was cut off: going on from there")
        yield lock


def _run(site: Site, lock: Lock | None, plan: Plan) -> None:
    if lock is None:
        plans.rehearse(plan, site.reporter)
    else:
        plans.run(plan, site.journal, lock, site.reporter, site.clock, shielded)


def _runs_as_wanted(site: Site, seen: Seen) -> bool:
    """A start that was cut off is done again even where all runs: its last steps may be missing."""
    if seen.status != "running" or site.journal.cut_off() is not None:
        return False
    return is_in_place(site.wanted(), seen)


def _check(site: Site, seen: Seen) -> None:
    began = site.clock.monotonic()
    own = listens_on(site, seen) if alive(seen.services) else ()
    ports = {port: use for port, use in site.ports.items() if port not in own}
    facts = gather(site.observed, site.instance, ports)
    refuse(problems(facts))
    site.reporter.done("check", f"{count(facts)} checks passed", site.clock.monotonic() - began)


def _stopping(site: Site, seen: Seen, drain: float) -> Plan:
    return Plan("stop", _release_name(seen), _stop_steps(site, seen, drain), f"{site.instance.tenant} was not stopped")


def _stop_steps(site: Site, seen: Seen, drain: float) -> list[Step]:
    """Draining can be taken back; stopping is short, and goes forward."""
    bundle, running = str(seen.release), alive(seen.services)
    dispatchers = [name for name in DISPATCHERS if name in running]
    others = [name for name in running if name not in DATA_SERVICES]

    def let_end() -> str:
        site.engine.down(bundle, dispatchers, timeout=drain)
        return "running tasks ended or were handed back"

    def accept_again() -> str:
        site.engine.up(bundle, dispatchers)
        return "tasks are accepted again"

    def down() -> str:
        if others and not drain:
            site.engine.down(bundle, others, timeout=0)
        site.engine.down(bundle)  # the data services are always asked: what they hold is not to be hurt
        return f"{len(running)} services"

    ending = [Step("drain", let_end, accept_again)] if dispatchers and drain else []
    return [*ending, Step("stop", down, no_return=True)]


def _destroy_steps(site: Site, seen: Seen, keep_data: bool) -> list[Step]:
    if seen.release is None:
        return []
    bundle = str(seen.release)

    def remove() -> str:
        site.engine.remove(bundle, keep_data)
        return "its services, the data stays" if keep_data else "its services and their data"

    stopping = _stop_steps(site, seen, 30) if alive(seen.services) else []
    return [*stopping, Step("remove", remove, no_return=True)]


def _sweep(site: Site, keep_data: bool) -> None:
    folder = site.instance.folder
    if keep_data:
        must(site.host, linux.clear(folder, KEPT))
        must(site.host, linux.remove(site.instance.run))
    else:
        must(site.host, linux.clear(folder, _FOUND_BY))
        must(site.host, linux.remove(site.instance.run, folder))


def _running_release(site: Site) -> str:
    seen = look(site)
    if seen.release is None or not alive(seen.services):
        raise SfpError(
            f"{site.instance.tenant} does not run, so its database cannot be asked.", "Start it: sfp server start"
        )
    return str(seen.release)


def _release_name(seen: Seen) -> str:
    return seen.release.name if seen.release else ""
