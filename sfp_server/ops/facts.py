"""Facts of a host for `check`: each is a command that reads, and how its answer is read."""

from collections.abc import Mapping

from sfp_server.cmd import linux
from sfp_server.cmd.base import Cmd
from sfp_server.errors import RemoteError
from sfp_server.host.base import Host
from sfp_server.ops.check import Facts, Holder
from sfp_server.ops.instance import Instance


def gather(host: Host, instance: Instance, ports: Mapping[int, str]) -> Facts:
    """Look at the host. `ports` are those that the instance needs and does not itself hold yet."""
    return Facts(
        folder=str(instance.folder),
        secrets_file=str(instance.secrets_file),
        secrets_mode=linux.parse_mode(_answer(host, linux.mode(instance.secrets_file))),
        free=linux.parse_free(_answer(host, linux.free(instance.folder))),
        ports=ports,
        taken=_taken(host, ports),
    )


def _taken(host: Host, ports: Mapping[int, str]) -> dict[int, Holder]:
    listening = linux.parse_listening(_answer(host, linux.LISTENING)) if ports else {}
    return {port: _holder(host, listening[port]) for port in ports if port in listening}


def _holder(host: Host, inode: int) -> Holder:
    pid = linux.parse_owner(_answer(host, linux.owners_of(inode)))
    return Holder() if pid is None else Holder(_answer(host, linux.program(pid)).strip(), pid)


def _answer(host: Host, command: Cmd) -> str:
    """What the command wrote; nothing where the host has no such command or file."""
    try:
        return host.run(command).stdout
    except RemoteError:
        return ""
