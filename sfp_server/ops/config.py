"""What an instance is to be: `server.yml`, checked as a whole.

`templates/server.yml.j2` is its manual: every field here stands there with a sentence. A field carries the words in
which its rule is told (`Must`), so that an error says what would be right and not what a library thought.
"""

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError

from sfp_server.errors import CheckError
from sfp_server.ops import config_versions, config_words, yamlfile
from sfp_server.ops.config_types import (
    Address,
    Attempts,
    Bucket,
    Count,
    Cpus,
    DatabaseUrl,
    Deployment,
    Email,
    Engine,
    Host,
    HostPath,
    Memory,
    Name,
    Network,
    Pids,
    Port,
    Region,
    Switch,
    Target,
    Text,
    Timeout,
    TlsMode,
    Toolchain,
    Url,
    Version,
)
from sfp_server.ops.config_words import Must
from sfp_server.ops.instance import Instance

VERSION = config_versions.NEWEST


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Workers(_Settings):
    """Tasks at once, by class."""

    critical: Count = Field(default=1, description="Tasks that the critical-worker runs at once.")
    normal: Count = Field(default=1, description="Tasks that the normal-worker runs at once.")
    batch: Count = Field(default=1, description="Tasks that the batch-worker runs at once.")


class Tasks(_Settings):
    """What holds for a task that does not say otherwise."""

    attempts: Attempts = Field(default=3, description="How often a task is tried.")
    timeout: Timeout = Field(default=3600, description="How long one attempt may take.")


class Sandbox(_Settings):
    """Limits of the sandbox in which one attempt runs."""

    memory: Memory = Field(default=2 << 30, description="Memory of one sandbox.")
    cpus: Cpus = Field(default=1, description="Processors of one sandbox; parts of one are possible.")
    pids: Pids = Field(default=512, description="Processes and threads of one sandbox.")


class Resources(_Settings):
    """Limits."""

    sandbox: Sandbox = Field(default=Sandbox(), description="Limits of the sandbox in which one attempt runs.")


class Tls(_Settings):
    """The certificate of the public address."""

    mode: TlsMode = Field(default="acme", description="Where the certificate comes from; off: TLS ends before Caddy.")
    email: Email | None = Field(default=None, description="acme: where the authority writes to about a certificate.")
    staging: Switch = Field(default=False, description="acme: from the authority for tests, which browsers refuse.")
    certificate: HostPath | None = Field(default=None, description="files: the certificate's chain on the host, PEM.")
    key: HostPath | None = Field(default=None, description="files: the certificate's key on the host, PEM.")
    trusted_proxies: Annotated[
        list[Network], Field(max_length=64), Must("a list of addresses and networks like [10.0.0.0/8]")
    ] = Field(default=[], description="Proxies in front whose word about the client's address is taken.")


class Database(_Settings):
    """A PostgreSQL that exists, 15 or newer."""

    url: DatabaseUrl = Field(description="Its address, with the user that owns the database: no password.")


class Objects(_Settings):
    """A bucket that exists, behind the S3 protocol."""

    bucket: Bucket = Field(description="Its name.")
    endpoint: Url = Field(description="The address of the service.")
    region: Region = Field(default="us-east-1", description="Its region.")


class Release(_Settings):
    """Which release to run."""

    channel: Annotated[Literal["stable"], Must("stable")] = Field(default="stable", description="Where to look.")
    version: Version | None = Field(default=None, description="One to stay on; none takes the channel's newest.")
    file: Text | None = Field(default=None, description="compose: a release's manifest on this machine, to run that.")


class Http(_Settings):
    """Where the server listens on the machine beside its public address."""

    port: Port = Field(default=3029, description="The port for this machine; with tls.mode off, for the proxy.")
    address: Address = Field(default="127.0.0.1", description="tls.mode off: where the proxy in front reaches it.")
    ipv6: Switch = Field(default=False, description="compose: reached over IPv6 too.")


def _choice(value: Any) -> str:
    return "bundled" if isinstance(value, str) else "outside"


_Bundled = Annotated[Literal["bundled"], Tag("bundled")]
_Stores = Annotated[Literal["bundled", "minio", "seaweedfs"], Tag("bundled")]


