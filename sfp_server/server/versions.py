"""Release, configuration and schema belong together, or nothing starts."""

import json

import asyncpg

from sfp_server import __version__
from sfp_server.errors import SfpError
from sfp_server.server import migrate
from sfp_server.server.db import Database
from sfp_server.server.migrate import Applied
from sfp_server.server.migrations import packaged
from sfp_server.server.principal import Principal, system
from sfp_server.server.settings import Settings

_STATE = "SELECT * FROM sfp.instance_state($1::jsonb)"
_MIGRATE = "Run: sfp server migrate --apply"
_READER = system("versions")


async def check(database: Database, settings: Settings) -> None:
    """Refuse to start where this program, its configuration and the database do not belong together."""
    if settings.version != __version__:
        raise SfpError(f"this is release {__version__}, its configuration was rendered for {settings.version}", _AGAIN)
    row = await _state(database)
    applied = [Applied(name=f"{entry['number']:04}", **entry) for entry in json.loads(row["migrations"])]
    _check_schema(applied)
    belongs = (row["release"], row["config_version"])
    if belongs != (settings.version, settings.config_version):
        have = f"release {belongs[0]} with configuration version {belongs[1]}"
        want = f"release {settings.version} with configuration version {settings.config_version}"
        raise SfpError(f"the database belongs to {have}, this is {want}", _MIGRATE)


async def schema_version(database: Database, reader: Principal = _READER) -> int:
    """The newest migration that the database has."""
    rows = await database.read(reader, _STATE)
    return int(rows[0]["schema_version"]) if rows else 0


_AGAIN = "Start the instance again, so that both are of one release: sfp server start"


async def _state(database: Database) -> asyncpg.Record:
    try:
        rows = await database.read(_READER, _STATE)
    except (asyncpg.UndefinedFunctionError, asyncpg.InvalidSchemaNameError, asyncpg.InvalidCatalogNameError) as error:
        raise SfpError("the database has no schema yet", _MIGRATE) from error
    except asyncpg.InvalidAuthorizationSpecificationError as error:
        raise SfpError(f"the database does not let us in: {error}", _MIGRATE) from error
    if not rows:
        raise SfpError("the database does not say which release it belongs to", _MIGRATE)
    return rows[0]


def _check_schema(applied: list[Applied]) -> None:
    known = packaged()
    named = {migration.number: migration.name for migration in known}
    migrate.check([Applied(e.number, named.get(e.number, e.name), e.checksum, e.compatible) for e in applied], known)
    present = {entry.number for entry in applied}
    pending = [migration.name for migration in known if migration.phase == "pre" and migration.number not in present]
    if pending:
        raise SfpError(f"the database is older than this release: {', '.join(pending)} not applied", _MIGRATE)
