"""Commands that every Linux has, and how their answers read."""

from collections.abc import Sequence
from dataclasses import replace

from sfp_server.cmd.base import Cmd, cmd


def remove(*paths: object) -> Cmd:
    """Remove files and folders with all that is in them; what is not there is removed already."""
    return cmd("rm", "-rf", "--", *paths)


def link(target: str, path: object) -> Cmd:
    """Make `path` a link to `target`, at once where it was another before (ln renames over it since coreutils 8.30)."""
    return cmd("ln", "-sfnT", target, path)


def private_folder(path: object) -> Cmd:
    """Make a folder that only its owner enters."""
    return cmd("install", "-d", "-m", "0700", path)


def mode(path: object) -> Cmd:
    """A file's mode as octal digits."""
    return cmd("stat", "-L", "-c", "%a", path)


def parse_mode(text: str) -> int | None:
    """The answer of `mode`."""
    return int(text, 8) if text.strip() else None


def clear(folder: object, keep: Sequence[str]) -> Cmd:
    """Remove all that is in a folder but what is kept by its name."""
    kept = [part for name in keep for part in ("!", "-name", name)]
    return cmd("find", folder, "-mindepth", 1, "-maxdepth", 1, *kept, "-exec", "rm", "-rf", "--", "{}", "+")


def size(path: object) -> Cmd:
    """The bytes that a folder takes on the disk."""
    return cmd("du", "-sB1", path)


def parse_size(text: str) -> int:
    """The answer of `size`; 0 where there is none."""
    first = text.split("\t", 1)[0]
    return int(first) if first.isdigit() else 0


def free(path: object) -> Cmd:
    """The bytes that may still be written to the disk that holds the path."""
    return cmd("df", "-B1", "--output=avail", path)


def parse_free(text: str) -> int | None:
    """The answer of `free`."""
    last = text.strip().rpartition("\n")[2].strip()
    return int(last) if last.isdigit() else None


LISTENING = Cmd(("cat", "/proc/net/tcp", "/proc/net/tcp6"))
"""The kernel's tables of TCP sockets (proc_net(5)); what is not readable is left out."""

_LISTEN = "0A"
_ON_LOOPBACK = ("00000000", "0100007F", "0" * 32, "0000000000000000FFFF00000100007F")


def parse_listening(text: str) -> dict[int, int]:
    """The answer of `LISTENING`: for each port of 127.0.0.1 that is listened on, the inode of the socket. One on every
    address counts; one on another address alone does not."""
    rows = (line.split() for line in text.splitlines())
    found = ((*row[1].split(":"), row[9]) for row in rows if len(row) > 9 and row[3] == _LISTEN)
    return {int(port, 16): int(inode) for address, port, inode in found if address in _ON_LOOPBACK}


def owners_of(inode: int) -> Cmd:
    """The file descriptors that are this socket; those of other users' processes are seen only by root."""
    return cmd("find", "/proc", "-maxdepth", 3, "-path", "/proc/[0-9]*/fd/*", "-lname", f"socket:[[]{inode}[]]")


def parse_owner(text: str) -> int | None:
    """The answer of `owners_of`: the first process's number."""
    first = text.split("\n", 1)[0].split("/")
    return int(first[2]) if len(first) > 2 and first[2].isdigit() else None


def program(pid: int) -> Cmd:
    """The name of a process's program."""
    return cmd("cat", f"/proc/{pid}/comm")


NOW = Cmd(("date", "-u", "+%s"))
"""The host's own time, in seconds since 1970."""


def alone(folder: object, command: Cmd) -> Cmd:
    """The command, when no other holds the folder (flock(1)); the lock ends with the command."""
    return replace(command, argv=("flock", "--close", str(folder), *command.argv))


def limited(seconds: float, command: Cmd) -> Cmd:
    """The command, ended after so many seconds (timeout(1)) with exit code 124, and soon by force."""
    return replace(command, argv=("timeout", "--kill-after=5", f"{seconds:g}", *command.argv))
