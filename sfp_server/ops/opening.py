"""From an instance's settings to what an operation works with: here its engine and its host are chosen."""

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

from sfp_server.clock import SystemClock
from sfp_server.cmd.base import Cmd, cmd
from sfp_server.engine.base import Engine
from sfp_server.engine.embedded import EmbeddedEngine
from sfp_server.errors import SfpError
from sfp_server.host.base import Host
from sfp_server.host.dry import DryHost
from sfp_server.host.local import LocalHost
from sfp_server.ops import config as settings
from sfp_server.ops import secrets
from sfp_server.ops.config import Config
from sfp_server.ops.instance import Instance
from sfp_server.ops.plan import Reporter
from sfp_server.ops.release import installed
from sfp_server.ops.render import render
from sfp_server.ops.site import Site, Wanted


def opened(instance: Instance, reporter: Reporter, ask: Callable[[str], Mapping[str, Any]], dry: bool = False) -> Site:
    """The instance as its settings say. In a dry run everything that would be done goes to the reporter as notes."""
    config = settings.load(instance)
    real = LocalHost()
    acting: Host = DryHost(real, reporter.note) if dry else real
    return Site(
        instance=instance,
        host=acting,
        engine=_engine(config, acting),
        observed=real,
        watching=_engine(config, real),
        reporter=reporter,
        clock=SystemClock(),
        url=config.public_url,
        api=f"http://127.0.0.1:{config.http.port}",
        ports={config.http.port: "The API"},
        wanted=lambda: _wanted(instance, config),
        ask=ask,
        dry=dry,
    )


def _engine(config: Config, host: Host) -> Engine:
    if config.engine == "embedded":
        return EmbeddedEngine(host, sys.executable)
    raise SfpError(f"engine {config.engine} is not part of this release.", "sfp server config set engine embedded")


def _wanted(instance: Instance, config: Config) -> Wanted:
    values = secrets.load(instance)
    bundle = render(config, installed(), instance, values)
    listed = json.loads(bundle.files["services.json"])["services"]
    names = [service["name"] for service in listed if not service["job"]]
    return Wanted(bundle, names, secrets.secret_files(config, values), _toolchain(instance, config))


def _toolchain(instance: Instance, config: Config) -> Cmd | None:
    """One for all instances of a base: it is large, and no instance changes it."""
    if config.toolchain == "off":
        return None
    folder = instance.base / "toolchain"
    program = (sys.executable, "-m", "sfp_server.engine.programs", "toolchain")
    return cmd(*program, "--into", folder, "--mode", config.toolchain)