class Config(_Settings):
    """The settings of one instance, complete and in range. Times are seconds, sizes bytes."""

    config_version: Annotated[Literal[1], Must("1")] = Field(description="The version of this file's form.")
    tenant: Name = Field(description="The instance's name, and its folder's.")
    domain: Host | None = Field(default=None, description="The public host name; without one only this machine.")
    deployment: Deployment = Field(default="self", description="Who looks after it: its organization, or a team.")
    engine: Engine = Field(default="compose", description="Containers, or processes of this machine (for trials).")
    target: Target = Field(default="local", description="Where the machine comes from.")
    workers: Workers = Field(default=Workers(), description="How many tasks run at once, by class: 0 to 10.")
    tasks: Tasks = Field(default=Tasks(), description="What holds for a task that does not say otherwise.")
    resources: Resources = Field(default=Resources(), description="Limits.")
    tls: Tls = Field(default=Tls(), description="The certificate of the public address.")
    database: Annotated[
        _Bundled | Annotated[Database, Tag("outside")], Discriminator(_choice), Must("bundled, or {url: …}")
    ] = Field(default="bundled", description="The instance's own PostgreSQL, or one that exists.")
    objects: Annotated[
        _Stores | Annotated[Objects, Tag("outside")],
        Discriminator(_choice),
        Must("bundled, minio, seaweedfs, or {bucket: …, endpoint: …}"),
    ] = Field(default="bundled", description="Where files lie: with the instance, or in a bucket that exists.")
    release: Release = Field(default=Release(), description="Which release to run.")
    http: Http = Field(default=Http(), description="Where it listens on the machine.")
    toolchain: Toolchain = Field(default="auto", description="embedded: where Node and the Salesforce CLI come from.")

    @property
    def public_url(self) -> str:
        """The address of the server, without a slash at its end."""
        if self.engine == "compose" and self.domain is not None:
            return f"https://{self.domain}"
        if self.engine == "compose" and self.tls.mode == "internal":
            return "https://localhost"
        return f"http://{_local(self.http.address)}:{self.http.port}"

    @property
    def object_store(self) -> Literal["folder", "minio", "seaweedfs", "outside"]:
        """Where files lie."""
        if isinstance(self.objects, Objects):
            return "outside"
        if self.engine == "embedded":
            return "folder"
        return "minio" if self.objects == "bundled" else self.objects


def load(instance: Instance) -> Config:
    """The settings of an instance; a `CheckError` names everything that is wrong, with its line."""
    path = instance.settings_file
    config = parse(text_of(instance), str(path))
    if config.tenant != instance.tenant:
        raise CheckError(f'{path}: tenant: must be {instance.tenant} as its folder, is "{config.tenant}"')
    return config


def text_of(instance: Instance) -> str:
    """The text of an instance's `server.yml`."""
    try:
        return instance.settings_file.read_text("utf-8")
    except OSError as error:
        raise CheckError(f"cannot read {instance.settings_file}: {(error.strerror or '').lower()}.") from None
    except UnicodeDecodeError:
        raise CheckError(f"{instance.settings_file} is not UTF-8 text.") from None


def parse(text: str, path: str = "server.yml") -> Config:
    """The settings in a text, of this form or an older one; `path` is how errors call it."""
    return validate(yamlfile.read(text, path), path)


def validate(document: yamlfile.Document, path: str) -> Config:
    """The settings in a document. All that is wrong stands in one `CheckError`."""
    data, found = config_versions.newest(document.data, path)
    try:
        config = Config.model_validate(data)
        found = [*found, *_contradictions(config)]
    except ValidationError as error:
        found = [*found, *config_words.problems(error, Config)]
    if found:
        raise config_words.refusal(found, document, path)
    return config


def _contradictions(config: Config) -> Iterator[config_versions.Problem]:
    """What is right alone and wrong together."""
    if config.engine == "embedded":
        yield from _too_much_for_embedded(config)
        return
    if config.domain is None and config.target != "local":
        yield ("domain",), f"is missing; a server on {config.target} needs a host name"
    elif config.domain is None and config.tls.mode in ("acme", "files"):
        yield ("domain",), f"is missing; tls.mode {config.tls.mode} needs one, internal and off do not"
    if config.tls.mode == "files":
        for name in ("certificate", "key"):
            if getattr(config.tls, name) is None:
                yield ("tls", name), "is missing; tls.mode is files"
    if config.tls.mode != "off" and not ip_address(config.http.address).is_loopback:
        yield ("http", "address"), f"must be of this machine alone with tls.mode {config.tls.mode}"


def _too_much_for_embedded(config: Config) -> Iterator[config_versions.Problem]:
    if config.target != "local":
        yield ("target",), f"must be local with engine embedded, is {config.target}"
    if config.objects in ("minio", "seaweedfs"):
        yield ("objects",), f"must be bundled or a bucket with engine embedded, is {config.objects}"
    if config.http.address != "127.0.0.1":
        yield ("http", "address"), f"must be 127.0.0.1 with engine embedded, is {config.http.address}"


def _local(address: str) -> str:
    """The address by which this machine reaches what listens on one, as it stands in a URL."""
    own = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104
    return f"[{own}]" if ":" in own else own
