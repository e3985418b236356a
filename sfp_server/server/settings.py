"""What the environment says, read once at the start and strictly: everything that is wrong is said at once.

Secrets are not in the environment; they are files of one folder, read where they are needed.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import urlsplit

from sfp_server.errors import SfpError

T = TypeVar("T")

CLASSES = ("critical", "normal", "batch")


@dataclass(frozen=True)
class Settings:
    """The settings of the server's programs; each uses those that concern it. Sizes are bytes, times seconds."""

    tenant: str = ""
    version: str = ""
    config_version: int = 0
    deployment: str = "self"
    public_url: str = ""
    listen: tuple[str, int] = ("127.0.0.1", 3029)
    trusted_proxies: str = "none"  # whose word on a client's address counts; "none" is the address of nobody
    rate_limit: int = 100
    database_url: str = ""
    database_admin_url: str = ""
    redis_url: str = ""
    objects_url: str = ""
    launcher_socket: Path = Path("/run/sfp/launcher.sock")
    launcher_group: int | None = None
    workers: Mapping[str, int] = field(default_factory=lambda: MappingProxyType(dict.fromkeys(CLASSES, 1)))
    task_attempts: int = 3
    task_timeout: float = 3600
    sandbox: str = "process"
    sandbox_dir: Path = Path("/var/lib/sfp/sandboxes")
    sandbox_memory: int = 2 * 1024**3
    sandbox_cpus: float = 1
    sandbox_pids: int = 512
    sandbox_image: str = ""
    sandbox_network: str = ""
    toolchain: Path | None = None
    heartbeat: Path | None = None
    log_level: str = "info"
    secrets: Path = Path("/run/secrets")

    @property
    def database_name(self) -> str:
        return urlsplit(self.database_url).path.lstrip("/") or "sfp"

    def secret(self, name: str) -> str:
        """The content of a secret's file. One that is missing or empty is an error."""
        value = self.optional_secret(name)
        if not value:
            raise SfpError(f"the secret {name} is missing in {self.secrets}", "It is written when the instance starts.")
        return value

    def optional_secret(self, name: str) -> str:
        """The content of a secret's file, or nothing where there is none."""
        try:
            return (self.secrets / name).read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return ""


# What each program cannot do without.
_COMMON = ("SFP_TENANT", "SFP_VERSION", "SFP_CONFIG_VERSION")
NEEDED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "api": (*_COMMON, "SFP_PUBLIC_URL", "SFP_LISTEN", "SFP_DATABASE_URL", "SFP_REDIS_URL", "SFP_OBJECTS_URL"),
        "dispatcher": (*_COMMON, "SFP_DATABASE_URL", "SFP_REDIS_URL", "SFP_OBJECTS_URL", "SFP_LAUNCHER_SOCKET"),
        "launcher": ("SFP_VERSION", "SFP_LAUNCHER_SOCKET", "SFP_SANDBOX_DIR"),
        "migrate": ("SFP_VERSION", "SFP_CONFIG_VERSION", "SFP_DATABASE_URL", "SFP_DATABASE_ADMIN_URL"),
    }
)


def load(environ: Mapping[str, str], program: str = "") -> Settings:
    """The settings of a program, or one error that names every variable that is missing or wrong."""
    missing = [f"{name}: is missing" for name in NEEDED.get(program, ()) if not environ.get(name)]
    values, wrong = _parse(environ)
    if missing or wrong:
        raise SfpError("settings: " + "; ".join(missing + wrong), "They are rendered from server.yml.")
    return Settings(**values)


def _parse(environ: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    values: dict[str, Any] = {}
    wrong: list[str] = []
    for name, parse in _PARSERS.items():
        text = environ.get(f"SFP_{name.upper()}", "")
        if text:
            try:
                values[name] = parse(text)
            except ValueError as error:
                wrong.append(f"SFP_{name.upper()}: {error}")
    return values, wrong


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f'must be one of {", ".join(choices)}, is "{text}"')
        return text

    return parse


def _number(kind: Callable[[str], T], low: T, high: T) -> Callable[[str], T]:
    def parse(text: str) -> T:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high:  # type: ignore[operator]
            raise ValueError(f'must be a number from {low} to {high}, is "{text}"')
        return value

    return parse


def _url(*schemes: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if urlsplit(text).scheme not in schemes:
            raise ValueError(f'not a URL of {" or ".join(schemes)} ("{_without_password(text)}")')
        return text

    return parse


def _without_password(url: str) -> str:
    return url.rpartition("@")[2]


def _listen(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 <= int(port) <= 65535:
        raise ValueError(f'must be HOST:PORT, is "{text}"')
    return host.strip("[]"), int(port)


def _workers(text: str) -> Mapping[str, int]:
    counts = text.split(",")
    if len(counts) != len(CLASSES) or not all(count.isdecimal() and int(count) <= 10 for count in counts):
        raise ValueError(f'must be three numbers from 0 to 10 (critical,normal,batch), is "{text}"')
    return MappingProxyType(dict(zip(CLASSES, map(int, counts), strict=True)))


def _pinned(text: str) -> str:
    """A digest names one content for ever; a tag can be moved to another."""
    if not re.fullmatch(r"[^@\s]+@sha256:[0-9a-f]{64}", text):
        raise ValueError(f'must be an image by its digest, NAME@sha256:…, is "{text}"')
    return text


def _path(text: str) -> Path:
    path = Path(text)
    if not path.is_absolute():
        raise ValueError(f'must be an absolute path, is "{text}"')
    return path


_PARSERS: Mapping[str, Callable[[str], Any]] = MappingProxyType(
    {
        "tenant": str,
        "version": str,
        "config_version": _number(int, 1, 10_000),
        "deployment": _one_of("self", "managed"),
        "public_url": _url("http", "https"),
        "listen": _listen,
        "trusted_proxies": str,
        "rate_limit": _number(int, 1, 1_000_000),
        "database_url": _url("postgresql", "postgres"),
        "database_admin_url": _url("postgresql", "postgres"),
        "redis_url": _url("unix", "redis", "rediss"),
        "objects_url": _url("file", "s3"),
        "launcher_socket": _path,
        "launcher_group": _number(int, 0, 2**32 - 2),
        "workers": _workers,
        "task_attempts": _number(int, 1, 100),
        "task_timeout": _number(float, 1.0, 7 * 86400.0),
        "sandbox": _one_of("process", "docker"),
        "sandbox_dir": _path,
        "sandbox_memory": _number(int, 16 * 1024**2, 1024**4),
        "sandbox_cpus": _number(float, 0.1, 1024.0),
        "sandbox_pids": _number(int, 16, 1_000_000),
        "sandbox_image": _pinned,
        "sandbox_network": str,
        "toolchain": _path,
        "heartbeat": _path,
        "log_level": _one_of("debug", "info", "warning", "error"),
        "secrets": _path,
    }
)
