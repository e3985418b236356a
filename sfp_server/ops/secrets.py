"""The secrets of an instance: generated once into `secrets.yml`, which only its owner can read, and never printed.

What runs gets each one as a file of its own. A bundle holds none, only a fingerprint that changes when one does.
"""

import hmac
import json
import os
import secrets as random
import string
from collections.abc import Iterable, Mapping
from hashlib import sha256
from zlib import crc32

from sfp_server.cmd.base import Secret
from sfp_server.errors import CheckError
from sfp_server.ops import files, yamlfile
from sfp_server.ops.config import Config
from sfp_server.ops.instance import Instance

Secrets = Mapping[str, Secret]

VERSION = 1
GENERATED = (
    "database-admin-password",
    "database-password",
    "redis-password",
    "signing-key",
    "owner-token",
    "object-store-access-key",
    "object-store-secret-key",
    "bundle-key",
)
"""`bundle-key` opens nothing: it keys the fingerprints of the others that stand in a bundle."""
OUTSIDE: Mapping[str, tuple[str, ...]] = {
    "database": ("database-admin-password",),
    "objects": ("object-store-access-key", "object-store-secret-key"),
}
"""Settings that may name what exists already, and the secrets that open it: given, never generated."""

TOKEN_PREFIX = "sfp_app_"  # noqa: S105  # how a token begins, not one

_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_VERSION_KEY = "secrets_version"
_HEAD = """\
# The secrets of {tenant}. Keep them for yourself, and a copy where you keep such things: without them the data
# of this instance cannot be opened. Made by sfp server init. A value that is changed here takes effect at start, but
# for database-admin-password: PostgreSQL keeps the one that its data was made with.
"""


def generate() -> Secrets:
    """A new value for everything that an instance of its own needs."""
    return {name: Secret(token() if name == "owner-token" else random.token_hex(24)) for name in GENERATED}


def token() -> str:
    """An application token: `sfp_app_`, 30 random characters of base 62, and 6 that tell a mistyped one."""
    body = "".join(random.choice(_BASE62) for _ in range(30))
    return f"{TOKEN_PREFIX}{body}{_checksum(body)}"


def token_hash(value: Secret) -> str:
    """What the server keeps of a token: its SHA-256, hex. The token has 178 random bits, so no salt is needed."""
    return sha256(value.reveal().encode()).hexdigest()


def load(instance: Instance) -> Secrets:
    """The secrets of an instance. A file that others can read is refused: they may have read it."""
    path = instance.secrets_file
    try:
        with path.open("rb") as file:
            mode, content = os.fstat(file.fileno()).st_mode & 0o777, file.read()
    except OSError as error:
        hint = f"Restore it from your copy, or make a new one: sfp server init --tenant {instance.tenant} --force"
        raise CheckError(f"cannot read {path}: {(error.strerror or '').lower()}.", hint) from None
    if mode & 0o077:
        raise CheckError(f"{path} can be read by others (mode {mode:04o}).", f"Run: chmod 600 {path}")
    return _parse(content, str(path))


def write(instance: Instance, secrets: Secrets) -> None:
    """Replace `secrets.yml`, whole or not at all; at no time can others read it."""
    files.replace(instance.secrets_file, text(instance.tenant, secrets), 0o600)


def text(tenant: str, secrets: Secrets) -> bytes:
    """The content of `secrets.yml`."""
    lines = [f"{name}: {yamlfile.flow(value.reveal(), quoted=True)}\n" for name, value in secrets.items()]
    return "".join([_HEAD.format(tenant=tenant), f"{_VERSION_KEY}: {VERSION}\n", *lines]).encode()


def missing(config: Config, secrets: Secrets) -> list[str]:
    """The names of the secrets that these settings need and that are not there."""
    return [name for name in GENERATED if name not in secrets and _needed(config, name)]


