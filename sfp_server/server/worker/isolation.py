"""How strictly a sandbox is kept apart, as command lines of bubblewrap (bwrap(1)).

    user        namespaces of its own, and a user who owns nothing else; needs a launcher that is root
    namespaces  namespaces of its own, the launcher's user without any of its powers
    plain       a session and a folder of its own, nothing more: where bubblewrap is missing or not allowed

The first two see the programs of this machine read-only, a fresh /proc with no process but their own, and folders in
memory that vanish with them. All share the machine's network: repositories and Salesforce have to be reached.
"""

import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

Mode = Literal["user", "namespaces", "plain"]

WORK: Final = "/sandbox/task"
HOME: Final = "/sandbox/home"
IN_MEMORY: Final = ("/sandbox", "/tmp", "/dev")  # noqa: S108  # seen from inside

_PACKAGE: Final = Path(__file__).parents[2]
_INSIDE: Final = Path("/opt/sfp") / _PACKAGE.name  # where the package lies inside: not beside any other
_CHILD: Final = Path(__file__).with_name("child.py").relative_to(_PACKAGE)
_SYSTEM: Final = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_ETC: Final = (
    "resolv.conf", "hosts", "host.conf", "nsswitch.conf", "gai.conf", "services", "protocols", "localtime",
    "ssl/certs", "ssl/cert.pem", "ssl/openssl.cnf", "pki/tls/certs", "pki/tls/cert.pem", "pki/ca-trust",
    "ca-certificates", "ca-certificates.conf", "crypto-policies", "alternatives", "mime.types",
    "ld.so.cache", "ld.so.conf", "ld.so.conf.d",
)  # fmt: skip


@dataclass(frozen=True)
class Programs:
    """What of this machine a sandbox may use: an interpreter with its installation, and the toolchain."""

    python: Path
    prefix: Path
    toolchain: Path | None
    bubblewrap: str | None

    def path(self) -> str:
        """PATH inside."""
        first = [str(self.toolchain / "bin")] if self.toolchain else []
        return ":".join([*first, "/usr/local/bin", "/usr/bin", "/bin"])


def programs(toolchain: Path | None) -> Programs:
    """Those of this process; the interpreter is the one below a virtual environment, for nothing installed is used."""
    python = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    return Programs(python, Path(sys.base_prefix), toolchain, shutil.which("bwrap"))


def modes(chosen: Programs) -> Sequence[Mode]:
    """What can be tried here, the strictest first."""
    if chosen.bubblewrap is None:
        return ("plain",)
    return ("user", "namespaces", "plain") if os.getuid() == 0 and open_to_all(chosen) else ("namespaces", "plain")


def command(mode: Mode, chosen: Programs, size: int, passwd: int) -> list[str]:
    """The command line of one sandbox. `size` is the largest folder in memory, in bytes; `passwd` a descriptor from
    which bubblewrap reads the users that there are inside."""
    if mode == "plain":
        return _child(chosen, _PACKAGE)
    bubblewrap = [str(chosen.bubblewrap), *_apart(mode), *_seen(chosen, size, passwd)]
    return [*bubblewrap, "--remount-ro", "/proc", "--remount-ro", "/", "--", *_child(chosen, _INSIDE)]


def counts_apart(mode: Mode) -> bool:
    """Whether the kernel counts the processes of such a sandbox by themselves, so that they can be limited: those of a
    user of its own, or, from Linux 5.14 on, of a user namespace (but never root's)."""
    release = tuple(int(part) for part in re.findall(r"\d+", os.uname().release)[:2])
    return mode == "user" or (mode == "namespaces" and os.getuid() != 0 and release >= (5, 14))


def users(uid: int) -> bytes:
    """The passwd(5) of a sandbox: Node.js and ssh fail for a user who has no entry."""
    return f"root:x:0:0::/:/usr/sbin/nologin\nsfp:x:{uid}:{uid}::{HOME}:/bin/sh\n".encode()


