"""`migrate --status | --apply [--phase pre|post|all] | --verify [--json]`."""

import argparse
import asyncio
import json
import os
import sys

from sfp_server.server import migrate, settings
from sfp_server.server.migrate import PHASES, Report, Target


def main(arguments: list[str]) -> int:
    """Run it, and say where the database stands."""
    asked = _parser().parse_args(arguments)
    target = target_of(settings.load(os.environ, "migrate"))
    report = asyncio.run(_run(asked, target))
    sys.stdout.write((json.dumps(migrate.document(report)) if asked.json else _text(report)) + "\n")
    return 0


def target_of(read: settings.Settings) -> Target:
    """What to migrate, from the settings and the secrets of migrate."""
    return Target(
        admin_url=read.database_admin_url,
        api_url=read.database_url,
        database=read.database_name,
        release=read.version,
        config_version=read.config_version,
        admin_password=read.optional_secret("database-admin-password"),
        api_password=read.secret("database-password"),
        owner_token_hash=read.optional_secret("owner-token-hash"),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="migrate", description="Bring the database to this release's schema.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--status", action="store_true", help="say what is applied and what is pending")
    what.add_argument("--apply", action="store_true", help="apply what is pending")
    what.add_argument(
        "--verify", action="store_true", help="exit 3 where something is pending, 1 where it does not fit"
    )
    parser.add_argument(
        "--phase", choices=[*PHASES, "all"], default="all", help="of --apply: only before or after the code"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return parser


async def _run(asked: argparse.Namespace, target: Target) -> Report:
    if asked.status:
        return await migrate.status(target)
    if asked.verify:
        return await migrate.verify(target)
    return await migrate.apply(target, PHASES if asked.phase == "all" else (asked.phase,))


def _text(report: Report) -> str:
    lines = [f"applied  {migration.name}" for migration in report.done]
    lines += [f"pending  {migration.name}" for migration in report.pending]
    lines.append(f"schema {report.schema_version}, {len(report.applied)} migrations applied")
    return "\n".join(lines)
