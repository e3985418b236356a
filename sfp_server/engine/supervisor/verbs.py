"""What a person or an engine asks of the supervisor: each verb to its end."""

import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sfp_server import __version__
from sfp_server.engine.supervisor import logs as files
from sfp_server.engine.supervisor.control import ask, reach
from sfp_server.engine.supervisor.leftovers import end_leftovers
from sfp_server.engine.supervisor.place import Place
from sfp_server.engine.supervisor.settings import environment
from sfp_server.engine.supervisor.spec import Bundle, Spec
from sfp_server.errors import SfpError

_TRIES = 3  # deaths in a row after which `up` gives its answer; the supervisor itself goes on trying
_LINES = 10  # of a log, in an error
_POLL = 0.05

Row = dict[str, Any]


def place_of(bundle: Bundle) -> Place:
    return Place(bundle.run, bundle.logs)


def up(bundle: Bundle, wanted: Sequence[str], timeout: float) -> None:
    """Start these services, and what they come after, and wait until all are healthy."""
    place, deadline = place_of(bundle), time.monotonic() + timeout
    names = [spec.name for spec in bundle.with_dependencies(wanted)]
    _end_other_version(place)
    answer = reach(place, op="up", bundle=str(bundle.folder), services=list(wanted))
    before = {row["name"]: row["restarts"] for row in answer["services"]}
    while True:
        rows = {row["name"]: row for row in _running(place)["services"]}
        waiting = [rows[name] for name in names if not _is_ready(rows[name])]
        if not waiting:
            return
        for row in waiting:
            _check_hope(bundle, row, before.get(row["name"], 0))
        if time.monotonic() > deadline:
            raise _failure(bundle, _first(waiting), f"did not become healthy in {timeout:g} s")
        time.sleep(_POLL)


def _end_other_version(place: Place) -> None:
    """A daemon of another version or installation would run its own programs, not ours."""
    running = ask(place, op="status")
    if running and (running["version"], running["prefix"]) != (__version__, sys.prefix):
        _stop(place, (), None)


def _running(place: Place) -> Row:
    status = ask(place, op="status")
    if status is None:
        raise SfpError("the services were stopped meanwhile.", f"Look at {place.log}")
    return status


def _is_ready(row: Row) -> bool:
    return row["state"] == "running" and row["health"] in ("healthy", "none") and row["detail"] != "being stopped"


def _check_hope(bundle: Bundle, row: Row, restarts: int) -> None:
    if row["restarts"] - restarts >= _TRIES:
        raise _failure(bundle, row, f"does not stay up: it {row['detail'] or 'ended again and again'}")
    if row["health"] == "unhealthy" and row["state"] == "running":
        health = bundle.spec(row["name"]).health
        raise _failure(bundle, row, f"did not become healthy in {health.start_period if health else 0:g} s")


def _first(rows: Sequence[Row]) -> Row:
    """The one that the others wait for."""
    return next((row for row in rows if not row["detail"].startswith("waits for")), rows[0])


def _failure(bundle: Bundle, row: Row, what: str) -> SfpError:
    name = row["name"]
    said = [line for line in files.tail(bundle.logs, name, 4 * _LINES) if not line.startswith("supervisor: ")]
    detail = [f"its check says: {row['detail']}"] if row["state"] == "running" and row["detail"] else []
    lines = [
        f"{name} {what}",
        *(f"    {line}" for line in detail),
        *(f"    {name} | {line}" for line in said[-_LINES:]),
    ]
    return SfpError("\n".join(lines), f"All it said: {files.log_path(bundle.logs, name)}")


def down(bundle: Bundle, wanted: Sequence[str], timeout: float | None) -> None:
    """Stop these services, or all and the supervisor with them; then nothing is left of them."""
    for name in wanted:
        bundle.spec(name)
    _stop(place_of(bundle), wanted, timeout)


def _stop(place: Place, wanted: Sequence[str], timeout: float | None) -> None:
    status = ask(place, op="down", services=list(wanted), timeout=timeout)
    while status is not None and (not wanted or _lives(status, wanted)):
        time.sleep(_POLL)
        status = ask(place, op="status")
    if status is None:
        _clean(place)


