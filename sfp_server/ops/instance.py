"""Where an instance lies: its paths, and how one is found by its name."""

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from sfp_server.errors import CheckError, UsageError

_NAME = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
_NAME_LENGTH = 32
_SOCKET_PATH = 100  # a Unix socket's path ends at 107 bytes on Linux, 103 on macOS
_SOCKET_NAME = 20  # the longest file name that stands in `run`, with its slash
_INIT = "Make one: sfp server init --tenant NAME"


@dataclass(frozen=True)
class Instance:
    """One organization's server as paths, and nothing else. `base` is absolute."""

    base: Path
    tenant: str

    @property
    def folder(self) -> Path:
        return self.base / "tenants" / self.tenant

    @property
    def settings_file(self) -> Path:
        return self.folder / "server.yml"

    @property
    def secrets_file(self) -> Path:
        return self.folder / "secrets.yml"

    @property
    def releases(self) -> Path:
        return self.folder / "releases"

    @property
    def current(self) -> Path:
        """A link to the release that runs, or is to run."""
        return self.folder / "current"

    @property
    def secrets(self) -> Path:
        """The secrets as files, one folder a service; written at start from `secrets_file`."""
        return self.folder / "secrets"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def run(self) -> Path:
        """Sockets and other short-lived files. Under /tmp where the tenant's own path is too long for a socket."""
        own = self.folder / "run"
        if len(os.fsencode(own)) + _SOCKET_NAME <= _SOCKET_PATH:
            return own
        return Path(f"/tmp/sfp-{os.getuid()}-{sha256(os.fsencode(self.folder)).hexdigest()[:12]}")  # noqa: S108

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def journal(self) -> Path:
        return self.folder / "journal.jsonl"

    @property
    def lock(self) -> Path:
        return self.folder / "lock"

    @property
    def backups(self) -> Path:
        return self.folder / "backups"


def base_dir(flag: Path | None, environ: Mapping[str, str]) -> Path:
    """The folder of all instances: the flag, else SFP_SERVER_HOME, else `~/.sfp-server`; always absolute."""
    chosen = flag or Path(environ.get("SFP_SERVER_HOME") or "~/.sfp-server")
    return Path(os.path.abspath(chosen.expanduser()))


def valid_name(name: str) -> bool:
    """Lower-case letters, digits and hyphens, a letter first, no hyphen last, at most 32 of them."""
    return len(name) <= _NAME_LENGTH and _NAME.fullmatch(name) is not None


def named(base: Path, tenant: str) -> Instance:
    """The instance of this name, there or not; a name that cannot be one is a `UsageError`."""
    if not valid_name(tenant):
        raise UsageError(
            f'the tenant\'s name "{tenant}" cannot be used.',
            f"Use lower-case letters, digits and hyphens, a letter first, at most {_NAME_LENGTH}: acme-prod",
        )
    return Instance(base, tenant)


def tenants(base: Path) -> list[str]:
    """The names of the instances under a base, sorted."""
    return sorted(path.parent.name for path in base.glob("tenants/*/server.yml") if valid_name(path.parent.name))


def find(base: Path, tenant: str | None) -> Instance:
    """The instance of this name, or the only one there is."""
    there = tenants(base)
    if tenant is None:
        return Instance(base, _only(base, there))
    instance = named(base, tenant)
    if tenant not in there:
        raise UsageError(f'there is no tenant "{tenant}" in {base}{_known(there)}.', _INIT)
    return instance


def make_run_folder(instance: Instance) -> Path:
    """Make the folder of the sockets, for its owner alone. One that others could have prepared is refused."""
    instance.run.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = instance.run.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise CheckError(
            f"{instance.run} is not a folder of yours alone.", f"Look whose it is, then remove it: rm -r {instance.run}"
        )
    return instance.run


def _only(base: Path, there: list[str]) -> str:
    if not there:
        raise UsageError(f"there is no tenant in {base} yet.", _INIT)
    if len(there) > 1:
        raise UsageError(f"there are {len(there)} tenants: {', '.join(there)}.", f"Name one: --tenant {there[0]}")
    return there[0]


def _known(there: list[str]) -> str:
    return f" (there is {', '.join(there)})" if there else ""
