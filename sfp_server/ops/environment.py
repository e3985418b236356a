"""What the server's programs are told on every engine, as environment variables. None is secret."""

from collections.abc import Mapping
from urllib.parse import quote, urlsplit

from sfp_server.ops.config import Config, Database, Objects
from sfp_server.ops.release import Release

Environment = Mapping[str, str]


def common(config: Config, release: Release) -> Environment:
    """What each of them needs."""
    return {
        "SFP_TENANT": config.tenant,
        "SFP_VERSION": release.version,
        "SFP_CONFIG_VERSION": str(release.config_version),
        "SFP_DEPLOYMENT": config.deployment,
        "SFP_LOG_LEVEL": "info",
    }


def worker_counts(config: Config) -> Environment:
    """How many tasks of each class run at once."""
    counts = (config.workers.critical, config.workers.normal, config.workers.batch)
    return {"SFP_WORKERS": ",".join(str(count) for count in counts)}


def task_defaults(config: Config) -> Environment:
    """What holds for a task that does not say otherwise."""
    return {"SFP_TASK_ATTEMPTS": str(config.tasks.attempts), "SFP_TASK_TIMEOUT": str(config.tasks.timeout)}


def sandbox_limits(config: Config) -> Environment:
    """The limits of one sandbox: bytes, processors, processes."""
    limits = config.resources.sandbox
    return {
        "SFP_SANDBOX_MEMORY": str(limits.memory),
        "SFP_SANDBOX_CPUS": f"{limits.cpus:g}",
        "SFP_SANDBOX_PIDS": str(limits.pids),
    }


def outside_database(config: Config, user: str = "") -> str:
    """The address of a PostgreSQL that exists, for its owner or another user; nothing where it is the instance's."""
    if not isinstance(config.database, Database):
        return ""
    parts = urlsplit(config.database.url)
    return parts._replace(netloc=f"{user}@{parts.netloc.rpartition('@')[2]}").geturl() if user else config.database.url


def outside_objects(config: Config) -> str:
    """The address of a bucket that exists; nothing where the store is the instance's."""
    if not isinstance(config.objects, Objects):
        return ""
    return bucket(config.objects.bucket, config.objects.endpoint, config.objects.region)


def bucket(name: str, endpoint: str, region: str, **more: str) -> str:
    """A bucket as the server's programs take it."""
    query = {"endpoint": endpoint, "region": region, **more}
    return f"s3://{name}?" + "&".join(f"{key}={quote(value, safe='')}" for key, value in query.items())
