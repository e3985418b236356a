"""A release: a version, what belongs together with it, and the manifest that says so."""

import dataclasses
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, TypeVar

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError

import sfp_server
from sfp_server.engine import reference
from sfp_server.engine.reference import Reference
from sfp_server.errors import CheckError
from sfp_server.ops import config

SCHEMA: Final = "sfp.release/1"
UPSTREAM_SCHEMA: Final = "sfp.upstream/1"
OWN: Final = ("server", "worker")  # the images that a release builds; all others it takes over

_MIGRATION = re.compile(r"(\d{4})_(pre|post)_\w+\.sql")
_VERSION = re.compile(r"(?:0|[1-9]\d{0,8})(?:\.(?:0|[1-9]\d{0,8})){2}(?:-[0-9A-Za-z][0-9A-Za-z.-]{0,40})?")
_CREATED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
_PLATFORM = re.compile(r"[a-z0-9]+/[a-z0-9]+(?:/[a-z0-9]+)?")
_SERVICE = re.compile(r"[a-z][a-z0-9-]{0,30}")
_MANIFEST_HINT = "It is written by: sfp server release build"
_STRICT = ConfigDict(extra="forbid")

T = TypeVar("T")


def is_version(text: str) -> bool:
    """Whether this is a version that a release can have: it is also a tag."""
    return bool(_VERSION.fullmatch(text))


def _must(sound: Callable[[str], Any], rule: str) -> Any:
    """A check of a text; `rule` ends the sentence that says what is wrong with it."""

    def check(text: str) -> str:
        if not sound(text):
            raise ValueError(f"{rule}, is {text!r}")
        return text

    return AfterValidator(check)


Version = Annotated[str, _must(is_version, "must be a version like 1.4.0")]
Number = Annotated[int, Field(ge=0, strict=True)]


@dataclass(frozen=True)
class Image:
    """An image by the digest of its index, which is the same for every platform; the tag is for people. Its text is
    the reference that Docker takes."""

    __pydantic_config__ = _STRICT

    name: Annotated[str, _must(reference.is_name, "must be a name with its registry")]
    tag: Annotated[str, _must(reference.is_tag, "must be a tag")]
    digest: Annotated[str, _must(reference.is_digest, "must be sha256:… in full")]
    platforms: tuple[Annotated[str, _must(_PLATFORM.fullmatch, "must be like linux/amd64")], ...] = ()

    @property
    def reference(self) -> Reference:
        return reference.parse(str(self))

    def __str__(self) -> str:
        return f"{self.name}:{self.tag}@{self.digest}"


Images = Mapping[Annotated[str, _must(_SERVICE.fullmatch, "must be a service")], Image]


@dataclass(frozen=True)
class Release:
    """What runs. `schema_version` is the number of its last migration, `config_version` the form of `server.yml` that
    it reads; `images` are by service, and none where services are processes. `min_upgrade_from` is the oldest release
    that may be updated to this one directly, `min_cli` the oldest program that may handle it."""

    __pydantic_config__ = _STRICT

    version: Version
    schema_version: Number
    config_version: Number
    images: Images = field(default_factory=lambda: MappingProxyType({}))
    created: Annotated[str, _must(_CREATED.fullmatch, "must be a time like 2026-11-23T08:15:00Z")] = ""
    min_upgrade_from: Version = ""
    min_cli: Version = ""


@dataclass(frozen=True)
class Upstream:
    """What a release takes over from others, and what it demands: `compose/release.yml`."""

    __pydantic_config__ = _STRICT

    images: Images
    min_upgrade_from: Version
    min_cli: Version


def installed() -> Release:
    """The release that is this installed package: what the embedded engine runs."""
    folder = Path(sfp_server.__file__).parent / "server" / "migrations"
    return Release(sfp_server.__version__, newest_migration(path.name for path in folder.glob("*.sql")), config.VERSION)


def newest_migration(names: Iterable[str]) -> int:
    """The number of the last migration, read off the names of the files; 0 where there is none."""
    found = (_MIGRATION.fullmatch(name) for name in names)
    return max((int(match[1]) for match in found if match), default=0)


def document(release: Release) -> dict[str, Any]:
    """What the manifest of a release says."""
    images = {service: dataclasses.asdict(image) for service, image in sorted(release.images.items())}
    fields = {item.name: getattr(release, item.name) for item in dataclasses.fields(release)}
    return {"schema": SCHEMA, **fields, "images": images}


def manifest(release: Release) -> str:
    """The manifest of a release, as it is written to a file and signed."""
    return json.dumps(document(release), indent=2) + "\n"


def parse(text: str, path: str) -> Release:
    """The release in a manifest. What is missing, odd or unknown is an error that names all of it."""
    try:
        data = json.loads(text)
    except ValueError as error:
        raise CheckError(f"{path} is no release manifest: {error}.", _MANIFEST_HINT) from None
    whole = {item.name for item in dataclasses.fields(Release)}
    release = _read(Release, data, SCHEMA, path, whole)
    if bare := sorted(service for service, image in release.images.items() if not image.platforms):
        raise CheckError(f"{path}: these images name no platforms: {', '.join(bare)}.", _MANIFEST_HINT)
    return release


def upstream(data: object, path: str) -> Upstream:
    """What `compose/release.yml` says, read from YAML before."""
    return _read(Upstream, data, UPSTREAM_SCHEMA, path)


def _read(kind: type[T], data: object, schema: str, path: str, whole: Iterable[str] = ()) -> T:
    """`whole` are the fields that have to be there though the program itself may leave them out."""
    found = data.get("schema") if isinstance(data, dict) else None
    if not isinstance(data, dict) or found != schema:
        raise _other(path, found, schema)
    body = {name: value for name, value in data.items() if name != "schema"}
    problems = [f"{name}: is missing" for name in whole if name not in body]
    try:
        read = TypeAdapter(kind).validate_python(body)
    except ValidationError as error:
        problems += [_problem(part["loc"], part["msg"]) for part in error.errors(include_url=False)]
    if problems:
        raise CheckError("\n  ".join([f"{path} is not sound:", *sorted(set(problems))]), _MANIFEST_HINT)
    return read


def _other(path: str, found: object, schema: str) -> CheckError:
    kind = schema.partition("/")[0]
    if isinstance(found, str) and found.startswith(f"{kind}/"):
        return CheckError(
            f"{path} is in a form that this program does not know ({found}).",
            "Update the program: pip install --upgrade sfp-server",
        )
    return CheckError(f"{path} is no {kind} file.", _MANIFEST_HINT)


def _problem(location: tuple[int | str, ...], said: str) -> str:
    where = ".".join(str(part) for part in location if part != "[key]")
    words = {"Field required": "is missing", "Unexpected keyword argument": "is not known"}
    return f"{where}: {words.get(said, said.removeprefix('Value error, '))}"
