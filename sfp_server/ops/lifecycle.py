"""Start, stop, destroy, migrate: each a list of steps, decided from how the instance is found."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from sfp_server.cmd import linux
from sfp_server.errors import RemoteError, SfpError
from sfp_server.host.base import Result, must
from sfp_server.ops import plan as plans
from sfp_server.ops.check import count, problems, refuse
from sfp_server.ops.facts import gather
from sfp_server.ops.interrupts import interruptible, shielded
from sfp_server.ops.lock import Lock, held
from sfp_server.ops.plan import Plan, Step
from sfp_server.ops.site import Seen, Site, Wanted, look
from sfp_server.ops.starting import Start, is_running
from sfp_server.ops.state import DISPATCHERS, alive

DRAIN = 300.0
"""Seconds that running tasks get to end in a stop; then they are handed back."""

KEPT = ("data", "backups", "server.yml", "secrets.yml")
"""What `destroy --keep-data` leaves: the data, and what is needed to start with it again."""


@dataclass(frozen=True)
class Outcome:
    """How an operation ended. `changed` is false where there was nothing to do."""

    changed: bool
    seen: Seen


def start(site: Site, restart: bool = False) -> Outcome:
    """Bring the instance up as its settings say. One that runs so already is left alone, unless `restart` is asked."""
    seen = look(site)
    if not restart and seen.status == "running" and is_running(site.wanted(), seen):
        return Outcome(False, seen)
    with _at_work(site, "start") as lock:
        seen = look(site)
        _check(site, seen, restart)
        wanted = site.wanted()
        stopping = _stop_steps(site, seen, DRAIN) if restart and alive(seen.services) else []
        before = Seen(seen.release, seen.manifest, ()) if stopping else seen
        steps = [*stopping, *Start(site, wanted, before).steps()]
        _run(site, lock, Plan("start", wanted.name, steps, f"{site.tenant} was not started", _look_at_logs(site)))
    return Outcome(True, seen if site.dry else look(site))


def stop(site: Site, force: bool = False, drain: float = DRAIN) -> Outcome:
    """Let running tasks end, then stop every service; with `force`, at once. A stopped instance is left alone."""
    if not alive((seen := look(site)).services):
        return Outcome(False, seen)
    with _at_work(site, "stop") as lock:
        seen = look(site)
        steps = _stop_steps(site, seen, 0 if force else drain)
        _run(site, lock, Plan("stop", _release_name(seen), steps, f"{site.tenant} was not stopped"))
    return Outcome(True, seen if site.dry else look(site))


def destroy(site: Site, keep_data: bool = False) -> Outcome:
    """Stop the instance and remove it: everything, or all but its data and what is needed to start with it again."""
    with _at_work(site, "destroy") as lock:
        seen = look(site)
        steps = _destroy_steps(site, seen, keep_data)
        _run(site, lock, Plan("destroy", _release_name(seen), steps, f"{site.tenant} was not destroyed", _GO_ON))
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


_GO_ON = "Go on with it: sfp server destroy"


@contextmanager
def _at_work(site: Site, what: str) -> Iterator[Lock | None]:
    """Hold the instance's lock; a dry run changes nothing, so it needs none."""
    if site.dry:
        yield None
        return
    from sfp_server.ops.site import who

    with interruptible(), held(site.instance.lock, who(), what, site.clock) as lock:
        cut_off = site.journal.cut_off()
        if cut_off is not None:
            site.reporter.note(f"{cut_off.kind} of {cut_off.at} by {cut_off.who} was cut off; going on from what is there")
        yield lock


def _run(site: Site, lock: Lock | None, plan: Plan) -> None:
    if lock is None:
        plans.rehearse(plan, site.reporter)
    else:
        plans.run(plan, site.journal, lock, site.reporter, site.clock, shielded)


def _check(site: Site, seen: Seen, restart: bool) -> None:
    began = site.clock.monotonic()
    ports = {} if alive(seen.services) else site.wanted().ports
    facts = gather(site.observed, site.instance, site.tenant, ports)
    refuse(problems(facts))
    site.reporter.done("check", f"{count(facts)} checks passed", site.clock.monotonic() - began)


def _stop_steps(site: Site, seen: Seen, drain: float) -> list[Step]:
    """Draining can be taken back; stopping is short, and goes forward."""
    bundle, running = str(seen.release), alive(seen.services)
    dispatchers = [name for name in DISPATCHERS if name in running]

    def let_end() -> str:
        site.engine.down(bundle, dispatchers, timeout=drain)
        return "running tasks ended or were handed back"

    def accept_again() -> str:
        site.engine.up(bundle, dispatchers)
        return "tasks are accepted again"

    def down() -> str:
        site.engine.down(bundle, timeout=30 if drain else 0)
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
        must(site.host, linux.remove(site.instance.run, folder))


def _running_release(site: Site) -> str:
    seen = look(site)
    if seen.release is None or "postgres" not in alive(seen.services):
        raise SfpError(f"{site.tenant} does not run, so its database cannot be asked.", "Start it: sfp server start")
    return str(seen.release)


def _release_name(seen: Seen) -> str:
    return seen.release.name if seen.release else ""


def _look_at_logs(site: Site) -> str:
    return "More of what it said: sfp server logs"