def _child(chosen: Programs, package: Path) -> list[str]:
    return [str(chosen.python), "-I", "-S", "-B", str(package / _CHILD)]


def _apart(mode: Mode) -> list[str]:
    """Namespaces, and the end of everything when the launcher ends. Root inside `user` only gives itself up.

    Two traps, both of root: bubblewrap keeps every capability unless told otherwise, and in a user namespace the
    machine's root still owns /proc/sys, capabilities or not. So those are dropped, and /proc is read-only."""
    spaces = ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--hostname", "sandbox"]
    bound = ["--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    if mode == "user":
        return [*spaces, *bound, "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    return ["--unshare-user", "--uid", "1000", "--gid", "1000", *spaces, *bound]


def _seen(chosen: Programs, size: int, passwd: int) -> list[str]:
    """The file system, from nothing. Folders in memory come first: what is mounted below them must stay visible."""
    memory = ["--perms", "1777", "--size", str(size), "--tmpfs"]
    folders = [*memory, "/sandbox", *memory, "/tmp", "--perms", "1777", "--dir", WORK, "--perms", "1777", "--dir", HOME]  # noqa: S108
    users_file = ["--perms", "0444", "--ro-bind-data", str(passwd), "/etc/passwd"]
    binds = [*_system(), *_etc(), *_own(chosen)]
    return [*folders, "--proc", "/proc", "--dev", "/dev", *_above(binds[2::3]), *binds, *users_file]


def _system() -> Iterator[str]:
    yield from ("--ro-bind", "/usr", "/usr")
    for folder in map(Path, _SYSTEM):
        if folder.is_symlink():
            yield from ("--symlink", str(folder.readlink()), str(folder))
        elif folder.is_dir():
            yield from ("--ro-bind", str(folder), str(folder))


def _etc() -> Iterator[str]:
    for name in _ETC:
        source = Path("/etc") / name
        if source.exists():
            yield from ("--ro-bind", str(source.resolve()), str(source))


def _above(targets: Sequence[str]) -> Iterator[str]:
    """The folders above these, open to all: bubblewrap would make them for root alone."""
    above = {folder for target in targets for folder in Path(target).parents if len(folder.parts) > 1}
    for folder in sorted(above - {Path("/tmp"), Path("/sandbox")}):  # noqa: S108
        yield from ("--perms", "0755", "--dir", str(folder))


def _own(chosen: Programs) -> Iterator[str]:
    yield from ("--ro-bind", str(_PACKAGE), str(_INSIDE))
    wanted = [chosen.prefix, chosen.python.parent, *([chosen.toolchain] if chosen.toolchain else [])]
    for folder in dict.fromkeys([*wanted, *_reached(chosen.toolchain)]):
        if folder.is_dir() and not folder.is_relative_to("/usr") and not folder.is_relative_to("/bin"):
            yield from ("--ro-bind", str(folder), str(folder))


def _reached(toolchain: Path | None) -> list[Path]:
    """What lies outside of the toolchain and is reached by the links in its `bin`: no more than is needed."""
    programs = sorted((toolchain / "bin").iterdir()) if toolchain and (toolchain / "bin").is_dir() else []
    outside = [path.resolve() for path in programs if path.is_symlink() and path.exists()]
    return [_kept_in(path) for path in outside if toolchain and not path.is_relative_to(toolchain.resolve())]


def _kept_in(program: Path) -> Path:
    """The folder of a program; of one that npm installed, the whole node_modules, for it needs its neighbours."""
    return next((folder for folder in reversed(program.parents) if folder.name == "node_modules"), program.parent)


def open_to_all(chosen: Programs) -> bool:
    """Whether a user who owns nothing can read what a sandbox needs."""
    needed = [chosen.python, chosen.prefix, _PACKAGE, Path(__file__)]
    if chosen.toolchain and (chosen.toolchain / "bin").is_dir():
        needed += [chosen.toolchain, chosen.toolchain / "bin", *(chosen.toolchain / "bin").iterdir()]
    return all(path.stat().st_mode & 0o004 for path in needed if path.exists())
