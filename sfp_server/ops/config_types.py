"""The kinds of values in `server.yml`: what each may be, and the words in which an error says so."""

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address, ip_network
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema

from sfp_server.ops.config_words import Must
from sfp_server.ops.instance import valid_name

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
