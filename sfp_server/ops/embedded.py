"""The services of an instance as processes of one machine: their settings, their order, how each is started and asked.

`{python}` and `{bundle}` stay as they are: the supervisor puts in its own Python and the bundle's folder.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from sfp_server.ops.config import Config
from sfp_server.ops.config_versions import CLASSES
from sfp_server.ops.environment import (
    Environment,
    common,
    outside_database,
    outside_objects,
    sandbox_limits,
    task_defaults,
    worker_counts,
)
from sfp_server.ops.instance import Instance
from sfp_server.ops.release import Release

_SERVER = ("{python}", "-m", "sfp_server.server")
_PROGRAMS = ("{python}", "-m", "sfp_server.engine.programs")
_WORKERS = tuple(f"{name}-worker" for name in CLASSES)
_DRAIN = 120  # seconds in which a worker lets its tasks end before they are handed back


def services(config: Config, release: Release, instance: Instance) -> Mapping[str, Any]:
    """The document `services.json`: what to run, in which order, and how to tell that it works."""
    listed = [*_data_services(config, instance), _migrate(config), *_server_services(config)]
    return {
        "schema": "sfp.services",
        "version": 1,
        "tenant": config.tenant,
        "release": release.version,
        "run": str(instance.run),
        "logs": str(instance.logs),
        "data": str(instance.data),
        "services": [_complete(service, release, instance) for service in listed],
    }


def environment(config: Config, release: Release, instance: Instance) -> Mapping[str, Environment]:
    """The settings of each service, by its name. None is secret."""
    base = common(config, release)
    launcher = {"SFP_LAUNCHER_SOCKET": str(instance.run / "launcher.sock")}
    server = {**base, **_addresses(config, instance), **launcher, **worker_counts(config), **task_defaults(config)}
    own: dict[str, Environment] = {
        "api": {**server, "SFP_LISTEN": f"127.0.0.1:{config.http.port}"},
        "migrate": {**server, "SFP_DATABASE_ADMIN_URL": _admin_url(config, instance)},
        **{name: {**server, "SFP_HEARTBEAT": str(instance.run / f"{name}.heartbeat")} for name in _WORKERS},
    }
    found = {name: {**values, "SFP_SECRETS": str(instance.secrets / name)} for name, values in own.items()}
    bare: Environment = {"SFP_TENANT": config.tenant}
    found["launcher"] = {**base, **launcher, **_sandbox(config, instance)}
    return {**found, "redis": bare, **({"postgres": bare} if config.database == "bundled" else {})}


def _data_services(config: Config, instance: Instance) -> list[dict[str, Any]]:
    run, own = str(instance.run), instance.secrets
    postgres = {
        "name": "postgres",
        "argv": [
            *_PROGRAMS, "postgres", "--data", str(instance.data / "pgdata-16"), "--socket", run,
            "--secrets", str(own / "postgres"),
        ],
        "health": _health(*_PROGRAMS, "ready", "postgres", "--socket", run),
        "stop_signal": "SIGINT",
        "stop_timeout": 30,
        "image": "postgres 16",
    }  # fmt: skip
    redis = {
        "name": "redis",
        "argv": [*_PROGRAMS, "redis", "--config", "{bundle}/redis.conf", "--data", str(instance.data / "redis")],
        "health": _health(
            *_PROGRAMS, "ready", "redis", "--socket", f"{run}/redis.sock", "--secrets", str(own / "redis")
        ),
        "stop_timeout": 30,
        "image": "redis",
        "files": ["{bundle}/redis.conf", str(own / "redis")],
    }
    return [postgres, redis] if config.database == "bundled" else [redis]


def _migrate(config: Config) -> dict[str, Any]:
    after = ["postgres"] if config.database == "bundled" else []
    return {"name": "migrate", "argv": [*_SERVER, "migrate"], "after": after, "job": True}


def _server_services(config: Config) -> list[dict[str, Any]]:
    data = ["postgres", "redis"] if config.database == "bundled" else ["redis"]
    api = {"name": "api", "argv": [*_SERVER, "api"], "after": data, "health": _health(*_SERVER, "healthy", "api")}
    launcher = {
        "name": "launcher",
        "argv": [*_SERVER, "launcher"],
        "after": ["api"],
        "health": _health(*_SERVER, "healthy", "launcher"),
        "files": [],  # it holds no secret
    }
    workers = [
        {
            "name": worker,
            "argv": [*_SERVER, "dispatcher", "--class", name],
            "after": ["api", "launcher"],
            "health": _health(*_SERVER, "healthy", "dispatcher"),
            "stop_timeout": _DRAIN,
        }
        for name, worker in zip(CLASSES, _WORKERS, strict=True)
    ]
    return [api, launcher, *workers]


def _complete(service: Mapping[str, Any], release: Release, instance: Instance) -> dict[str, Any]:
    """The service with what is the same for all: its environment, and the secrets whose change restarts it."""
    usual = {
        "name": service["name"],
        "argv": service["argv"],
        "env_file": f"env/{service['name']}.env",
        "after": [],
        "stop_signal": "SIGTERM",
        "stop_timeout": 10,
        "image": f"sfp-server {release.version}",
        "files": [str(instance.secrets / service["name"])],
        "job": False,
    }
    return {**usual, **service}


def _health(*argv: str) -> dict[str, Any]:
    return {"argv": list(argv), "start_period": 60, "interval": 5}


def _addresses(config: Config, instance: Instance) -> Environment:
    return {
        "SFP_PUBLIC_URL": config.public_url,
        "SFP_DATABASE_URL": _database_url(config, instance),
        "SFP_REDIS_URL": f"unix://{_quoted(instance.run / 'redis.sock')}",
        "SFP_OBJECTS_URL": _objects_url(config, instance),
    }


def _sandbox(config: Config, instance: Instance) -> Environment:
    toolchain = {} if config.toolchain == "off" else {"SFP_TOOLCHAIN": str(instance.base / "toolchain")}
    return {
        "SFP_SANDBOX": "process",
        "SFP_SANDBOX_DIR": str(instance.data / "sandboxes"),
        **sandbox_limits(config),
        **toolchain,
    }


def _database_url(config: Config, instance: Instance) -> str:
    return outside_database(config, "sfp_api") or f"postgresql://sfp_api@/sfp?host={_quoted(instance.run)}"


def _admin_url(config: Config, instance: Instance) -> str:
    return outside_database(config) or f"postgresql://postgres@/postgres?host={_quoted(instance.run)}"


def _objects_url(config: Config, instance: Instance) -> str:
    return outside_objects(config) or f"file://{_quoted(instance.data / 'objects')}"


def _quoted(path: object) -> str:
    return quote(str(path))
