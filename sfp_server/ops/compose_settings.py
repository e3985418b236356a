"""What the parts of a Compose bundle say, from the settings: environments, images, ports, Caddy's and Redis's files."""

from collections.abc import Mapping
from hashlib import sha256
from ipaddress import IPv6Network, ip_address
from typing import Any

from sfp_server.errors import SfpError
from sfp_server.ops.config import Config
from sfp_server.ops.config_versions import CLASSES
from sfp_server.ops.environment import (
    Environment,
    bucket,
    common,
    outside_database,
    outside_objects,
    sandbox_limits,
    task_defaults,
    worker_counts,
)
from sfp_server.ops.release import Release
from sfp_server.ops.templating import template

BUCKET = "sfp-files"
PORT = 3029  # of the API and of Caddy's plain side, inside their containers

_STORES: Mapping[str, str] = {"minio": "minio:9000", "seaweedfs": "seaweedfs:8333"}
_LAUNCHER = "/run/sfp/launcher.sock"
_WORKERS = tuple(f"{name}-worker" for name in CLASSES)
_MODES: Mapping[str, str] = {
    "acme": "certificates from Let's Encrypt",
    "internal": "certificates of its own authority, for trials",
    "files": "certificates from files",
    "off": "TLS ends before it",
}


def environment(config: Config, release: Release) -> Mapping[str, Environment]:
    """The settings of each service, by the name of its file. None is secret; each has what it uses and no more, for
    a service is made anew when one of its own changes."""
    base = common(config, release)
    data = {**base, **_addresses(config), "SFP_SECRETS": "/run/secrets"}
    worker = {**data, "SFP_LAUNCHER_SOCKET": _LAUNCHER, "SFP_HEARTBEAT": "/tmp/heartbeat"}  # noqa: S108  # its tmpfs
    # The API is reached through Caddy alone, which names one client: there is no other whose word to doubt.
    edge = {"SFP_LISTEN": f"0.0.0.0:{PORT}", "SFP_TRUSTED_PROXIES": "*"}
    return {
        "api": {**data, **edge, **task_defaults(config)},
        "migrate": {**data, "SFP_DATABASE_ADMIN_URL": _admin_url(config)},
        **{name: {**worker, **worker_counts(config)} for name in _WORKERS},
        "launcher": {**base, **_launcher(config, release)},
        "caddy": {"XDG_CONFIG_HOME": "/config", "XDG_DATA_HOME": "/data"},
        "redis": {},
        **_data_services(config),
    }


def images(config: Config, release: Release) -> dict[str, str]:
    """What runs, by its name in the release; the sandboxes' image too, which no service names."""
    bundled = ["postgres"] if config.database == "bundled" else []
    store = [config.object_store] if config.object_store in _STORES else []
    names = [*bundled, "redis", *store, "server", "worker", "caddy"]
    absent = [name for name in names if name not in release.images]
    if absent:
        raise SfpError(
            f"release {release.version} names no image of {' and none of '.join(absent)}.",
            "Take a manifest that was written by: sfp server release build",
        )
    return {name: str(release.images[name]) for name in names}


def ports(config: Config) -> list[dict[str, Any]]:
    """What Caddy listens on, on the host: the public ports, and one for programs of the machine itself."""
    own = _port(config.http.address, config.http.port, PORT)
    if config.tls.mode == "off":
        return [own]
    hosts = ["0.0.0.0", *(["::"] if config.http.ipv6 else [])]  # noqa: S104
    if config.domain is None:
        hosts = ["127.0.0.1"]
    public = [(80, "tcp"), (443, "tcp"), (443, "udp")]
    return [*(_port(host, port, port, protocol) for host in hosts for port, protocol in public), own]


def _port(host: str, published: int, target: int, protocol: str = "tcp") -> dict[str, Any]:
    return {"host": host, "published": published, "target": target, "protocol": protocol}


def subnet(tenant: str) -> IPv6Network:
    """A private IPv6 network (RFC 4193) that is the tenant's own: Docker before 27 finds none by itself."""
    number = int.from_bytes(b"\xfd" + sha256(f"sfp app-network {tenant}".encode()).digest()[:7], "big")
    return IPv6Network((number << 64, 64))


def _addresses(config: Config) -> Environment:
    return {
        "SFP_PUBLIC_URL": config.public_url,
        "SFP_DATABASE_URL": outside_database(config, "sfp_api") or "postgresql://sfp_api@postgres:5432/sfp",
        "SFP_REDIS_URL": "redis://redis:6379/0",
        "SFP_OBJECTS_URL": outside_objects(config) or _own_objects(config),
    }


def _own_objects(config: Config) -> str:
    """The instance's own store: the programs reach it inside, those who follow a link through Caddy."""
    return bucket(BUCKET, f"http://{_STORES[config.object_store]}", "us-east-1", public=config.public_url)


def _admin_url(config: Config) -> str:
    return outside_database(config) or "postgresql://postgres@postgres:5432/postgres"


def _launcher(config: Config, release: Release) -> Environment:
    return {
        "SFP_LAUNCHER_SOCKET": _LAUNCHER,
        "SFP_SANDBOX": "docker",
        "SFP_SANDBOX_DIR": "/tmp/sandboxes",  # noqa: S108  # a tmpfs of its own
        "SFP_SANDBOX_IMAGE": images(config, release)["worker"],
        "SFP_SANDBOX_NETWORK": f"sfp-{config.tenant}-sandbox",
        **sandbox_limits(config),
    }


def _data_services(config: Config) -> Mapping[str, Environment]:
    stores: Mapping[str, Environment] = {
        "minio": {
            "MINIO_ROOT_USER_FILE": "/run/secrets/object-store-access-key",
            "MINIO_ROOT_PASSWORD_FILE": "/run/secrets/object-store-secret-key",
            "MINIO_BROWSER": "off",
            "MINIO_UPDATE": "off",
            "HOME": "/tmp",  # noqa: S108
            "MC_CONFIG_DIR": "/tmp/.mc",  # noqa: S108
        },
        "seaweedfs": {"S3_BUCKET": BUCKET},
    }
    postgres: Environment = {
        "PGDATA": "/var/lib/postgresql/data",
        "POSTGRES_USER": "postgres",
        "POSTGRES_PASSWORD_FILE": "/run/secrets/database-admin-password",
        "POSTGRES_HOST_AUTH_METHOD": "scram-sha-256",
        "POSTGRES_INITDB_ARGS": "--encoding=UTF8 --locale=C --data-checksums",
    }
    chosen = {str(name): own for name, own in stores.items() if name == config.object_store}
    return {**chosen, **({"postgres": postgres} if config.database == "bundled" else {})}


def redis() -> bytes:
    values = {"socket": None, "data": "/data", "auth": "/run/secrets/redis-auth.conf", "maxmemory": "384mb"}
    return template("redis.conf.j2", **values).encode()


def caddyfile(config: Config) -> bytes:
    store = {"bucket": BUCKET, "address": _STORES[config.object_store]} if config.object_store in _STORES else None
    return template(
        "Caddyfile.j2",
        tenant=config.tenant,
        summary=_MODES[config.tls.mode],
        mode=config.tls.mode,
        email=config.tls.email,
        staging=config.tls.staging,
        site=config.domain or "localhost",
        address=config.http.address,
        trusted=_trusted(config),
        store=store,
    ).encode()


def _trusted(config: Config) -> list[str]:
    """A proxy on this machine comes through Docker's bridge: from a private address, and nobody else can."""
    here = config.tls.mode == "off" and ip_address(config.http.address).is_loopback
    return [*(["private_ranges"] if here else []), *config.tls.trusted_proxies]