def _lives(status: Row, names: Sequence[str]) -> bool:
    return any(row["pid"] is not None for row in status["services"] if row["name"] in names)


def _clean(place: Place) -> None:
    """No daemon runs: end what one that was killed may have left. If one starts right now, it does that itself."""
    if not place.run.is_dir():
        return
    lock = place.take_lock()
    if lock is not None:
        with open(lock):
            end_leftovers(place, place.read_state())
            place.state.unlink(missing_ok=True)
            place.socket.unlink(missing_ok=True)


def ps(bundle: Bundle, with_statistics: bool) -> Row:
    """Every service of the bundle in its order, and who keeps them."""
    place = place_of(bundle)
    status = ask(place, op="status")
    found = {row["name"]: row for row in status["services"]} if status else _lost(place)
    rows = [{**_absent(spec), **found.get(spec.name, {})} for spec in bundle.services]
    if with_statistics:
        from sfp_server.engine.supervisor.statistics import add

        add(rows)
    who = {name: status[name] for name in ("daemon", "guard")} if status else {"daemon": None, "guard": None}
    return {"schema": "sfp.processes", "version": 1, **who, "services": rows}


def _absent(spec: Spec) -> Row:
    nothing = {"state": "absent", "health": "none", "replicas": 1, "uptime": 0, "detail": "", "pid": None}
    return {"name": spec.name, "image": spec.image, "restarts": 0, **nothing}


def _lost(place: Place) -> Mapping[str, Row]:
    """Without a daemon, what the last one was keeping when it was killed."""
    lost = {"state": "exited", "health": "none", "detail": "its supervisor was killed; start it again"}
    return {entry["name"]: lost for entry in place.read_state().get("units", [])}


def logs(bundle: Bundle, wanted: Sequence[str], count: int, follow: bool) -> Iterator[str]:
    """The last lines of these services, and what follows."""
    names = [spec.name for spec in bundle.chosen(wanted)]
    if follow:
        return files.follow(bundle.logs, names, count)
    return iter(files.merged(bundle.logs, names, count))


def run(bundle: Bundle, name: str, arguments: Sequence[str]) -> None:
    """Become the service's program with more arguments, in its settings; does not return."""
    spec = bundle.spec(name)
    _become(bundle, spec, [*bundle.argv(spec.argv, sys.executable), *arguments])


def execute(bundle: Bundle, name: str, argv: Sequence[str]) -> None:
    """Become a command in the settings of a running service; does not return."""
    spec = bundle.spec(name)
    status = ask(place_of(bundle), op="status")
    if not status or not _lives(status, [name]):
        raise SfpError(f"{name} is not running.")
    _become(bundle, spec, bundle.argv(argv, sys.executable))


def _become(bundle: Bundle, spec: Spec, argv: Sequence[str]) -> None:
    settings = environment(bundle, spec, os.environ)
    program = shutil.which(argv[0], path=settings.get("PATH")) if argv else None
    if program is None:
        raise SfpError(f"there is no program {argv[0] if argv else 'named'}.")
    place_of(bundle).make()
    os.chdir(bundle.run)
    os.execve(program, list(argv), settings)  # noqa: S606  # replaces this process


def problems(bundle: Bundle) -> list[str]:
    """What stands in the way of running this bundle here, as far as the supervisor can see."""
    found = []
    if not sys.platform.startswith("linux"):
        found.append(f"the supervisor needs Linux, this is {sys.platform}")
    try:
        place_of(bundle).make()
    except (SfpError, OSError) as error:
        found.append(str(error))
    missing = [spec for spec in bundle.specs if not _program(bundle, spec)]
    return found + [f"{spec.name}: there is no program {spec.argv[0]}" for spec in missing]


def _program(bundle: Bundle, spec: Spec) -> str | None:
    return shutil.which(bundle.argv(spec.argv[:1], sys.executable)[0])


def remove(bundle: Bundle, keep_data: bool) -> None:
    """Stop everything, and remove the folders of sockets and logs; the data too, unless it is kept."""
    down(bundle, (), None)
    folders = [bundle.run, bundle.logs, *([bundle.data] if bundle.data and not keep_data else [])]
    for folder in folders:
        _remove(folder)


def _remove(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        raise SfpError(f"{folder} cannot be removed: {error}") from None
