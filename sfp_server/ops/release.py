"""A release: a version, and what belongs together with it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import sfp_server
from sfp_server.ops import config

_MIGRATION = re.compile(r"(\d{4})_(pre|post)_\w+\.sql")


@dataclass(frozen=True)
class Release:
    """What runs. `schema_version` is the number of its last migration, `config_version` the form of `server.yml` that
    it reads; `images` are references pinned by digest, by service, and none where services are processes."""

    version: str
    schema_version: int
    config_version: int
    images: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def installed() -> Release:
    """The release that is this installed package: what the embedded engine runs. The number of its schema is read off
    the names of its migrations."""
    package = Path(sfp_server.__file__).parent
    names = (_MIGRATION.fullmatch(path.name) for path in package.glob("server/migrations/*.sql"))
    return Release(sfp_server.__version__, max((int(name[1]) for name in names if name), default=0), config.VERSION)
