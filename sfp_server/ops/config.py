"""What an instance is to be: `server.yml`, checked as a whole.

`templates/server.yml.j2` is its manual: every field here stands there with a sentence. A field carries the words in
which its rule is told (`Must`), so that an error says what would be right and not what a library thought.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_address, ip_network
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainSerializer,
    Tag,
    ValidationError,
    WithJsonSchema,
)

from sfp_server.errors import CheckError
from sfp_server.ops import config_versions, config_words, yamlfile
from sfp_server.ops.config_words import Must
from sfp_server.ops.instance import Instance, valid_name

VERSION = config_versions.NEWEST
SECONDS: Mapping[str, int] = {"d": 86400, "h": 3600, "m": 60, "s": 1}
BYTES: Mapping[str, int] = {"t": 1 << 40, "g": 1 << 30, "m": 1 << 20, "k": 1 << 10}

_HOST = re.compile(r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_EMAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,253}")
_BUCKET = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")
_RELEASE = re.compile(r"\d+\.\d+\.\d+([-+.][0-9A-Za-z.+-]+)?")


def _measure(units: Mapping[str, int]) -> Callable[[Any], int]:
    """Reads `90`, `60m` or `2g` into whole seconds or bytes."""
    pattern = re.compile(rf"(\d{{1,15}})([{''.join(units)}])?", re.IGNORECASE)

    def read(value: Any) -> int:
        found = pattern.fullmatch(str(value)) if isinstance(value, str | int) and not isinstance(value, bool) else None
        if found is None:
            raise ValueError
        return int(found[1]) * units.get((found[2] or "").lower(), 1)

    return read


def _measured(units: Mapping[str, int]) -> Callable[[int], str | int]:
    """Writes them back: the largest unit that leaves nothing over."""

    def write(value: int) -> str | int:
        unit = next((unit for unit, size in units.items() if value and value % size == 0), None)
        return f"{value // units[unit]}{unit}" if unit else value

    return write


def _checked(rule: Callable[[str], bool]) -> AfterValidator:
    def check(value: str) -> str:
        if not rule(value):
            raise ValueError
        return value

    return AfterValidator(check)


def _is(kind: Callable[[str], object]) -> Callable[[str], bool]:
    """Whether `kind` can be made of a text."""

    def check(text: str) -> bool:
        kind(text)  # a ValueError says no, as the validator does
        return "%" not in text  # a zone of one machine

    return check


def _is_web_address(url: str) -> bool:
    return url.startswith(("http://", "https://")) and "@" not in url and url.isprintable() and " " not in url


def _is_database(url: str) -> bool:
    """A PostgreSQL address with a host and a database, whose password lies elsewhere."""
    try:
        parts = urlsplit(url)
        named = all((parts.hostname, parts.path.strip("/"), parts.username, parts.port != 0))
    except ValueError:  # a port that is no number
        return False
    sound = url.isprintable() and " " not in url
    return parts.scheme in ("postgresql", "postgres") and named and parts.password is None and sound


_AS_TEXT = WithJsonSchema({"type": ["string", "integer"]})
Seconds = Annotated[int, BeforeValidator(_measure(SECONDS)), PlainSerializer(_measured(SECONDS)), _AS_TEXT]
Bytes = Annotated[int, BeforeValidator(_measure(BYTES)), PlainSerializer(_measured(BYTES)), _AS_TEXT]

Text = Annotated[str, Field(min_length=1), Must("a text")]
Name = Annotated[
    str, _checked(valid_name), Must("lower-case letters, digits and hyphens, a letter first, at most 32 of them")
]
Host = Annotated[str, _checked(lambda text: bool(_HOST.fullmatch(text))), Must("a host name like sfp.acme.com")]
Email = Annotated[str, _checked(lambda text: bool(_EMAIL.fullmatch(text))), Must("an e-mail address")]
Address = Annotated[str, _checked(_is(ip_address)), Must("an IP address like 127.0.0.1 or ::1")]
Network = Annotated[str, _checked(_is(ip_network)), Must("a list of addresses and networks like 10.0.0.0/8")]
HostPath = Annotated[
    str, _checked(lambda text: text.startswith("/") and text.isprintable()), Must("a path on the host, from / on")
]
Bucket = Annotated[str, _checked(lambda text: bool(_BUCKET.fullmatch(text))), Must("the name of a bucket")]
Region = Annotated[str, _checked(lambda text: bool(re.fullmatch(r"[\w.-]{1,64}", text))), Must("the name of a region")]
Version = Annotated[str, _checked(lambda text: bool(_RELEASE.fullmatch(text))), Must("a version like 1.4.0")]
Url = Annotated[str, _checked(_is_web_address), Must("an http or https address")]
DatabaseUrl = Annotated[
    str, _checked(_is_database), Must("postgresql://USER@HOST/NAME, with the password in secrets.yml and not here")
]
Count = Annotated[int, Field(ge=0, le=10), Must("0 to 10")]
Attempts = Annotated[int, Field(ge=1, le=10), Must("1 to 10")]
Timeout = Annotated[Seconds, Field(ge=1, le=7 * 86400), Must("a time from 1s to 7d, like 90s, 60m or 2h")]
Memory = Annotated[Bytes, Field(ge=64 << 20, le=1 << 40), Must("a size from 64m to 1t, like 512m or 2g")]
Cpus = Annotated[float, Field(ge=0.1, le=256), Must("a number from 0.1 to 256")]
Pids = Annotated[int, Field(ge=16, le=65536), Must("16 to 65536")]
Port = Annotated[int, Field(ge=1, le=65535), Must("a port, 1 to 65535")]
Engine = Annotated[Literal["compose", "embedded"], Must("compose or embedded")]
Deployment = Annotated[Literal["self", "managed"], Must("self or managed")]
Target = Annotated[
    Literal["local", "existing", "aws", "azure", "hetzner"], Must("local, existing, aws, azure or hetzner")
]
TlsMode = Annotated[Literal["acme", "internal", "files", "off"], Must("acme, internal, files or off")]
Switch = Annotated[bool, Must("true or false")]
Toolchain = Annotated[Literal["auto", "system", "off"], Must("auto, system or off")]


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
    http: Http = Field(default=Http(), description="The API on the loopback address.")
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