def fingerprint(secrets: Secrets) -> str:
    """Twelve hex digits that change when a secret does. Keyed by a secret, so that nobody without the secrets can
    try values against it."""
    return _digest(secrets, secrets)


def fingerprints(config: Config, secrets: Secrets) -> Mapping[str, str]:
    """The same for the files of each service that has some: it changes when the service must have others."""
    files = secret_files(config, secrets)
    return {service: _digest(secrets, content) for service, content in files.items() if content}


def secret_files(config: Config, secrets: Secrets) -> Mapping[str, Mapping[str, Secret]]:
    """The secrets of each service as files: service → file name → content."""
    absent = missing(config, secrets)
    if absent:
        raise CheckError(
            f"secrets.yml holds no {' and no '.join(absent)}.", "Add what is missing: sfp server init --force"
        )
    server = ["database-password", "redis-password", "signing-key"]
    if config.object_store != "folder":
        server += OUTSIDE["objects"]
    found = {
        "redis": {"redis-auth.conf": Secret(f"requirepass {secrets['redis-password'].reveal()}\n")},
        **{name: _pick(secrets, server) for name in ("api", "critical-worker", "normal-worker", "batch-worker")},
        "migrate": {
            **_pick(secrets, ["database-admin-password", "database-password"]),
            "owner-token-hash": Secret(token_hash(secrets["owner-token"])),
        },
        "launcher": {},
    }
    bundled = {"postgres": _pick(secrets, ["database-admin-password"])} if config.database == "bundled" else {}
    return {**bundled, **found, **_object_store_files(config, secrets)}


def _object_store_files(config: Config, secrets: Secrets) -> Mapping[str, Mapping[str, Secret]]:
    """Those of a store of the instance's own, each in the form that it reads."""
    if config.object_store == "minio":
        return {"minio": _pick(secrets, OUTSIDE["objects"])}
    if config.object_store == "seaweedfs":
        access, secret = (secrets[name].reveal() for name in OUTSIDE["objects"])
        identity = {
            "name": "sfp",
            "credentials": [{"accessKey": access, "secretKey": secret}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        return {"seaweedfs": {"object-store.json": Secret(json.dumps({"identities": [identity]}) + "\n")}}
    return {}


def _parse(content: bytes, path: str) -> Secrets:
    try:
        data = yamlfile.read(content.decode(), path).data
    except UnicodeDecodeError:
        raise CheckError(f"{path} is not UTF-8 text.") from None
    version = data.pop(_VERSION_KEY, None)
    if isinstance(version, int) and version > VERSION:
        hint = "Update the program: pip install --upgrade sfp-server"
        raise CheckError(f"{path}: {_VERSION_KEY}: is {version}, newer than this program knows ({VERSION}).", hint)
    if version != VERSION:
        raise CheckError(f"{path}: {_VERSION_KEY}: must be {VERSION}.")
    odd = [name for name, value in data.items() if not isinstance(value, str) or not value.strip()]
    if odd:
        raise CheckError(f"{path}: {', '.join(odd)}: must be a text, in quotes.")
    return {name: Secret(value) for name, value in data.items()}


def _needed(config: Config, name: str) -> bool:
    if name == "bundle-key":
        return config.engine == "compose"
    return config.object_store != "folder" or not name.startswith("object-store-")


def _digest(secrets: Secrets, values: Secrets) -> str:
    key = secrets.get("bundle-key", secrets["signing-key"]).reveal().encode()
    content = "".join(f"{name}\0{value.reveal()}\0" for name, value in sorted(values.items()))
    return hmac.new(key, content.encode(), "sha256").hexdigest()[:12]


def _pick(secrets: Secrets, names: Iterable[str]) -> dict[str, Secret]:
    return {name: secrets[name] for name in names}


def _checksum(body: str) -> str:
    """CRC-32 of the text as six digits of base 62."""
    number, digits = crc32(body.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        digits = _BASE62[digit] + digits
    return digits
